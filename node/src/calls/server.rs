//! What JavaScript calls of a server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidewire::Compress;
use tidewire::sys::{Endpoint, ListenOptions};

use super::{Addon, host, status, text, with_data};
use crate::application::{Callbacks, JsApplication};
use crate::host::{Host, Refused};
use crate::napi::{Callback, Env, Value};
use crate::native;
use crate::options;

pub(super) const FUNCTIONS: &[(&str, Callback)] = &[
    ("create", create),
    ("configure", configure),
    ("port", port),
    ("stop", stop),
    ("forget", forget),
    ("keepAlive", keep_alive),
    ("population", population),
    ("subscriberCount", subscriber_count),
    ("serverPublish", server_publish),
];

native!(
    /// create(callbacks, place, limits, tls): the number of a new server. A place has `hostname`, `port`, `unix`, `reusePort` and
    /// `ipv6Only`; limits and TLS are described in `options`.
    create,
    4,
    |env, [callbacks, place, limits, tls]| {
        let Some(callbacks) = Callbacks::from(env, callbacks) else {
            env.throw("TypeError", "a callback is missing");
            return None;
        };
        let options = thrown(env, options::limits(env, limits))?;
        let tls = options::tls(env, tls);
        let endpoint = thrown(env, endpoint(env, place))?;
        let listen = ListenOptions {
            reuse_port: place.property(env, "reusePort").is_true(env),
            ipv6_only: place.property(env, "ipv6Only").is_true(env),
            ..ListenOptions::default()
        };
        let addon = env.instance::<Addon>()?;
        let application = JsApplication::new(env, callbacks, addon.seats.clone(), addon.replies.get()?.clone());
        match Host::open(env, &endpoint, &listen, options, tls.as_ref(), application) {
            Ok(host) => Some(env.uint(addon.keep(host))),
            Err(Refused::Option(why)) => thrown(env, Err(why)),
            Err(Refused::System(why, errno)) => {
                // The number; its name is JavaScript's to find.
                env.throw_code("Error", &why, errno.map(|errno| errno.to_string()).as_deref());
                None
            }
        }
    }
);

/// A wrong option, as JavaScript's error.
fn thrown<T>(env: Env, result: Result<T, String>) -> Option<T> {
    result.map_err(|why| env.throw_code("TypeError", &why, Some("ERR_INVALID_ARG_TYPE"))).ok()
}

/// Where to listen.
fn endpoint(env: Env, place: Value) -> Result<Endpoint, String> {
    if let Some(path) = place.property(env, "unix").as_string(env) {
        return Ok(Endpoint::Unix(path.into()));
    }
    let name = text(env, place.property(env, "hostname"));
    let ip = address(&name).ok_or_else(|| format!("serve: hostname: {name:?} is no address of this machine"))?;
    Ok(Endpoint::Tcp(SocketAddr::new(ip, place.property(env, "port").as_u32(env) as u16)))
}

/// An address, or what a name of this machine stands for.
fn address(name: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    name.parse().ok().or_else(|| (name, 0).to_socket_addrs().ok()?.next().map(|address| address.ip()))
}

native!(
    /// configure(server, limits, tls): other limits, also for open sockets, and with `tls` other certificates for those that come. What is
    /// wrong changes nothing.
    configure,
    3,
    |env, [server, limits, tls]| {
        let options = thrown(env, options::limits(env, limits))?;
        let local = &host(env, server)?.local;
        if let Some(tls) = options::tls(env, tls) {
            thrown(env, local.reload_tls(&tls).map_err(|error| options::tls_error(&error)))?;
        }
        local.configure(options);
        None
    }
);

native!(
    /// port(server): the port, or undefined on a unix socket.
    port,
    1,
    |env, [server]| match host(env, server)?.endpoint {
        Some(Endpoint::Tcp(address)) => Some(env.uint(u32::from(address.port()))),
        _ => None,
    }
);

native!(
    /// stop(server, seconds): closes everything; cuts off what is left after so long.
    stop,
    2,
    |env, [server, patience]| {
        host(env, server)?.stop(Duration::from_secs_f64(patience.as_f64(env).max(0.0)));
        None
    }
);

native!(
    /// forget(server): it has stopped.
    forget,
    1,
    |env, [server]| {
        let host = env.instance::<Addon>()?.hosts.borrow_mut().remove(&server.as_u32(env));
        drop(host); // with its handlers
        None
    }
);

native!(
    /// keepAlive(server, keep): whether it keeps the process alive.
    keep_alive,
    2,
    |env, [server, keep]| {
        host(env, server)?.keep_alive(keep.is_true(env));
        None
    }
);

native!(
    /// population(server, sockets): how many WebSockets are open, or how many requests are not answered.
    population,
    2,
    |env, [server, sockets]| {
        let host = host(env, server)?;
        let count = if sockets.is_true(env) { host.local.population().1 } else { host.application.population() };
        Some(env.number(count as f64))
    }
);

native!(
    /// subscriberCount(server, topic)
    subscriber_count,
    2,
    |env, [server, topic]| {
        let count = host(env, server)?.membership.group.subscriber_count(&text(env, topic));
        Some(env.number(count as f64))
    }
);

native!(
    /// serverPublish(server, topic, data, compress): as send, to everybody.
    server_publish,
    4,
    |env, [server, topic, data, compress]| {
        let (host, topic) = (host(env, server)?, text(env, topic));
        let compress = Compress::from(compress.is_true(env));
        status(env, with_data(env, data, |data| host.local.publish_with(&topic, data, compress)))
    }
);

//! What JavaScript calls. Arguments have been shaped there; what is checked here is what only the engine knows.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewire::engine::{LocalSocket, Options};
use tidewire::http::UpgradeError;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Kind, Payload, Response, SendStatus, SocketError};

use crate::application::{Callbacks, JsApplication};
use crate::host::Host;
use crate::napi::{Env, Slab, Value};
use crate::native;
use crate::seats::Seats;

/// What the addon keeps for one environment.
#[derive(Default)]
struct Addon {
    /// By number; empty once stopped.
    hosts: RefCell<Vec<Option<Rc<Host>>>>,
    scratch: RefCell<Vec<u8>>,
    seats: Rc<Seats>,
    /// Given by JavaScript before anything else.
    slab: OnceCell<Rc<Slab>>,
    /// Some host must be told when JavaScript may have sent.
    tell: Cell<bool>,
}

impl Addon {
    /// JavaScript calls something that may send.
    fn touched(&self) {
        if self.tell.get() {
            self.hosts.borrow().iter().flatten().for_each(|host| host.touched());
        }
    }
}

/// Gives the module its functions.
pub fn register(env: Env, exports: Value) {
    env.set_instance(Addon::default());
    let functions: [(&str, crate::napi::Callback); 25] = [
        ("share", share),
        ("create", create),
        ("port", port),
        ("stop", stop),
        ("forget", forget),
        ("keepAlive", keep_alive),
        ("population", population),
        ("subscriberCount", subscriber_count),
        ("serverPublish", server_publish),
        ("upgrade", upgrade),
        ("respond", respond),
        ("readBody", read_body),
        ("fatal", fatal),
        ("send", send),
        ("sendSmall", send_small),
        ("publish", publish),
        ("subscribe", subscribe),
        ("unsubscribe", unsubscribe),
        ("isSubscribed", is_subscribed),
        ("subscriptions", subscriptions),
        ("close", close),
        ("terminate", terminate),
        ("control", control),
        ("readyState", ready_state),
        ("bufferedAmount", buffered_amount),
    ];
    for (name, function) in functions {
        env.define(exports, name, function);
    }
}

fn host(env: Env, number: Value) -> Option<Rc<Host>> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.hosts.borrow().get(number.as_u32(env) as usize)?.clone()
}

/// Calls `with` with the socket of a seat; `with` must not call JavaScript.
fn with_socket<R>(env: Env, seat: Value, with: impl FnOnce(&LocalSocket) -> R) -> Option<R> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.seats.with(seat.as_u32(env), with)
}

/// The socket of a seat, for what may call JavaScript.
fn socket(env: Env, seat: Value) -> Option<LocalSocket> {
    let addon = env.instance::<Addon>()?;
    addon.touched();
    addon.seats.socket(seat.as_u32(env))
}

/// Bytes or text of JavaScript's, as a payload.
struct Data<'a>(Kind, &'a [u8]);

impl Payload for Data<'_> {
    fn kind(&self) -> Kind {
        self.0
    }

    fn bytes(&self) -> &[u8] {
        self.1
    }
}

/// Calls `with` with a string as text, or with a view as bytes.
fn with_data<R>(env: Env, value: Value, with: impl Fn(Data<'_>) -> R) -> Option<R> {
    let scratch = &mut *env.instance::<Addon>()?.scratch.borrow_mut();
    value
        .with_text(env, scratch, |text| with(Data(Kind::Text, text.as_bytes())))
        .or_else(|| value.with_bytes(env, |bytes| with(Data(Kind::Binary, bytes))))
}

/// The numbers of the contract. An empty message answers 0 as a dropped one does: so does Bun.
fn status(env: Env, status: Option<SendStatus>) -> Option<Value> {
    let number = status.unwrap_or(SendStatus::Dropped).to_number();
    Some(i32::try_from(number).map_or_else(|_| env.number(number as f64), |small| env.int(small)))
}

fn text(env: Env, value: Value) -> String {
    value.as_string(env).unwrap_or_default()
}

/// Throws what the engine says, as the contract's class of error.
fn thrown<T>(env: Env, result: Result<T, SocketError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let class = match error {
                SocketError::EmptyTopic => "TypeError",
                _ => "RangeError",
            };
            env.throw(class, &error.to_string());
            None
        }
    }
}

native!(
    /// share(view): memory for small payloads, before anything else.
    share,
    1,
    |env, [view]| {
        let shared = view.as_slab(env).map(|slab| env.instance::<Addon>().map(|addon| addon.slab.set(Rc::new(slab))));
        if shared.is_none() {
            env.throw("TypeError", "share expects a Uint8Array");
        }
        None
    }
);

native!(
    /// create(callbacks, hostname, port, unix, flags, limits...): the number of a new server.
    create,
    11,
    |env, [callbacks, hostname, port, unix, flags, payload, idle, backpressure, http_idle, body, fragments]| {
        let Some(callbacks) = Callbacks::from(env, callbacks) else {
            env.throw("TypeError", "a callback is missing");
            return None;
        };
        let flags = flags.as_u32(env);
        let options = Options {
            max_payload_length: payload.as_f64(env) as usize,
            idle_timeout: Duration::from_secs_f64(idle.as_f64(env)),
            backpressure_limit: backpressure.as_f64(env) as usize,
            http_idle_timeout: Duration::from_secs_f64(http_idle.as_f64(env)),
            max_request_body: body.as_f64(env) as u64,
            max_fragments: fragments.as_u32(env),
            close_on_backpressure_limit: flags & 1 != 0,
            send_pings: flags & 2 != 0,
            publish_to_self: flags & 4 != 0,
            ..Options::default()
        };
        let listen = ListenOptions { reuse_port: flags & 8 != 0, ipv6_only: flags & 16 != 0, ..ListenOptions::default() };
        let endpoint = match unix.as_string(env) {
            Some(path) => Endpoint::Unix(path.into()),
            None => {
                let name = text(env, hostname);
                let Some(ip) = address(&name) else {
                    env.throw("TypeError", &format!("hostname: {name:?} is no address of this machine"));
                    return None;
                };
                Endpoint::Tcp(SocketAddr::new(ip, port.as_u32(env) as u16))
            }
        };
        let addon = env.instance::<Addon>()?;
        let application = JsApplication::new(env, callbacks, addon.seats.clone(), addon.slab.get()?.clone());
        match Host::open(env, &endpoint, &listen, options, application) {
            Ok(host) => {
                addon.tell.set(addon.tell.get() || host.must_be_told());
                let hosts = &mut *addon.hosts.borrow_mut();
                hosts.push(Some(host));
                Some(env.uint(hosts.len() as u32 - 1))
            }
            Err(why) => {
                env.throw("Error", &why);
                None
            }
        }
    }
);

/// An address, or what a name of this machine stands for.
fn address(name: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    name.parse().ok().or_else(|| (name, 0).to_socket_addrs().ok()?.next().map(|address| address.ip()))
}

native!(
    /// port(server): the port, or undefined on a unix socket.
    port,
    1,
    |env, [server]| match host(env, server)?.endpoint {
        Endpoint::Tcp(address) => Some(env.uint(u32::from(address.port()))),
        Endpoint::Unix(_) => None,
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
        let place = server.as_u32(env) as usize;
        let host = env.instance::<Addon>()?.hosts.borrow_mut().get_mut(place)?.take();
        drop(host);
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
        let count = if sockets.is_true(env) { host.local.population().1 } else { host.application.pending.borrow().len() };
        Some(env.number(count as f64))
    }
);

native!(
    /// subscriberCount(server, topic)
    subscriber_count,
    2,
    |env, [server, topic]| {
        let count = host(env, server)?.group.subscriber_count(&text(env, topic));
        Some(env.number(count as f64))
    }
);

native!(
    /// serverPublish(server, topic, data): as send, to everybody.
    server_publish,
    3,
    |env, [server, topic, data]| {
        let (host, topic) = (host(env, server)?, text(env, topic));
        status(env, with_data(env, data, |data| host.local.publish(&topic, data)))
    }
);

/// Headers from a flat list of names and values; `None` and an exception when one cannot be sent.
fn headers(env: Env, flat: Value) -> Option<HeaderMap> {
    let flat = flat.as_strings(env)?;
    let mut headers = HeaderMap::with_capacity(flat.len() / 2);
    for pair in flat.chunks_exact(2) {
        // A character is a byte, as the Fetch standard has it.
        let bytes: Option<Vec<u8>> = pair[1].chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        match (HeaderName::try_from(pair[0].as_str()), value) {
            (Ok(name), Some(value)) => {
                headers.append(name, value);
            }
            _ => {
                env.throw("TypeError", &UpgradeError::Header(pair[0].clone()).to_string());
                return None;
            }
        }
    }
    Some(headers)
}

native!(
    /// upgrade(server, request, headers): whether the request is a WebSocket now; `open` has run then.
    upgrade,
    3,
    |env, [server, number, flat]| {
        let (host, number) = (host(env, server)?, number.as_u32(env));
        let seats = &env.instance::<Addon>()?.seats;
        let headers = headers(env, flat)?;
        // Out of reach for what `open` may do.
        let Some(pending) = host.application.pending.borrow_mut().remove(&number) else {
            return Some(env.boolean(false));
        };
        let request = http::Request::from_parts(pending.parts, ());
        let seat = seats.reserve();
        let result = host.enter(|| pending.responder.upgrade(&request, &headers, Some(seat.clone())));
        if let Err(error) = &result {
            seats.leave(seat.number());
            let pending = crate::application::Pending {
                parts: request.into_parts().0,
                responder: pending.responder,
                body: pending.body,
            };
            host.application.pending.borrow_mut().insert(number, pending);
            if matches!(error, UpgradeError::Usage(_)) {
                env.throw("TypeError", &error.to_string());
                return None;
            }
        }
        Some(env.boolean(result.is_ok()))
    }
);

native!(
    /// respond(server, request, status, headers, body): answers a request.
    respond,
    5,
    |env, [server, number, code, flat, body]| {
        let host = host(env, server)?;
        let headers = headers(env, flat)?;
        let body = with_data(env, body, |data| data.1.to_vec()).unwrap_or_default();
        let pending = host.application.pending.borrow_mut().remove(&number.as_u32(env))?;
        let mut response = Response::new(body.into());
        *response.status_mut() =
            StatusCode::from_u16(code.as_u32(env) as u16).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        // The length is the body's, whatever the application says.
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        response.headers_mut().remove(http::header::TRANSFER_ENCODING);
        pending.responder.respond(response);
        None
    }
);

native!(
    /// readBody(server, request): has the `body` callback called with all of it.
    read_body,
    2,
    |env, [server, number]| {
        let host = host(env, server)?;
        host.application.read_body(number.as_u32(env), &host.local);
        None
    }
);

native!(
    /// fatal(error): the process's uncaught-exception path.
    fatal,
    1,
    |env, [error]| {
        env.fatal(error);
        None
    }
);

native!(
    /// send(seat, data): bytes, -1 or 0.
    send,
    2,
    |env, [seat, data]| {
        let sent = with_socket(env, seat, |socket| with_data(env, data, |data| socket.send(data)));
        status(env, sent.flatten())
    }
);

native!(
    /// sendSmall(seat, length): as send, of bytes that are in the slab.
    send_small,
    2,
    |env, [seat, length]| {
        let slab = env.instance::<Addon>()?.slab.get()?;
        let sent = with_socket(env, seat, |socket| slab.read(length.as_u32(env) as usize, |bytes| socket.send(bytes)));
        status(env, sent)
    }
);

native!(
    /// publish(seat, topic, data): as send, the worst subscriber's answer.
    publish,
    3,
    |env, [seat, topic, data]| {
        let topic = text(env, topic);
        let sent = with_socket(env, seat, |socket| with_data(env, data, |data| socket.publish(&topic, data)));
        status(env, sent.flatten())
    }
);

native!(
    /// subscribe(seat, topic)
    subscribe,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        thrown(env, with_socket(env, seat, |socket| socket.subscribe(&topic))?).map(|is| env.boolean(is))
    }
);

native!(
    /// unsubscribe(seat, topic)
    unsubscribe,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        thrown(env, with_socket(env, seat, |socket| socket.unsubscribe(&topic))?).map(|is| env.boolean(is))
    }
);

native!(
    /// isSubscribed(seat, topic)
    is_subscribed,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        with_socket(env, seat, |socket| socket.is_subscribed(&topic)).map(|is| env.boolean(is))
    }
);

native!(
    /// subscriptions(seat): names.
    subscriptions,
    1,
    |env, [seat]| {
        let names = with_socket(env, seat, LocalSocket::subscriptions)?;
        Some(env.strings(names.iter().map(|name| &**name)))
    }
);

native!(
    /// close(seat, code, reason): `close` has run when it returns.
    close,
    3,
    |env, [seat, code, reason]| {
        let code = u16::try_from(code.as_u32(env)).unwrap_or(u16::MAX);
        thrown(env, socket(env, seat)?.close(code, &text(env, reason)));
        None
    }
);

native!(
    /// terminate(seat)
    terminate,
    1,
    |env, [seat]| {
        socket(env, seat)?.terminate();
        None
    }
);

native!(
    /// control(seat, isPing, data): as send.
    control,
    3,
    |env, [seat, ping, data]| {
        let ping = ping.is_true(env);
        let send = |socket: &LocalSocket, data: Data<'_>| if ping { socket.ping(data.1) } else { socket.pong(data.1) };
        let sent = with_socket(env, seat, |socket| with_data(env, data, |data| send(socket, data))).flatten();
        status(env, thrown(env, sent.transpose()).flatten())
    }
);

native!(
    /// readyState(seat): 1, 2 or 3.
    ready_state,
    1,
    |env, [seat]| with_socket(env, seat, |socket| env.uint(socket.ready_state() as u32))
);

native!(
    /// bufferedAmount(seat): bytes that the kernel has not taken.
    buffered_amount,
    1,
    |env, [seat]| with_socket(env, seat, |socket| env.number(socket.buffered_amount() as f64))
);

//! What JavaScript calls to begin connections of its own. The sockets are then called as a server's are, by their seats.

use tidewire::Compressor;
use tidewire::engine::{Dial, Proxy};
use tidewire::tls::{Certificate, ClientTls, Connector, Source, TlsError};

use super::{Addon, host, socket, text, thrown};
use crate::application::{Callbacks, JsApplication};
use crate::host::Host;
use crate::napi::{Callback, Env, Value};
use crate::native;
use crate::options;

pub(super) const FUNCTIONS: &[(&str, Callback)] =
    &[("createClients", create_clients), ("dial", dial), ("closeClient", close_client)];

native!(
    /// createClients(callbacks, limits): the number of a host for connections that this side begins.
    create_clients,
    2,
    |env, [callbacks, limits]| {
        let Some(callbacks) = Callbacks::from(env, callbacks) else {
            env.throw("TypeError", "a callback is missing");
            return None;
        };
        let addon = env.instance::<Addon>()?;
        let application = JsApplication::new(env, callbacks, addon.seats.clone(), addon.replies.get()?.clone());
        match Host::clients(env, options::client_limits(env, limits), application) {
            Ok(host) => Some(env.uint(addon.keep(host))),
            Err(why) => {
                env.throw("Error", &why);
                None
            }
        }
    }
);

native!(
    /// dial(host, what): begins a connection; its seat. `what` is what lib/dial.cjs has made of a WebSocket's arguments.
    dial,
    2,
    |env, [number, what]| {
        let host = host(env, number)?;
        let seats = &env.instance::<Addon>()?.seats;
        let dial = dialed(env, what).map_err(|why| env.throw("TypeError", &why)).ok()?;
        let seat = seats.reserve();
        match host.connect(&dial, seat.clone()) {
            Ok(socket) => {
                seats.take(seat.number(), &socket);
                Some(env.uint(seat.number()))
            }
            Err(error) => {
                seats.leave(seat.number());
                env.throw("TypeError", &format!("WebSocket: {error}"));
                None
            }
        }
    }
);

native!(
    /// closeClient(seat, code, reason): begins the closing handshake; a code that is undefined is left out.
    close_client,
    3,
    |env, [seat, code, reason]| {
        let socket = socket(env, seat)?;
        if code.is_undefined(env) {
            socket.close_without_code();
        } else {
            let code = u16::try_from(code.as_u32(env)).unwrap_or(u16::MAX);
            thrown(env, socket.close(code, &text(env, reason)))?;
        }
        None
    }
);

/// A connection to begin, out of `{url, protocols, headers, deflate, tls, proxy}`; else what is wrong, naming the option.
fn dialed(env: Env, what: Value) -> Result<Dial, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("WebSocket: {error}");
    let url = text(env, what.property(env, "url"));
    let mut dial = Dial::to(&url).map_err(|error| wrong(&error))?;
    for protocol in what.property(env, "protocols").elements(env) {
        dial = dial.protocol(&text(env, protocol));
    }
    for (name, value) in pairs(env, what.property(env, "headers")) {
        dial = dial.header(&name, &value);
    }
    // Each has contexts of its own, as in browsers and Bun: there are few of them in a process.
    let offered = what.property(env, "deflate").is_true(env);
    dial = dial.per_message_deflate(if offered { Compressor::Dedicated } else { Compressor::Disable });
    if let Some(connector) = connector(env, what.property(env, "tls"), "tls")? {
        dial = dial.tls(&connector);
    }
    let way = what.property(env, "proxy");
    if way.is_undefined(env) {
        return Ok(dial);
    }
    let mut proxy = Proxy::at(&text(env, way.property(env, "url"))).map_err(|error| format!("WebSocket: proxy: {error}"))?;
    for (name, value) in pairs(env, way.property(env, "headers")) {
        proxy = proxy.header(&name, &value);
    }
    if let Some(connector) = connector(env, way.property(env, "tls"), "proxy.tls")? {
        proxy = proxy.tls(&connector);
    }
    Ok(dial.proxy(proxy))
}

fn pairs(env: Env, flat: Value) -> Vec<(String, String)> {
    let list: Vec<String> = flat.elements(env).into_iter().map(|part| text(env, part)).collect();
    list.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// How to speak TLS, out of `{ca, cert, key, passphrase, serverName, verify}`; `None`: as usual.
fn connector(env: Env, tls: Value, option: &str) -> Result<Option<Connector>, String> {
    if tls.is_undefined(env) {
        return Ok(None);
    }
    let bytes = |value: Value| value.with_bytes(env, <[u8]>::to_vec);
    let mut made = ClientTls::new().insecure(!tls.property(env, "verify").is_true(env));
    for ca in tls.property(env, "ca").elements(env) {
        made = made.ca(Source::Bytes(bytes(ca).unwrap_or_default()));
    }
    if let (Some(cert), Some(key)) = (bytes(tls.property(env, "cert")), bytes(tls.property(env, "key"))) {
        let mut certificate = Certificate::bytes(cert, key);
        if let Some(passphrase) = tls.property(env, "passphrase").as_string(env) {
            certificate = certificate.passphrase(passphrase);
        }
        made = made.certificate(certificate);
    }
    if let Some(name) = tls.property(env, "serverName").as_string(env) {
        made = made.server_name(name);
    }
    let wrong = |error| match error {
        TlsError::Wrong { option: part, problem, .. } => format!("WebSocket: {option}.{part}: {problem}"),
        TlsError::Name(name) => format!("WebSocket: {option}.serverName: {name:?} is no DNS name"),
        error => format!("WebSocket: {option}: {error}"),
    };
    made.build().map(Some).map_err(wrong)
}

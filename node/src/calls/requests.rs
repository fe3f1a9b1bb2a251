//! What JavaScript calls of a request.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewire::http::UpgradeError;
use tidewire::{Body, Response};

use super::{Addon, host, with_data};
use crate::application::Pending;
use crate::napi::{Callback, Env, Value};
use crate::native;

pub(super) const FUNCTIONS: &[(&str, Callback)] = &[
    ("upgrade", upgrade),
    ("respond", respond),
    ("respondStream", respond_stream),
    ("writeBody", write_body),
    ("endBody", end_body),
    ("keepBody", keep_body),
    ("pullBody", pull_body),
    ("cancelBody", cancel_body),
    ("watch", watch),
    ("timeout", timeout),
];

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
            if let Some(response) = another_version(error) {
                pending.responder.respond(response);
                return Some(env.boolean(false));
            }
            let pending = Pending {
                parts: request.into_parts().0,
                responder: pending.responder,
                body: pending.body,
                left: pending.left,
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

/// A response but for its body.
fn head(env: Env, code: Value, flat: Value) -> Option<Response> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(code.as_u32(env) as u16).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers(env, flat)?;
    // How the body is framed is not for the application to say.
    response.headers_mut().remove(http::header::TRANSFER_ENCODING);
    Some(response)
}

/// The answer to a client that speaks another version of the protocol. It is given here, once, whatever `fetch` returns
/// afterwards, as Bun does.
fn another_version(error: &UpgradeError) -> Option<Response> {
    let mut response = error.to_response();
    *response.body_mut() = "".into();
    (response.status() == StatusCode::UPGRADE_REQUIRED).then_some(response)
}

native!(
    /// respond(server, request, status, headers, body): answers a request.
    respond,
    5,
    |env, [server, number, code, flat, body]| {
        let host = host(env, server)?;
        let mut response = head(env, code, flat)?;
        // The length is the body's, whatever the application says.
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        *response.body_mut() = with_data(env, body, |data| data.1.to_vec()).unwrap_or_default().into();
        let pending = host.application.pending.borrow_mut().remove(&number.as_u32(env))?;
        pending.responder.respond(response);
        None
    }
);

native!(
    /// respondStream(server, request, status, headers): begins an answer; `writeBody` and `endBody` follow. Whether the request still
    /// waited for one. A Content-Length that is given must be that of the body.
    respond_stream,
    4,
    |env, [server, number, code, flat]| {
        let (host, number) = (host(env, server)?, number.as_u32(env));
        let mut response = head(env, code, flat)?;
        let Some(pending) = host.application.pending.borrow_mut().remove(&number) else { return Some(env.boolean(false)) };
        let gone = pending.responder.peer_gone();
        *response.body_mut() = Body::stream(host.application.outgoing.begin(number, gone));
        pending.responder.respond(response);
        Some(env.boolean(true))
    }
);

native!(
    /// writeBody(server, request, chunk): whether there is room for more; else `room` is called once there is.
    write_body,
    3,
    |env, [server, number, chunk]| {
        let (host, number) = (host(env, server)?, number.as_u32(env));
        with_data(env, chunk, |data| host.application.outgoing.write(number, data.1)).map(|room| env.boolean(room))
    }
);

native!(
    /// endBody(server, request, error): the end of a response; with a string, it breaks off.
    end_body,
    3,
    |env, [server, number, error]| {
        let result = error.as_string(env).map_or(Ok(()), Err);
        host(env, server)?.application.outgoing.end(number.as_u32(env), result);
        None
    }
);

native!(
    /// keepBody(server, request): `pullBody` will read the request's body, also after the answer. Whether there is one.
    keep_body,
    2,
    |env, [server, number]| Some(env.boolean(host(env, server)?.application.keep_body(number.as_u32(env))))
);

native!(
    /// pullBody(server, request): has the `body` callback called with the next piece.
    pull_body,
    2,
    |env, [server, number]| {
        let host = host(env, server)?;
        host.application.pull_body(number.as_u32(env), &host.local);
        None
    }
);

native!(
    /// cancelBody(server, request): nobody reads the rest.
    cancel_body,
    2,
    |env, [server, number]| {
        host(env, server)?.application.incoming.cancel(number.as_u32(env));
        None
    }
);

native!(
    /// watch(server, request): has the `gone` callback called once it is done with; false. True: its peer has left already. Undefined: it is
    /// done with, or its connection is gone.
    watch,
    2,
    |env, [server, number]| {
        let host = host(env, server)?;
        host.application.watch(number.as_u32(env), &host.local).map(|left| env.boolean(left))
    }
);

native!(
    /// timeout(server, request, seconds): how long its connection may make no progress until it is answered; 0: for ever.
    timeout,
    3,
    |env, [server, number, seconds]| {
        let host = host(env, server)?;
        let pending = host.application.pending.borrow();
        let seconds = Duration::try_from_secs_f64(seconds.as_f64(env)).unwrap_or(Duration::MAX);
        pending.get(&number.as_u32(env))?.responder.set_idle_timeout(seconds);
        None
    }
);

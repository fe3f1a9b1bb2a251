//! What JavaScript calls of a request.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewire::Response;
use tidewire::http::UpgradeError;

use super::{Addon, host, with_data};
use crate::application::Pending;
use crate::napi::{Callback, Env, Value};
use crate::native;

pub(super) const FUNCTIONS: &[(&str, Callback)] = &[("upgrade", upgrade), ("respond", respond), ("readBody", read_body)];

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
            let pending = Pending {
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

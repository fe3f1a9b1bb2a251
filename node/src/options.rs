//! The limits of a server, out of JavaScript's object. Their names are those of lib/options.cjs, which has checked their types.

use std::time::Duration;

use tidewire::{Compressor, Deflate, Options};

use crate::napi::{Env, Value};

/// Reads limits; the error names the option.
pub fn limits(env: Env, object: Value) -> Result<Options, String> {
    let number = |name| object.property(env, name).as_f64(env);
    let is = |name| object.property(env, name).is_true(env);
    // What is too long for a Duration is as good as for ever.
    let seconds = |name| Duration::try_from_secs_f64(number(name)).unwrap_or(Duration::MAX);
    let compressor = |name: &str| -> Result<Compressor, String> {
        let given = object.property(env, name).as_string(env).unwrap_or_default();
        given.parse().map_err(|error| format!("serve: websocket.perMessageDeflate.{name}: {error}"))
    };
    Ok(Options {
        max_payload_length: number("maxPayloadLength") as usize,
        max_fragments: number("maxFragments") as u32,
        idle_timeout: seconds("idleTimeout"),
        backpressure_limit: number("backpressureLimit") as usize,
        close_on_backpressure_limit: is("closeOnBackpressureLimit"),
        send_pings: is("sendPings"),
        publish_to_self: is("publishToSelf"),
        per_message_deflate: Deflate { compress: compressor("compress")?, decompress: compressor("decompress")? },
        http_idle_timeout: seconds("httpIdleTimeout"),
        max_request_body: number("maxRequestBodySize") as u64,
        ..Options::default()
    })
}

//! The limits of a server and its certificates, out of JavaScript's object. Their names are those of lib/options.cjs, which has checked their types.

use std::time::Duration;

use tidewire::tls::{Certificate, Source, Tls, TlsError};
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

/// Reads the limits of clients, `{maxPayloadLength, connectTimeout, closeTimeout}`. What is sent waits for as long as it must and
/// a silent server stays: so says the standard.
pub fn client_limits(env: Env, object: Value) -> Options {
    let number = |name| object.property(env, name).as_f64(env);
    Options {
        max_payload_length: number("maxPayloadLength") as usize,
        connect_timeout: Duration::from_secs_f64(number("connectTimeout")),
        close_timeout: Duration::from_secs_f64(number("closeTimeout")),
        backpressure_limit: usize::MAX,
        idle_timeout: Duration::ZERO,
        ..Options::default()
    }
}

/// Reads what lib/tls.cjs has made of `tls`: `{certificates: [{cert, key, passphrase, serverName}], ca: [..], requestCert,
/// rejectUnauthorized}`; `None` when there is none.
pub fn tls(env: Env, object: Value) -> Option<Tls> {
    let bytes = |value: Value| value.with_bytes(env, <[u8]>::to_vec).unwrap_or_default();
    let mut tls: Option<Tls> = None;
    for entry in object.property(env, "certificates").elements(env) {
        let mut certificate = Certificate::bytes(bytes(entry.property(env, "cert")), bytes(entry.property(env, "key")));
        if let Some(passphrase) = entry.property(env, "passphrase").as_string(env) {
            certificate = certificate.passphrase(passphrase);
        }
        if let Some(name) = entry.property(env, "serverName").as_string(env) {
            certificate = certificate.server_name(name);
        }
        tls = Some(match tls {
            None => Tls::new(certificate),
            Some(tls) => tls.certificate(certificate),
        });
    }
    let tls = object.property(env, "ca").elements(env).into_iter().fold(tls?, |tls, ca| tls.ca(Source::Bytes(bytes(ca))));
    let is = |name| object.property(env, name).is_true(env);
    Some(tls.request_cert(is("requestCert")).reject_unauthorized(is("rejectUnauthorized")))
}

/// What is wrong with certificates, with the options' names in JavaScript.
pub fn tls_error(error: &TlsError) -> String {
    match error {
        TlsError::Wrong { option, from, problem } => format!("serve: tls.{option} ({from}): {problem}"),
        TlsError::Name(name) => format!("serve: tls.serverName: {name:?} is no DNS name, nor `*.` and one"),
        error => format!("serve: {error}"),
    }
}

use http::HeaderValue;

use super::*;

const KEY: &[u8; 24] = b"dGhlIHNhbXBsZSBub25jZQ==";

fn write(request: &Request<'_>) -> Result<String, UsageError> {
    let mut out = Vec::new();
    let outcome = request.write(&mut out);
    assert!(outcome.is_ok() || out.is_empty(), "nothing is written in vain");
    outcome.map(|()| String::from_utf8(out).expect("UTF-8"))
}

fn request<'a>() -> Request<'a> {
    Request::new("server.example.com:8080", "/chat?room=1", KEY)
}

#[test]
fn the_head_of_a_request() {
    let request = request().protocol("chat").protocol("superchat").header("Origin", "http://example.com").header("x-a", "ü");
    assert_eq!(
        write(&request).as_deref(),
        Ok("GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://example.com\r\nx-a: ü\r\n\r\n")
    );
}

#[test]
fn contract_34_what_the_application_may_override() {
    // As seen on Bun 1.4.5.
    let custom = [
        ("HOST", "custom"),
        ("Connection", "close"),
        ("upgrade", "h2c"),
        ("Sec-WebSocket-Version", "9"),
        ("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEC=="),
        ("Sec-WebSocket-Protocol", "hp ,, hq"),
        ("Sec-WebSocket-Extensions", "foo"),
        ("Sec-WebSocket-Accept", "x"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("X-A", "1"),
    ];
    let request = custom.iter().fold(request(), |request, (name, value)| request.header(name, value));
    assert_eq!(
        write(&request).as_deref(),
        Ok("GET /chat?room=1 HTTP/1.1\r\nHost: custom\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: hp, hq\r\nX-A: 1\r\n\r\n")
    );
    assert_eq!((request.key(), request.offered()), (b"AQIDBAUGBwgJCgsMDQ4PEC==", vec!["hp", "hq"]));

    let request = request.protocol("argument").header("Sec-WebSocket-Key", "ignored: the second of its name");
    assert_eq!(request.offered(), ["argument"]);
    assert_eq!(self::request().header("Sec-WebSocket-Key", "bad").key(), KEY);
}

#[test]
fn hardening_8_nothing_can_be_smuggled_into_the_head() {
    for bad in ["a\rb", "a\nb", "a\0b", "a\r\nX: y"] {
        assert_eq!(write(&request().header("x-a", bad)), Err(UsageError::HeaderValue("x-a".into())), "{bad:?}");
        assert_eq!(write(&request().header(bad, "x")), Err(UsageError::HeaderName(bad.into())), "{bad:?}");
        assert_eq!(write(&request().protocol(bad)), Err(UsageError::Protocol(bad.into())), "{bad:?}");
        assert_eq!(write(&request().header("Host", bad)), Err(UsageError::Host(bad.into())), "{bad:?}");
        assert_eq!(write(&request().header("sec-websocket-key", bad)), Err(UsageError::HeaderValue("sec-websocket-key".into())));
        assert_eq!(write(&Request::new(bad, "/", KEY)), Err(UsageError::Host(bad.into())), "{bad:?}");
        let path = format!("/{bad}");
        assert_eq!(write(&Request::new("host", &path, KEY)), Err(UsageError::Path(path.clone())), "{bad:?}");
    }
    for path in ["", "chat", "/a b", "/a#b", "/ü", "http://host/"] {
        assert_eq!(write(&Request::new("host", path, KEY)), Err(UsageError::Path(path.into())));
    }
    for host in ["", "a b", "bücher.example"] {
        assert_eq!(write(&Request::new(host, "/", KEY)), Err(UsageError::Host(host.into())));
    }
    for name in ["", "a b", "a:", "ü"] {
        assert_eq!(write(&request().header(name, "x")), Err(UsageError::HeaderName(name.into())));
    }
    assert!(write(&request().header("x-a", "a\tb")).is_ok_and(|head| head.contains("x-a: a\tb\r\n")), "a tab is a blank");
    assert_eq!(write(&request().protocol("a").protocol("a")), Err(UsageError::RepeatedProtocol("a".into())));
    assert_eq!(write(&request().protocol("")), Err(UsageError::Protocol(String::new())));
}

const GOOD: &[(&str, &str)] =
    &[("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")];

/// Judges the good response with all lines of one name replaced.
fn judge(name: &str, values: &[&str], offered: &[&'static str]) -> Result<Option<&'static str>, HandshakeError> {
    let mut headers = HeaderMap::new();
    let kept = GOOD.iter().copied().filter(|(other, _)| *other != name);
    for (name, value) in kept.chain(values.iter().map(|value| (name, *value))) {
        headers.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"));
    }
    check(StatusCode::SWITCHING_PROTOCOLS, &headers, KEY, offered, None).map(|accepted| accepted.protocol)
}

#[test]
fn contract_29_status_upgrade_connection_and_accept_are_verified() {
    assert_eq!(judge("x-a", &["1"], &[]), Ok(None));
    for status in [StatusCode::OK, StatusCode::FOUND, StatusCode::UNAUTHORIZED, StatusCode::UPGRADE_REQUIRED] {
        assert_eq!(check(status, &HeaderMap::new(), KEY, &[], None), Err(HandshakeError::Status(status.as_u16())));
    }
    for values in [&[][..], &["h2c"], &["websocket, h2c"], &[""]] {
        assert_eq!(judge("upgrade", values, &[]), Err(HandshakeError::Upgrade), "{values:?}");
    }
    for values in [&[][..], &["close"], &[""]] {
        assert_eq!(judge("connection", values, &[]), Err(HandshakeError::Connection), "{values:?}");
    }
    let right = GOOD[2].1;
    for values in [&[][..], &[""], &["S3pPLMBiTxaQ9kYGzzhZRbK+xOo="], &[right, right], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"]] {
        assert_eq!(judge("sec-websocket-accept", values, &[]), Err(HandshakeError::Accept), "{values:?}");
    }
}

#[test]
fn contract_29_only_an_offered_subprotocol_once_and_no_extension() {
    const NAME: &str = "sec-websocket-protocol";
    assert_eq!(judge(NAME, &["b"], &["a", "b"]), Ok(Some("b")));
    assert_eq!(judge(NAME, &["b"], &[]), Err(HandshakeError::Protocol));
    assert_eq!(judge(NAME, &["c"], &["a", "b"]), Err(HandshakeError::Protocol));
    assert_eq!(judge(NAME, &["B"], &["a", "b"]), Err(HandshakeError::Protocol), "case counts");
    assert_eq!(judge(NAME, &["a", "a"], &["a", "b"]), Err(HandshakeError::Protocol));
    assert_eq!(judge(NAME, &["a, b"], &["a", "b"]), Err(HandshakeError::Protocol));
    assert_eq!(judge(NAME, &[], &["a", "b"]), Err(HandshakeError::NoProtocol));
    assert_eq!(judge(NAME, &[""], &["a", "b"]), Err(HandshakeError::NoProtocol));

    for values in [&["permessage-deflate"][..], &["x-unknown; a=1"], &["", "x"]] {
        assert_eq!(
            judge("sec-websocket-extensions", values, &[]),
            Err(HandshakeError::Extension(AnswerError::NotOffered)),
            "{values:?}"
        );
    }
    assert_eq!(judge("sec-websocket-extensions", &[""], &[]), Ok(None));
}

#[test]
fn a_server_of_ours_satisfies_a_client_of_ours() {
    use crate::handshake::server;
    let key = encode_key(&[0xff; 16]);
    let mut request = HeaderMap::new();
    for (name, value) in [
        (header::HOST, "h"),
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "upgrade"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, std::str::from_utf8(&key).expect("ASCII")),
    ] {
        request.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    let offer = server::check(&http::Method::GET, http::Version::HTTP_11, &request).expect("our request is right");
    let accept = std::str::from_utf8(offer.accept()).expect("ASCII");
    let mut response = HeaderMap::new();
    for (name, value) in [(header::UPGRADE, "websocket"), (header::CONNECTION, "Upgrade"), (header::SEC_WEBSOCKET_ACCEPT, accept)]
    {
        response.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    assert_eq!(check(StatusCode::SWITCHING_PROTOCOLS, &response, &key, &[], None).map(|accepted| accepted.protocol), Ok(None));
}

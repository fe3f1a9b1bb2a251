use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

const GOOD: Lines<'static> = &[
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

/// The good request with all lines of one name replaced.
fn with(name: &str, values: &[&str]) -> HeaderMap {
    let kept = GOOD.iter().copied().filter(|(other, _)| *other != name);
    let lines: Vec<_> = kept.chain(values.iter().map(|value| (name, *value))).collect();
    headers(&lines)
}

fn judge(headers: &HeaderMap) -> Result<Offer, Refusal> {
    check(&Method::GET, Version::HTTP_11, headers)
}

fn response(offer: &Offer, protocol: Option<&str>, application: Lines<'_>) -> Result<String, UsageError> {
    let mut out = Vec::new();
    let outcome = write_response(&mut out, offer, protocol, None, &headers(application));
    assert!(outcome.is_ok() || out.is_empty(), "nothing is written in vain");
    outcome.map(|()| String::from_utf8(out).expect("ASCII"))
}

#[test]
fn the_example_of_rfc_6455_section_1_3() {
    let mut request = headers(GOOD);
    request.insert(header::ORIGIN, HeaderValue::from_static("http://example.com"));
    request.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("chat, superchat"));
    request.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
    let offer = judge(&request).expect("it is right");
    assert_eq!(offer.protocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    assert_eq!(offer.extensions().collect::<Vec<_>>(), ["permessage-deflate"]);
    assert_eq!(
        response(&offer, Some("chat"), &[]).as_deref(),
        Ok("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
    );
}

#[test]
fn contract_1_token_lists_in_any_case_and_over_lines() {
    for values in [&["WebSocket"][..], &["h2c, websocket"], &["foo", " ,WEBSOCKET"], &["websocket,"]] {
        assert!(judge(&with("upgrade", values)).is_ok(), "{values:?}");
    }
    for values in [&[][..], &[""], &["h2c"], &["websocket2"], &["web socket"], &["websocket;q=1"], &["xwebsocket"]] {
        assert_eq!(judge(&with("upgrade", values)).err(), Some(Refusal::Upgrade), "{values:?}");
    }
    for values in [&["keep-alive, UPGRADE"][..], &["keep-alive", "upgrade"], &["upgrade,keep-alive"]] {
        assert!(judge(&with("connection", values)).is_ok(), "{values:?}");
    }
    for values in [&[][..], &["keep-alive"], &["close"], &["upgraded"]] {
        assert_eq!(judge(&with("connection", values)).err(), Some(Refusal::Connection), "{values:?}");
    }
}

#[test]
fn contract_2_the_key_is_base64_of_16_bytes_once() {
    // The second is RFC 6455's own example in section 4.1, whose last letter has unused bits that are set.
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEC==", "AAAAAAAAAAAAAAAAAAAAAA==", "//////////////////////=="] {
        assert!(judge(&with("sec-websocket-key", &[key])).is_ok(), "{key}");
    }
    let twice = ["dGhlIHNhbXBsZSBub25jZQ=="; 2];
    let wrong = [
        &[][..],
        &twice,
        &[""],
        &["dGhlIHNhbXBsZSBub25jZQ"],
        &["dGhlIHNhbXBsZSBub25jZQ="],
        &["dGhlIHNhbXBsZSBub25jZXg="],
        &["dGhlIHNhbXBsZSBub25jZXh4"],
        &["dGhlIHNhbXBsZSBub25j"],
        &["dGhlIHNhbXBsZSBub25jZQ==dGhl"],
        &["dGhlIHNhbXBsZSBub25jZ*=="],
        &["dGhlIHNhbXBs SBub25jZQ=="],
        &["dGhlIHNhbXBsZSBub25jZQ==, x"],
        &["_____________________w=="],
    ];
    for keys in wrong {
        assert_eq!(judge(&with("sec-websocket-key", keys)).err(), Some(Refusal::Key), "{keys:?}");
    }
}

#[test]
fn contract_3_the_version_is_13_once_else_426_says_so() {
    for versions in [&[][..], &["8"], &["13, 8"], &["13", "13"], &[""], &["013"], &["13.0"]] {
        assert_eq!(judge(&with("sec-websocket-version", versions)).err(), Some(Refusal::Version), "{versions:?}");
    }
    assert_eq!(Refusal::Version.status(), StatusCode::UPGRADE_REQUIRED);
    let expected = (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    assert_eq!(Refusal::Version.header(), Some(expected));
    for other in [Refusal::Method, Refusal::HttpVersion, Refusal::Host, Refusal::Upgrade, Refusal::Connection, Refusal::Key] {
        assert_eq!((other.status(), other.header()), (StatusCode::BAD_REQUEST, None), "{other}");
    }
}

#[test]
fn the_request_is_get_http_1_1_with_one_host() {
    let good = headers(GOOD);
    assert_eq!(check(&Method::POST, Version::HTTP_11, &good).err(), Some(Refusal::Method));
    assert_eq!(check(&Method::CONNECT, Version::HTTP_11, &good).err(), Some(Refusal::Method));
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        assert_eq!(check(&Method::GET, version, &good).err(), Some(Refusal::HttpVersion));
    }
    assert_eq!(judge(&with("host", &[])).err(), Some(Refusal::Host));
    assert_eq!(judge(&with("host", &["a", "b"])).err(), Some(Refusal::Host));
}

#[test]
fn contract_7_one_subprotocol_or_none() {
    let line = |response: Result<String, UsageError>| {
        let response = response.expect("it can be written");
        let mut lines = response.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("sec-websocket-protocol"));
        let found = lines.next().and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned());
        assert_eq!(lines.next(), None, "it is sent once");
        found
    };
    let found = |protocol: &str| Some(protocol.to_owned());
    let offered = judge(&with("sec-websocket-protocol", &["a", "b, c"])).expect("right");
    let bare = judge(&headers(GOOD)).expect("right");
    const NAME: &str = "sec-websocket-protocol";

    // As seen on Bun 1.4.5, in this order.
    assert_eq!(line(response(&offered, None, &[])), found("a"), "the first offered");
    assert_eq!(line(response(&bare, None, &[])), None);
    assert_eq!(line(response(&offered, None, &[(NAME, "zz, yy")])), found("zz"), "the first of the application's list");
    assert_eq!(line(response(&offered, None, &[(NAME, "b"), (NAME, "c")])), found("b"));
    assert_eq!(line(response(&bare, None, &[(NAME, "zz")])), found("zz"));
    assert_eq!(line(response(&offered, None, &[(NAME, "")])), None, "an empty choice is a choice");

    assert_eq!(line(response(&offered, Some("c"), &[(NAME, "b")])), found("c"), "the argument goes before the headers");
    assert_eq!(line(response(&offered, Some(""), &[(NAME, "b")])), None);

    assert_eq!(response(&offered, Some("a b"), &[]), Err(UsageError::Protocol("a b".into())));
    assert_eq!(response(&offered, Some("a\r\nX: y"), &[]), Err(UsageError::Protocol("a\r\nX: y".into())));
    assert_eq!(response(&offered, None, &[(NAME, "a b, c")]), Err(UsageError::Protocol("a b".into())));
}

#[test]
fn contract_9_handshake_headers_of_the_application_are_ignored() {
    let offer = judge(&headers(GOOD)).expect("right");
    let application: Lines<'_> = &[
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("sec-websocket-accept", "zzz"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-key", "zzz"),
        ("sec-websocket-version", "9"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-powered-by", "tidewire"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    assert_eq!(
        response(&offer, None, application).as_deref(),
        Ok("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            set-cookie: a=1\r\nset-cookie: b=2\r\nx-powered-by: tidewire\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
    );
}

//! Rows 2 and 8: heads that cost, and heads that smuggle.

use allocation_counter::measure;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use tidewire_proto::UsageError;
use tidewire_proto::handshake::client::{Request, encode_key};
use tidewire_proto::handshake::{Elements, server};

/// A request that is right.
fn request() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::HOST, "localhost"),
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

const LISTS: [HeaderName; 4] =
    [header::SEC_WEBSOCKET_PROTOCOL, header::SEC_WEBSOCKET_EXTENSIONS, header::UPGRADE, header::CONNECTION];

/// Lists of `len` bytes that make a careless parser look at the same bytes again and again.
fn costly(len: usize) -> [Vec<u8>; 6] {
    [
        vec![b' '; len],
        vec![b','; len],
        b" ,".repeat(len / 2),
        b", \t".repeat(len / 3),
        // One element with all of the blanks within it.
        [b"a", vec![b' '; len - 2].as_slice(), b"b"].concat(),
        b"a ,".repeat(len / 3),
    ]
}

#[test]
fn row_02_lists_of_blanks_and_commas_are_read_in_linear_time() {
    for len in [64 * 1024, 128 * 1024] {
        for value in costly(len) {
            let lines = [HeaderValue::from_bytes(&value).expect("it is a header value")];
            let mut elements = Elements::new(lines.iter());
            elements.by_ref().for_each(drop);
            assert_eq!(elements.scanned(), value.len(), "each byte is looked at once");
        }
    }
}

#[test]
fn row_02_such_lists_cost_the_handshake_nothing_but_their_bytes() {
    for value in costly(64 * 1024) {
        for name in LISTS {
            let mut headers = request();
            headers.append(&name, HeaderValue::from_bytes(&value).expect("it is a header value"));
            let application = HeaderMap::new();
            let mut out = Vec::with_capacity(1024);
            let cost = measure(|| {
                let offer = server::check(&Method::GET, Version::HTTP_11, &headers).expect("the rest of the request is right");
                server::write_response(&mut out, &offer, None, None, &application).expect("there is a subprotocol or none");
                let mut protocols = offer.protocols();
                protocols.by_ref().for_each(drop);
                let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
                assert_eq!(protocols.scanned(), lines.iter().map(HeaderValue::len).sum::<usize>());
            });
            assert!(cost.count_total <= 2, "one list of lines: {cost:?}");
            assert!(cost.bytes_max <= 1024, "no bytes are copied: {cost:?}");
        }
    }
}

#[test]
fn row_02_a_list_over_a_thousand_lines_is_one_list() {
    let lines: Vec<_> = (0..1000).map(|_| HeaderValue::from_static(" , x,, ")).collect();
    let mut elements = Elements::new(lines.iter());
    assert_eq!(elements.by_ref().count(), 1000);
    assert_eq!(elements.scanned(), 7 * 1000);
}

#[test]
fn row_08_cr_lf_and_nul_from_the_application_are_refused_and_nothing_is_sent() {
    let key = encode_key(&[7; 16]);
    let offer = server::check(&Method::GET, Version::HTTP_11, &request()).expect("the request is right");
    for bad in ["a\rb", "a\nb", "a\0b", "\r\n", "a\r\nSet-Cookie: x=y", "a\r\n\r\nGET / HTTP/1.1"] {
        let path = format!("/{bad}");
        let mut out = Vec::new();
        assert_eq!(Request::new("h", &path, &key).write(&mut out), Err(UsageError::Path(path.clone())));
        assert_eq!(Request::new(bad, "/", &key).write(&mut out), Err(UsageError::Host(bad.into())));
        let refused = Request::new("h", "/", &key).header("x-a", bad).write(&mut out);
        assert_eq!(refused, Err(UsageError::HeaderValue("x-a".into())));
        assert_eq!(Request::new("h", "/", &key).header(bad, "a").write(&mut out), Err(UsageError::HeaderName(bad.into())));
        assert_eq!(Request::new("h", "/", &key).protocol(bad).write(&mut out), Err(UsageError::Protocol(bad.into())));
        let refused = server::write_response(&mut out, &offer, Some(bad), None, &HeaderMap::new());
        assert_eq!(refused, Err(UsageError::Protocol(bad.into())));
        assert_eq!(out, b"");
    }
}

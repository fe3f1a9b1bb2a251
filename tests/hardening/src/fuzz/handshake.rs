//! Target `handshake`: both sides. What is accepted is what the RFC lets one accept; what is written cannot be made to say more than
//! it should by anything that an application puts into it; and what our client writes our server accepts, and the other way round.
//!
//! Input: a byte that says which: a request to judge, a response to judge, or a request and a response to write from pieces. Then
//! the head as text, or the pieces as chunks.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use tidewire_kit::client::accept_for;
use tidewire_proto::extension::{Direction, Policy, Proposal, choose};
use tidewire_proto::handshake::client::{self, Request, encode_key};
use tidewire_proto::handshake::server::{self, Offer, Refusal};
use tidewire_proto::handshake::{Elements, is_token};

use super::{Flags, Input};

/// Everything that an endpoint may have.
const POLICY: Policy = Policy { send: Direction::TAKEOVER, receive: Direction::TAKEOVER };
/// The nonce of RFC 6455, section 1.3.
const NONCE: &[u8; 16] = b"the sample nonce";
/// What `judge_response` offers.
const OFFERED: [&str; 2] = ["chat", "superchat"];

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut flags = Flags(input.byte());
    match flags.below(4) {
        0 => judge_request(input.rest()),
        1 => judge_response(input.rest(), flags.next(), flags.next()),
        2 => write_request(input, flags.next()),
        _ => write_response(input),
    }
}

/// The most header lines that are read.
const MAX_HEADERS: usize = 40;

fn headers(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(headers)
}

/// A request as the server sees it.
struct Asked {
    method: Method,
    version: Version,
    headers: HeaderMap,
}

fn parse_request(bytes: &[u8]) -> Option<Asked> {
    let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut space);
    if !parsed.parse(bytes).is_ok_and(|status| status.is_complete()) {
        return None;
    }
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    Some(Asked { method, version, headers: headers(parsed.headers)? })
}

fn parse_response(bytes: &[u8]) -> Option<(StatusCode, HeaderMap)> {
    let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut space);
    if !parsed.parse(bytes).is_ok_and(|status| status.is_complete()) {
        return None;
    }
    Some((StatusCode::from_u16(parsed.code?).ok()?, headers(parsed.headers)?))
}

/// All lines of a header as one list, the plain way.
fn list(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let trimmed = |element: &[u8]| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let start = element.iter().position(|byte| !blank(byte)).unwrap_or(element.len());
        let end = element.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
        element[start..end].to_vec()
    };
    lines.join(&b',').split(|byte| *byte == b',').map(trimmed).filter(|element| !element.is_empty()).collect()
}

fn has(headers: &HeaderMap, name: &str, token: &str) -> bool {
    list(headers, name).iter().any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The one value of a header that may not be repeated.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    if let [value] = values[..] { Some(value.as_bytes().trim_ascii()) } else { None }
}

/// Base64 of 16 bytes: 22 letters that say something, and two that fill up.
fn is_key(value: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    value.len() == 24 && value[..22].iter().all(letter) && value.ends_with(b"==")
}

fn judge_request(bytes: &[u8]) {
    let Some(asked) = parse_request(bytes) else { return };
    let headers = &asked.headers;
    for name in ["upgrade", "connection", "sec-websocket-protocol", "sec-websocket-extensions"] {
        let elements: Vec<_> = Elements::new(headers.get_all(name).iter()).map(<[u8]>::to_vec).collect();
        assert_eq!(elements, list(headers, name), "the elements of {name}");
    }
    let version = one(headers, "sec-websocket-version") == Some(b"13");
    let key = one(headers, "sec-websocket-key").filter(|key| is_key(key));
    let right = asked.method == Method::GET
        && asked.version == Version::HTTP_11
        && has(headers, "upgrade", "websocket")
        && has(headers, "connection", "upgrade")
        && one(headers, "host").is_some()
        && version
        && key.is_some();
    let offer = match server::check(&asked.method, asked.version, headers) {
        Ok(offer) => offer,
        Err(refusal) => {
            assert!(!right, "refused without a reason: {refusal} in {headers:?}");
            assert_eq!(refusal.status() == StatusCode::UPGRADE_REQUIRED, refusal == Refusal::Version);
            assert!(refusal != Refusal::Version || !version);
            return;
        }
    };
    let Some(key) = key.filter(|_| right) else { panic!("accepted what is no handshake: {headers:?}") };
    answer_and_read(&offer, key, headers);
}

/// Answers what was accepted, and judges the answer as the client that had asked.
fn answer_and_read(offer: &Offer, key: &[u8], asked: &HeaderMap) {
    let compression = choose(offer.extensions(), &POLICY);
    let mut out = Vec::new();
    let written = server::write_response(&mut out, offer, None, compression.as_ref(), &HeaderMap::new());
    assert_eq!(written, Ok(()), "what the client offers can be answered");
    let (status, headers) = parse_response(&out).unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(&out)));
    let accept = accept_for(&String::from_utf8_lossy(key));
    assert_eq!(one(&headers, "sec-websocket-accept"), Some(accept.as_bytes()));

    let offered: Vec<_> = list(asked, "sec-websocket-protocol").into_iter().filter(|protocol| is_token(protocol)).collect();
    let offered: Vec<_> = offered.iter().filter_map(|protocol| std::str::from_utf8(protocol).ok()).collect();
    assert_eq!(offer.protocols().collect::<Vec<_>>(), offered);
    let key: &[u8; 24] = key.try_into().unwrap_or_else(|_| panic!("a key has 24 letters: {key:?}"));
    // Compression is left out: this client's offer is a text and none of ours. The target `extension` looks at it.
    let mut plain = headers.clone();
    plain.remove("sec-websocket-extensions");
    let accepted = client::check(status, &plain, key, &offered, None);
    let accepted = accepted.unwrap_or_else(|error| panic!("our answer is refused: {error}: {headers:?}"));
    assert_eq!(accepted.protocol, offered.first().copied(), "the first that is offered");
    assert_eq!(compression.is_some(), headers.contains_key("sec-websocket-extensions"));
}

fn judge_response(bytes: &[u8], protocols: bool, compression: bool) {
    let Some((status, headers)) = parse_response(bytes) else { return };
    let key = encode_key(NONCE);
    let offered = if protocols { &OFFERED[..] } else { &[] };
    let proposal = compression.then_some(Proposal::new(POLICY));
    let accept = accept_for(&String::from_utf8_lossy(&key));
    let chosen = list(&headers, "sec-websocket-protocol");
    let fits = match &chosen[..] {
        [] => offered.is_empty(),
        [one] => offered.iter().any(|offer| offer.as_bytes() == one),
        _ => false,
    };
    let upgrade = list(&headers, "upgrade");
    let right = status == StatusCode::SWITCHING_PROTOCOLS
        && upgrade.len() == 1
        && has(&headers, "upgrade", "websocket")
        && has(&headers, "connection", "upgrade")
        && one(&headers, "sec-websocket-accept") == Some(accept.as_bytes())
        && fits;
    match client::check(status, &headers, &key, offered, proposal.as_ref()) {
        Ok(accepted) => {
            assert!(right, "accepted what is no answer to our request: {status} {headers:?}");
            assert_eq!(accepted.protocol.map(str::as_bytes), chosen.first().map(Vec::as_slice));
            assert!(accepted.compression.is_none() || compression);
        }
        Err(client::HandshakeError::Extension(_)) => assert!(headers.contains_key("sec-websocket-extensions")),
        Err(error) => assert!(!right, "refused without a reason: {error} in {headers:?}"),
    }
}

/// What an application may hand over, if it is text at all.
fn text<'a>(input: &mut Input<'a>) -> &'a str {
    std::str::from_utf8(input.chunk()).unwrap_or_default()
}

fn write_request(mut input: Input<'_>, compression: bool) {
    let key = encode_key(NONCE);
    let (host, path) = (text(&mut input), text(&mut input));
    let mut request = Request::new(host, path, &key);
    for _ in 0..input.below(4) {
        request = request.protocol(text(&mut input));
    }
    let mut supplied = Vec::new();
    for _ in 0..input.below(8) {
        let (name, value) = (text(&mut input), text(&mut input));
        request = request.header(name, value);
        supplied.push((name, value));
    }
    let proposal = Proposal::new(POLICY);
    if compression {
        request = request.compression(proposal);
    }
    let mut out = b"before".to_vec();
    if request.write(&mut out).is_err() {
        assert_eq!(out, b"before", "nothing is written in vain");
        return;
    }
    let wire = &out[6..];
    let shown = String::from_utf8_lossy(wire);
    assert_eq!(shown.matches("\r\n\r\n").count(), 1, "one head, and nothing behind it: {shown:?}");
    assert!(shown.ends_with("\r\n\r\n"));
    let lines = shown.matches("\r\n").count() - 2;
    // Five of our own, two that depend on what is offered, and of the application's at most what it gave.
    assert!(lines <= 7 + supplied.len(), "no line is smuggled in: {shown:?}");
    assert_eq!(shown.matches('\n').count(), lines + 2);
    assert_eq!(shown.matches('\r').count(), lines + 2);
    let asked = parse_request(wire).unwrap_or_else(|| panic!("no request: {shown:?}"));
    assert_eq!(asked.headers.len(), lines, "every line is a header");
    let offer = server::check(&asked.method, asked.version, &asked.headers);
    let offer = offer.unwrap_or_else(|refusal| panic!("our request is refused: {refusal}: {shown:?}"));
    assert_eq!(offer.protocols().collect::<Vec<_>>(), request.offered());

    let agreement = choose(offer.extensions(), &POLICY);
    assert_eq!(agreement.is_some(), compression);
    let mut out = Vec::new();
    let written = server::write_response(&mut out, &offer, None, agreement.as_ref(), &HeaderMap::new());
    assert_eq!(written, Ok(()));
    let (status, headers) = parse_response(&out).unwrap_or_else(|| panic!("no response"));
    let judged = client::check(status, &headers, request.key(), &request.offered(), compression.then_some(&proposal));
    let accepted = judged.unwrap_or_else(|error| panic!("our answer to {shown:?} is refused: {error}"));
    assert_eq!(accepted.compression.is_some(), compression);
}

fn write_response(mut input: Input<'_>) {
    let mut asked = HeaderMap::new();
    let fixed = [("host", "h"), ("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
    for (name, value) in fixed.into_iter().chain([("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]) {
        asked.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(protocols) = HeaderValue::from_bytes(input.chunk()) {
        asked.insert("sec-websocket-protocol", protocols);
    }
    let offer = server::check(&Method::GET, Version::HTTP_11, &asked);
    let offer = offer.unwrap_or_else(|refusal| panic!("a plain handshake is refused: {refusal}"));
    let mut flags = Flags(input.byte());
    let protocol = flags.next().then(|| text(&mut input));
    let mut own = HeaderMap::new();
    for _ in 0..input.below(8) {
        let (name, value) = (HeaderName::from_bytes(input.chunk()), HeaderValue::from_bytes(input.chunk()));
        if let (Ok(name), Ok(value)) = (name, value) {
            own.append(name, value);
        }
    }
    let mut out = b"before".to_vec();
    if server::write_response(&mut out, &offer, protocol, None, &own).is_err() {
        assert_eq!(out, b"before", "nothing is written in vain");
        return;
    }
    let head = &out[6..];
    let (status, headers) = parse_response(head).unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(head)));
    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
    assert!(head.ends_with(b"\r\n\r\n"));
    assert_eq!(list(&headers, "connection"), [b"Upgrade".to_vec()]);
    assert_eq!(list(&headers, "upgrade"), [b"websocket".to_vec()]);
    assert_eq!(one(&headers, "sec-websocket-accept"), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
    for forbidden in ["content-length", "transfer-encoding", "sec-websocket-extensions", "sec-websocket-key", "trailer"] {
        assert!(!headers.contains_key(forbidden), "a 101 has no {forbidden}");
    }
    assert!(headers.get_all("sec-websocket-protocol").iter().count() <= 1, "one subprotocol or none");
    assert!(list(&headers, "sec-websocket-protocol").len() <= 1, "one subprotocol or none");
}

//! The opening handshake (RFC 6455, section 4), no more of it than a measurement needs.

use base64::Engine as _;

use crate::deflate::OFFER;

/// The key of every connection of the load; a server computes its answer anew each time.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const END: &[u8] = b"\r\n\r\n";
/// The longest head that is waited for.
const MAX_HEAD: usize = 8 * 1024;

/// What `Sec-WebSocket-Accept` must say to a key.
fn accept_for(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.digest().bytes())
}

/// A client's request for a path on a host, which offers compression or does not.
#[must_use]
pub fn request(host: &str, path: &str, deflate: bool) -> String {
    let extensions = if deflate { format!("Sec-WebSocket-Extensions: {OFFER}\r\n") } else { String::new() };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    )
}

/// A server's answer to a whole request head; `None` when it has no key.
#[must_use]
pub fn response(head: &str) -> Option<String> {
    let accept = accept_for(field(head, "sec-websocket-key")?);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Whether a whole response head agrees to [`request`].
///
/// # Errors
/// The status line, or what is wrong with the answer to the key.
pub fn check_response(head: &str) -> Result<(), String> {
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("101") {
        return Err(format!("the server refused the upgrade: {status}"));
    }
    match field(head, "sec-websocket-accept") {
        Some(accept) if accept == accept_for(KEY) => Ok(()),
        other => Err(format!("the server answered the key with {other:?}")),
    }
}

/// The length of the head at the start of the bytes, once it is whole.
///
/// # Errors
/// When no head can come of it any more.
pub fn head_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    match bytes.windows(END.len()).position(|window| window == END) {
        Some(at) => Ok(Some(at + END.len())),
        None if bytes.len() > MAX_HEAD => Err(format!("a head of more than {MAX_HEAD} bytes")),
        None => Ok(None),
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        // RFC 6455, section 1.3.
        assert_eq!(accept_for(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn both_sides_agree() {
        let request = request("127.0.0.1:1", "/chat?name=x", false);
        assert!(request.starts_with("GET /chat?name=x HTTP/1.1\r\n"));
        assert_eq!(head_length(request.as_bytes()), Ok(Some(request.len())));
        assert_eq!(check_response(&response(&request).unwrap()), Ok(()));
    }

    #[test]
    fn a_wrong_answer_is_refused() {
        assert_eq!(response("GET / HTTP/1.1\r\n\r\n"), None);
        assert!(check_response("HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err().contains("404"));
        assert!(check_response("HTTP/1.1 101 OK\r\nsec-websocket-accept: no\r\n\r\n").is_err());
        assert_eq!(head_length(b"HTTP/1.1 101"), Ok(None));
        assert!(head_length(&[b'a'; MAX_HEAD + 1]).is_err());
    }
}

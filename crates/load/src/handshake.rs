//! The opening handshake (RFC 6455, section 4), no more of it than a load needs.

use std::io::{ErrorKind, Read as _, Write as _};

use base64::Engine as _;

use crate::deflate::OFFER;
use crate::poller::EventFlags;
use crate::stream::Stream;
use crate::{Load, Url, error};

/// The key of every connection of the load; a server computes its answer anew each time.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const END: &[u8] = b"\r\n\r\n";
/// The longest head that is waited for.
const MAX_HEAD: usize = 16 * 1024;

/// What `Sec-WebSocket-Accept` must say to a key.
#[must_use]
pub fn accept_for(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.digest().bytes())
}

/// A client's request for a URL.
#[must_use]
pub(crate) fn request(load: &Load) -> Vec<u8> {
    let mut text = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n",
        load.url.path(),
        load.url.authority(),
    );
    if load.deflate {
        text += &format!("Sec-WebSocket-Extensions: {OFFER}\r\n");
    }
    if !load.protocols.is_empty() {
        text += &format!("Sec-WebSocket-Protocol: {}\r\n", load.protocols.join(", "));
    }
    for (name, value) in &load.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// Whether a whole response head agrees to [`request`].
fn check_response(head: &str, deflate: bool) -> Result<(), String> {
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/") {
        return Err(format!("no HTTP is spoken there: it answered {status:?}"));
    }
    let code = status.split_whitespace().nth(1).unwrap_or_default();
    if code != "101" {
        let hint = match code {
            "404" => ": check the path of the URL",
            "401" | "403" => ": it wants to know who you are, see --header",
            "426" | "400" | "200" => ": no WebSocket is served at this path",
            "429" | "503" => ": it has a limit of connections",
            _ => "",
        };
        return Err(format!("the server refused the upgrade with {status:?}{hint}"));
    }
    match field(head, "sec-websocket-accept") {
        Some(accept) if accept == accept_for(KEY) => {}
        other => return Err(format!("the server answered the key with {other:?}")),
    }
    let extensions = field(head, "sec-websocket-extensions").unwrap_or_default();
    match (deflate, extensions.contains("permessage-deflate")) {
        (true, false) => Err("the server did not agree to compression (permessage-deflate): is it switched on there?".into()),
        (true, true) if !extensions.contains("server_no_context_takeover") => {
            Err(format!("the server would remember earlier messages, which it was asked not to: {extensions:?}"))
        }
        _ => Ok(()),
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

/// A header's value in a head.
#[must_use]
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// One handshake under way.
#[derive(Default)]
pub(crate) struct Handshake {
    sent: usize,
    head: Vec<u8>,
}

/// Where a handshake is.
pub(crate) enum Step {
    /// It waits for one of these.
    Wait(EventFlags),
    /// It is over; what came behind the response.
    Open(Vec<u8>),
}

/// What is the same for all handshakes of a load.
pub(crate) struct Terms<'a> {
    pub request: &'a [u8],
    pub deflate: bool,
    pub url: &'a Url,
}

impl Handshake {
    /// Goes on as far as the kernel lets it; the error is for people.
    pub(crate) fn step(&mut self, stream: &mut Stream, terms: &Terms<'_>, buffer: &mut [u8]) -> Result<Step, String> {
        let failed = |error: &std::io::Error| error::connecting(error, terms.url);
        while self.sent < terms.request.len() {
            match stream.write(&terms.request[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Step::Wait(if stream.is_handshaking() {
                        EventFlags::IN
                    } else {
                        EventFlags::IN | EventFlags::OUT
                    }));
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        if stream.is_held_up() {
            stream.flush().map_err(|error| failed(&error))?;
        }
        loop {
            match stream.read(buffer) {
                Ok(0) if self.head.is_empty() => {
                    return Err("the server closed it during the handshake: it may have a limit of connections".into());
                }
                Ok(0) => return Err("the server closed it within its answer".into()),
                Ok(count) => self.head.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let held_up = if stream.is_held_up() { EventFlags::OUT } else { EventFlags::empty() };
                    return Ok(Step::Wait(EventFlags::IN | held_up));
                }
                Err(error) => return Err(failed(&error)),
            }
            // What a server of TLS says to a request in the clear: an alert.
            if self.head.starts_with(&[0x15, 3]) {
                return Err(format!("TLS is spoken at {}: try wss:// instead of ws://", terms.url.authority()));
            }
            if let Some(length) = head_length(&self.head)? {
                check_response(&String::from_utf8_lossy(&self.head[..length]), terms.deflate)?;
                return Ok(Step::Open(self.head.split_off(length)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn answer(head: &str) -> String {
        format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {}\r\n{head}\r\n", accept_for(KEY))
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        // RFC 6455, section 1.3.
        assert_eq!(accept_for(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_request_has_all_that_was_asked_for() {
        let mut load = Load::on("ws://127.0.0.1:1/chat?name=x".parse().unwrap(), Payload::default());
        let text = String::from_utf8(request(&load)).unwrap();
        assert!(text.starts_with("GET /chat?name=x HTTP/1.1\r\nHost: 127.0.0.1:1\r\n") && !text.contains("Extensions"), "{text}");
        assert_eq!(head_length(text.as_bytes()), Ok(Some(text.len())));
        load.deflate = true;
        load.protocols = vec!["a".into(), "b".into()];
        load.headers = vec![("X-One".into(), "1".into())];
        let text = String::from_utf8(request(&load)).unwrap();
        assert_eq!(field(&text, "sec-websocket-protocol"), Some("a, b"));
        assert_eq!((field(&text, "x-one"), field(&text, "sec-websocket-extensions")), (Some("1"), Some(OFFER)));
    }

    #[test]
    fn an_answer_that_is_none_is_refused_with_a_hint() {
        assert_eq!(check_response(&answer(""), false), Ok(()));
        for (head, hint) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), "check the path"),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n".to_owned(), "--header"),
            ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "no WebSocket"),
            ("HTTP/1.1 101 OK\r\nsec-websocket-accept: no\r\n\r\n".to_owned(), "answered the key"),
            ("SSH-2.0\r\n\r\n".to_owned(), "no HTTP"),
        ] {
            let error = check_response(&head, false).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn compression_must_be_agreed_on_as_it_was_offered() {
        assert!(check_response(&answer(""), true).unwrap_err().contains("did not agree"));
        let agreed = "Sec-WebSocket-Extensions: permessage-deflate";
        assert!(check_response(&answer(&format!("{agreed}\r\n")), true).unwrap_err().contains("remember"));
        assert_eq!(check_response(&answer(&format!("{agreed}; server_no_context_takeover\r\n")), true), Ok(()));
    }

    #[test]
    fn a_head_has_an_end() {
        assert_eq!(head_length(b"HTTP/1.1 101"), Ok(None));
        assert!(head_length(&[b'a'; MAX_HEAD + 1]).is_err());
    }
}

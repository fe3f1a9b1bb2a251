//! The client's side of the opening handshake (RFC 6455, section 4.1): writing the request, judging the response.

use base64::Engine as _;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use thiserror::Error;

use super::{BASE64, Elements, VERSION, accept_key, check_protocol, has_token, is_token, write_header};
use crate::error::UsageError;

/// Encodes a nonce as a value of Sec-WebSocket-Key. The nonce must be random for each connection (RFC 6455, section 4.1).
///
/// ```
/// use tidewire_proto::handshake::client::encode_key;
///
/// assert_eq!(&encode_key(b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
/// ```
#[must_use]
pub fn encode_key(nonce: &[u8; 16]) -> [u8; 24] {
    let mut key = [0; 24];
    let written = BASE64.encode_slice(nonce, &mut key);
    debug_assert_eq!(written, Ok(24), "16 bytes are 24 letters");
    key
}

/// The request that opens a connection.
///
/// ```
/// use tidewire_proto::handshake::client::{Request, encode_key};
///
/// let key = encode_key(b"the sample nonce");
/// let mut out = Vec::new();
/// Request::new("server.example.com", "/chat", &key).protocol("chat").header("Origin", "http://example.com").write(&mut out)?;
/// assert!(out.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
/// # Ok::<(), tidewire_proto::UsageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request<'a> {
    host: &'a str,
    path: &'a str,
    key: &'a [u8; 24],
    protocols: Vec<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Request<'a> {
    /// A request to `host` (with `:port` where it is not the scheme's default) for `path` (with its query), with a key from
    /// [`encode_key`].
    #[must_use]
    pub const fn new(host: &'a str, path: &'a str, key: &'a [u8; 24]) -> Self {
        Self { host, path, key, protocols: Vec::new(), headers: Vec::new() }
    }

    /// Offers a subprotocol; the first offered is the one liked best.
    #[must_use]
    pub fn protocol(mut self, protocol: &'a str) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// Adds a header. `Host` replaces the one of the request; `Connection`, `Upgrade`, `Sec-WebSocket-Key`, `-Version`,
    /// `-Extensions`, `-Protocol`, `-Accept` and what announces a body are the request's own and ignored.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Appends the head of the request.
    ///
    /// # Errors
    /// [`UsageError`] for a host, path, subprotocol, header name or value that cannot be sent as it is, CR, LF and NUL among
    /// the reasons; nothing is written then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), UsageError> {
        self.check()?;
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let custom_host = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        write_header(out, b"Host", custom_host.map_or(self.host, |(_, value)| value).as_bytes());
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        write_header(out, b"Sec-WebSocket-Key", self.key);
        write_header(out, b"Sec-WebSocket-Version", VERSION.as_bytes());
        if !self.protocols.is_empty() {
            write_header(out, b"Sec-WebSocket-Protocol", self.protocols.join(", ").as_bytes());
        }
        for (name, value) in &self.headers {
            if !is_ours(name) {
                write_header(out, name.as_bytes(), value.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn check(&self) -> Result<(), UsageError> {
        if self.host.is_empty() || !self.host.bytes().all(is_visible) {
            return Err(UsageError::Host(self.host.to_owned()));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|byte| is_visible(byte) && byte != b'#') {
            return Err(UsageError::Path(self.path.to_owned()));
        }
        for (index, protocol) in self.protocols.iter().enumerate() {
            check_protocol(protocol.as_bytes())?;
            if self.protocols[..index].contains(protocol) {
                return Err(UsageError::RepeatedProtocol((*protocol).to_owned()));
            }
        }
        for (name, value) in &self.headers {
            if !is_token(name.as_bytes()) {
                return Err(UsageError::HeaderName((*name).to_owned()));
            }
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(UsageError::HeaderValue((*name).to_owned()));
            }
        }
        Ok(())
    }
}

/// What may stand in a host or a path: no control character and no space, which would end it.
const fn is_visible(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// Whether the request writes this header itself (in any case), or it would announce a body that is not there.
fn is_ours(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "host",
        "connection",
        "upgrade",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "sec-websocket-accept",
        "content-length",
        "transfer-encoding",
        "trailer",
        "te",
    ];
    NAMES.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

/// Why a response does not open a connection (RFC 6455, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered something else than 101.
    #[error("expected status 101, got {0}")]
    Status(u16),
    /// Upgrade is missing or not `websocket`.
    #[error("the Upgrade header is not websocket")]
    Upgrade,
    /// Connection does not list `upgrade`.
    #[error("the Connection header does not say upgrade")]
    Connection,
    /// Sec-WebSocket-Accept is missing, repeated, or not that of our key.
    #[error("Sec-WebSocket-Accept does not match the key")]
    Accept,
    /// A subprotocol that was not offered, or more than one.
    #[error("the server chose a subprotocol that was not offered, or several")]
    Protocol,
    /// An extension that was not offered.
    #[error("the server uses an extension that was not offered")]
    Extension,
}

/// Judges the response to a [`Request`] with this key and these subprotocols. Gives the subprotocol that was chosen, as it
/// was offered.
///
/// # Errors
/// [`HandshakeError`]: the connection must be failed.
pub fn check<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    key: &[u8; 24],
    offered: &[&'a str],
) -> Result<Option<&'a str>, HandshakeError> {
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Status(status.as_u16()));
    }
    let mut upgrade = elements(headers, header::UPGRADE);
    if !upgrade.next().is_some_and(|token| token.eq_ignore_ascii_case(b"websocket")) || upgrade.next().is_some() {
        return Err(HandshakeError::Upgrade);
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    let mut accept = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
    if accept.next().is_none_or(|value| value.as_bytes().trim_ascii() != accept_key(key)) || accept.next().is_some() {
        return Err(HandshakeError::Accept);
    }
    if elements(headers, header::SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
        return Err(HandshakeError::Extension);
    }
    let mut chosen = elements(headers, header::SEC_WEBSOCKET_PROTOCOL);
    match (chosen.next(), chosen.next()) {
        (None, _) => Ok(None),
        (Some(chosen), None) => {
            offered.iter().copied().find(|offer| offer.as_bytes() == chosen).map(Some).ok_or(HandshakeError::Protocol)
        }
        (Some(_), Some(_)) => Err(HandshakeError::Protocol),
    }
}

fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    Elements::new(headers.get_all(name).iter())
}

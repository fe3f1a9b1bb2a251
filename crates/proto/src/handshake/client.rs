//! The client's side of the opening handshake (RFC 6455, section 4.1): writing the request, judging the response.

use std::collections::HashSet;

use base64::Engine as _;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use thiserror::Error;

use super::{BASE64, Elements, VERSION, accept_key, check_protocol, has_token, is_key, is_token, write_header};
use crate::error::UsageError;
use crate::extension::{self, Agreement, AnswerError, Proposal};

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
    compression: Option<Proposal>,
}

impl<'a> Request<'a> {
    /// A request to `host` (with `:port` where it is not the scheme's default) for `path` (with its query), with a key from
    /// [`encode_key`]. A host that is not ASCII must come as its IDNA form, a path percent-encoded, as URL parsers give them.
    #[must_use]
    pub const fn new(host: &'a str, path: &'a str, key: &'a [u8; 24]) -> Self {
        Self { host, path, key, protocols: Vec::new(), headers: Vec::new(), compression: None }
    }

    /// Offers a subprotocol; the first offered is the one liked best.
    #[must_use]
    pub fn protocol(mut self, protocol: &'a str) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// Offers permessage-deflate.
    #[must_use]
    pub const fn compression(mut self, proposal: Proposal) -> Self {
        self.compression = Some(proposal);
        self
    }

    /// Adds a header. As in Bun, `Host` and a valid `Sec-WebSocket-Key` replace those of the request, and
    /// `Sec-WebSocket-Protocol` offers subprotocols when [`Request::protocol`] has offered none. `Connection`, `Upgrade`,
    /// `Sec-WebSocket-Version`, `-Extensions`, `-Accept` and what announces a body are ignored: they are not the
    /// application's to choose.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The key that is sent: the one to judge the response with.
    #[must_use]
    pub fn key(&self) -> &[u8; 24] {
        let supplied = self.custom("sec-websocket-key").and_then(|value| value.as_bytes().try_into().ok());
        supplied.filter(|key: &&[u8; 24]| is_key(*key)).unwrap_or(self.key)
    }

    /// The subprotocols that are offered: those to judge the response with.
    #[must_use]
    pub fn offered(&self) -> Vec<&'a str> {
        if !self.protocols.is_empty() {
            return self.protocols.clone();
        }
        let list = self.custom("sec-websocket-protocol").unwrap_or_default();
        list.split(',').map(str::trim_ascii).filter(|protocol| !protocol.is_empty()).collect()
    }

    /// Appends the head of the request.
    ///
    /// # Errors
    /// [`UsageError`] for a host, path, subprotocol, header name or value that cannot be sent as it is, CR, LF and NUL among
    /// the reasons; nothing is written then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), UsageError> {
        let offered = self.offered();
        self.check(&offered)?;
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_header(out, b"Host", self.custom("host").unwrap_or(self.host).as_bytes());
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        write_header(out, b"Sec-WebSocket-Key", self.key());
        write_header(out, b"Sec-WebSocket-Version", VERSION.as_bytes());
        if !offered.is_empty() {
            write_header(out, b"Sec-WebSocket-Protocol", offered.join(", ").as_bytes());
        }
        if let Some(proposal) = &self.compression {
            out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
            proposal.write(out);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in &self.headers {
            if !is_ours(name) {
                write_header(out, name.as_bytes(), value.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The first of the application's headers with this name.
    fn custom(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn check(&self, offered: &[&str]) -> Result<(), UsageError> {
        let host = self.custom("host").unwrap_or(self.host);
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UsageError::Host(host.to_owned()));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(UsageError::Path(self.path.to_owned()));
        }
        // "All strings MUST be unique" (section 4.1). A set, since nobody bounds the application's list.
        let mut seen = HashSet::new();
        for &protocol in offered {
            check_protocol(protocol.as_bytes())?;
            if !seen.insert(protocol) {
                return Err(UsageError::RepeatedProtocol(protocol.to_owned()));
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
    /// None of the subprotocols that were offered (WHATWG WebSockets, as Bun and browsers do; RFC 6455 would go on).
    #[error("the server chose none of the offered subprotocols")]
    NoProtocol,
    /// An answer to extensions that were not offered, or not one that fits the offer.
    #[error(transparent)]
    Extension(#[from] AnswerError),
}

/// What a server has agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The subprotocol that it chose; `None` only where none was offered.
    pub protocol: Option<&'a str>,
    /// How messages are compressed, if they are.
    pub compression: Option<Agreement>,
}

/// Judges the response to a [`Request`] with this key ([`Request::key`]), these subprotocols ([`Request::offered`]) and this
/// offer of compression.
///
/// # Errors
/// [`HandshakeError`]: the connection must be failed.
pub fn check<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    key: &[u8; 24],
    offered: &[&'a str],
    proposal: Option<&Proposal>,
) -> Result<Accepted<'a>, HandshakeError> {
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
    let compression = extension::judge(headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS), proposal)?;
    let mut chosen = elements(headers, header::SEC_WEBSOCKET_PROTOCOL);
    let protocol = match (chosen.next(), chosen.next()) {
        (None, _) if offered.is_empty() => None,
        (None, _) => return Err(HandshakeError::NoProtocol),
        (Some(chosen), None) => {
            let found = offered.iter().copied().find(|offer| offer.as_bytes() == chosen);
            Some(found.ok_or(HandshakeError::Protocol)?)
        }
        (Some(_), Some(_)) => return Err(HandshakeError::Protocol),
    };
    Ok(Accepted { protocol, compression })
}

fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    Elements::new(headers.get_all(name).iter())
}

#[cfg(test)]
mod tests;

//! The server's side of the opening handshake (RFC 6455, section 4.2): judging a request, writing the 101.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use thiserror::Error;

use super::{Elements, Protocols, VERSION, accept_key, check_protocol, has_token, is_key, write_header};
use crate::error::UsageError;
use crate::extension::Agreement;

/// A request that may become a WebSocket: what the answer depends on. It is independent of the request, which may be
/// gone when the application decides.
#[derive(Debug, Clone)]
pub struct Offer {
    accept: [u8; 28],
    protocols: Vec<HeaderValue>,
    extensions: Vec<HeaderValue>,
}

impl Offer {
    /// The value of Sec-WebSocket-Accept.
    #[must_use]
    pub const fn accept(&self) -> &[u8; 28] {
        &self.accept
    }

    /// The subprotocols that the client offers, the one that it likes best first.
    pub fn protocols(&self) -> Protocols<'_, std::slice::Iter<'_, HeaderValue>> {
        Protocols::new(self.protocols.iter())
    }

    /// The lines of Sec-WebSocket-Extensions as they came.
    pub fn extensions(&self) -> impl Iterator<Item = &HeaderValue> {
        self.extensions.iter()
    }
}

/// Why a request cannot become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET (RFC 6455, section 4.2.1).
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// HTTP before 1.1, or a version whose handshake is another (RFC 8441).
    #[error("a WebSocket handshake is an HTTP/1.1 request")]
    HttpVersion,
    /// No Host, or more than one (RFC 9112, section 3.2).
    #[error("a WebSocket handshake has one Host header")]
    Host,
    /// Upgrade does not list `websocket`.
    #[error("the Upgrade header does not ask for websocket")]
    Upgrade,
    /// Connection does not list `upgrade`.
    #[error("the Connection header does not say upgrade")]
    Connection,
    /// Sec-WebSocket-Version is missing or not 13: status 426.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// Sec-WebSocket-Key is missing, repeated, or not base64 of 16 bytes.
    #[error("Sec-WebSocket-Key is not base64 of 16 bytes")]
    Key,
}

impl Refusal {
    /// The status to answer with: 426 for a version that is not spoken here, else 400.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// A header that the answer must carry: with 426, the version that is spoken (RFC 6455, section 4.4).
    #[must_use]
    pub const fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Version => Some((header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION))),
            _ => None,
        }
    }
}

/// Judges whether a request may become a WebSocket (RFC 6455, section 4.2.1).
///
/// # Errors
/// [`Refusal`] says what is wrong, and how to answer.
pub fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<Offer, Refusal> {
    if method != Method::GET {
        return Err(Refusal::Method);
    }
    if version != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(Refusal::Upgrade);
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::Connection);
    }
    if single(headers, header::HOST).is_none() {
        return Err(Refusal::Host);
    }
    if single(headers, header::SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
        return Err(Refusal::Version);
    }
    let key = single(headers, header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    Ok(Offer {
        accept: accept_key(key),
        protocols: headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().cloned().collect(),
        extensions: headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().cloned().collect(),
    })
}

/// The value of a header that must come once, trimmed.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value.as_bytes().trim_ascii()) }
}

/// Appends the head of the 101 response (RFC 6455, section 4.2.2); frames may follow it at once.
///
/// The subprotocol is, in this order: `protocol` (an empty one means none); the first in a Sec-WebSocket-Protocol of the
/// application's `headers` (an empty value means none); the first that the client offered. So there is one or none, as in
/// Bun.
///
/// A chosen subprotocol need not be among the offered ones; that is the application's responsibility, and Bun's behaviour.
///
/// `headers` are the application's. Those that belong to the handshake, to the framing of a body or to the connection are
/// ignored: a 101 has no body (RFC 9110, section 15.2). Nothing is added: a `Date`, if wanted, comes with `headers`.
///
/// `compression` is what [`extension::choose`](crate::extension::choose) made of [`Offer::extensions`].
///
/// # Errors
/// [`UsageError::Protocol`] when the chosen subprotocol is not a token; nothing is written then.
pub fn write_response(
    out: &mut Vec<u8>,
    offer: &Offer,
    protocol: Option<&str>,
    compression: Option<&Agreement>,
    headers: &HeaderMap,
) -> Result<(), UsageError> {
    let protocol = choose(offer, protocol, headers)?;
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    write_header(out, b"Sec-WebSocket-Accept", offer.accept());
    if let Some(protocol) = protocol {
        write_header(out, b"Sec-WebSocket-Protocol", protocol);
    }
    if let Some(agreement) = compression {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        agreement.write(out);
        out.extend_from_slice(b"\r\n");
    }
    for (name, value) in headers {
        if !is_ours(name) {
            write_header(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The subprotocol to answer with.
fn choose<'a>(offer: &'a Offer, protocol: Option<&'a str>, headers: &'a HeaderMap) -> Result<Option<&'a [u8]>, UsageError> {
    let chosen = match protocol {
        Some(protocol) => Some(protocol.as_bytes()).filter(|protocol| !protocol.is_empty()),
        None if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) => {
            Elements::new(headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter()).next()
        }
        None => return Ok(offer.protocols().next().map(str::as_bytes)),
    };
    chosen.map(|protocol| check_protocol(protocol).map(|()| protocol)).transpose()
}

/// Whether a header is written by the handshake itself, or would announce a body or a connection that is not there.
fn is_ours(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 12] = [
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_VERSION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TRAILER,
        header::TE,
        HeaderName::from_static("keep-alive"),
    ];
    NAMES.contains(name)
}

#[cfg(test)]
mod tests;

//! Why a connection could not be begun, or not be opened.

use std::fmt;
use std::io;

use http::{HeaderMap, StatusCode};
use tidewire_proto::UsageError;
use tidewire_proto::handshake::client::HandshakeError;
use tidewire_proto::state::Happening;
use tidewire_sys::Endpoint;

/// What is wrong with a [`Dial`](super::Dial), before anything is sent.
///
/// ```
/// use tidewire::Client;
/// use tidewire::client::ClientError;
///
/// let client = Client::builder().header("x", "a\r\nb");
/// assert!(matches!(client.run("ws://127.0.0.1:1/"), Err(ClientError::Dial(_))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// A header, a subprotocol or the path cannot be sent.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// TLS cannot be spoken as it was told to.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
}

/// The head of a server's answer to the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// 101 if it opened the connection.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The subprotocol that the server chose among those offered.
    pub protocol: Option<String>,
}

impl Answer {
    /// What the server agreed on of the extensions that were offered, as it was written; empty for none (WHATWG: `extensions`).
    #[must_use]
    pub fn extensions(&self) -> &str {
        self.headers.get(http::header::SEC_WEBSOCKET_EXTENSIONS).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why a connection could not be opened. It goes to the `error` handler of a [`Client`](crate::Client), before `close`.
///
/// ```
/// use tidewire::{Client, engine::ConnectError};
///
/// let client = Client::builder().error(|_ws, error| match error {
///     ConnectError::TimedOut => println!("try later"),
///     ConnectError::Handshake { answer, .. } => println!("refused with {}: {:?}", answer.status, answer.headers),
///     other => println!("{other} ({})", other.code()),
/// });
/// # let _ = client;
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host's (or the proxy's) name has no address.
    #[error("the host {host:?} cannot be resolved: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system's resolver says.
        error: io::Error,
    },
    /// None of the addresses could be connected to: refused, unreachable. Each with what the system says.
    #[error("cannot connect: {}", Failures(.0))]
    Unreachable(Vec<(Endpoint, io::Error)>),
    /// The TLS handshake with the server (or with the proxy) failed.
    #[error("the TLS handshake with {host} failed: {problem}")]
    Tls {
        /// With whom.
        host: String,
        /// Why.
        problem: String,
        /// The name that Node.js has for it.
        code: &'static str,
    },
    /// The proxy opens no tunnel.
    #[error("the proxy opened no tunnel: it answered {}", .0.status)]
    Proxy(Box<Answer>),
    /// The answer is no HTTP response, or its head is too large.
    #[error("the answer to the handshake is no HTTP response: {0}")]
    Malformed(&'static str),
    /// The answer does not open a WebSocket: another status than 101, or what section 4.1 of RFC 6455 forbids.
    #[error("the server did not open a WebSocket: {error}")]
    Handshake {
        /// What is wrong with it.
        error: HandshakeError,
        /// The answer. Redirects are not followed: it is the application's to say who may see its headers.
        answer: Box<Answer>,
    },
    /// It took longer than `connect_timeout`.
    #[error("the connection was not open in time")]
    TimedOut,
    /// The server ended the connection before it was open.
    #[error("the server ended the connection before it was open")]
    Ended,
    /// This side closed it before it was open.
    #[error("closed before the connection was open")]
    Closed,
}

struct Failures<'a>(&'a [(Endpoint, io::Error)]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (endpoint, error)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{endpoint}: {error}")?;
        }
        Ok(())
    }
}

impl ConnectError {
    /// A short name, for programs: those of Node.js where it has one, as `ECONNREFUSED`, `ENOTFOUND` or `CERT_HAS_EXPIRED`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "ENOTFOUND",
            Self::Unreachable(failures) => failures.last().map_or("ECONNREFUSED", |(_, error)| code(error)),
            Self::Tls { code, .. } => code,
            Self::Proxy(_) => "ERR_PROXY_TUNNEL",
            Self::Malformed(_) => "ERR_INVALID_HTTP_RESPONSE",
            Self::Handshake { .. } => "ERR_WEBSOCKET_HANDSHAKE",
            Self::TimedOut => "ETIMEDOUT",
            Self::Ended => "ECONNRESET",
            Self::Closed => "ERR_WEBSOCKET_CLOSED",
        }
    }

    /// What `close` is told of it: 1015 for TLS (as in Bun, where the standard says 1006), else 1006.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        if matches!(self, Self::Tls { .. }) { 1015 } else { 1006 }
    }

    /// The reason that goes with [`close_code`](Self::close_code).
    pub(crate) fn close_reason(&self) -> &'static str {
        if matches!(self, Self::Tls { .. }) { "TLS handshake failed" } else { "" }
    }

    /// What a broken TLS session says.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(host: &str, error: Option<&rustls::Error>) -> Self {
        use rustls::{CertificateError, Error, InvalidMessage};
        let code = match error {
            Some(Error::InvalidCertificate(problem)) => match problem {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => "CERT_HAS_EXPIRED",
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "CERT_NOT_YET_VALID",
                CertificateError::UnknownIssuer => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "ERR_TLS_CERT_ALTNAME_INVALID"
                }
                CertificateError::BadSignature => "CERT_SIGNATURE_FAILURE",
                CertificateError::Revoked => "CERT_REVOKED",
                _ => "CERT_REJECTED",
            },
            _ => "EPROTO",
        };
        let problem = match error {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => "it does not speak TLS there".to_owned(),
            Some(error) => error.to_string(),
            None => "what it said is no TLS".to_owned(),
        };
        Self::Tls { host: host.to_owned(), problem, code }
    }
}

fn code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED",
        io::ErrorKind::ConnectionReset => "ECONNRESET",
        io::ErrorKind::TimedOut => "ETIMEDOUT",
        io::ErrorKind::HostUnreachable => "EHOSTUNREACH",
        io::ErrorKind::NetworkUnreachable => "ENETUNREACH",
        io::ErrorKind::AddrNotAvailable => "EADDRNOTAVAIL",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::NotFound => "ENOENT",
        _ => "ECONNABORTED",
    }
}

impl From<Happening> for ConnectError {
    fn from(happening: Happening) -> Self {
        match happening {
            Happening::Deadline => Self::TimedOut,
            Happening::EndOfStream | Happening::Lost => Self::Ended,
            _ => Self::Closed,
        }
    }
}

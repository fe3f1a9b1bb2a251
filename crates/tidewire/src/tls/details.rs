//! What is known of a connection's TLS.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};

/// How a connection is secured. A socket has it ([`LocalSocket::tls`](crate::LocalSocket::tls)), and every request that came
/// through TLS carries one in its extensions:
///
/// ```
/// # use tidewire::Request;
/// use tidewire::tls::TlsDetails;
///
/// fn is_secure(request: &Request) -> bool {
///     request.extensions().get::<TlsDetails>().is_some()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsDetails {
    /// The version of the protocol.
    pub version: TlsVersion,
    /// The peer's certificate and its chain, its own first; empty for a client that was not asked for one or showed none.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether the peer's certificate comes from a trusted authority; and, of a server, is one for its name.
    pub authorized: bool,
    /// Whether the session was resumed with a ticket, instead of making a whole handshake.
    pub resumed: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    V1_2,
    /// TLS 1.3, RFC 8446.
    V1_3,
}

impl TlsDetails {
    pub(crate) fn of(state: &CommonState, authorized: bool) -> Option<Self> {
        let version = match state.protocol_version()? {
            ProtocolVersion::TLSv1_2 => TlsVersion::V1_2,
            ProtocolVersion::TLSv1_3 => TlsVersion::V1_3,
            _ => return None,
        };
        Some(Self {
            version,
            certificates: state.peer_certificates().unwrap_or_default().to_vec(),
            authorized,
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

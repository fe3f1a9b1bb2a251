//! TLS as an application sets it up: certificates and keys, names, clients that must show who they are ([`Tls`], for servers),
//! and whom clients trust ([`ClientTls`]). What a connection does with it is the transport's.
//!
//! TLS 1.2 and 1.3 by rustls, with the cryptography of aws-lc-rs; no process-wide default is installed or asked for. Sessions
//! are resumed by tickets whose keys all workers share and which change every few hours. The only protocol offered by ALPN is
//! `http/1.1`: a client that insists on another is refused. Early data is not accepted, because it can be replayed.

mod acceptor;
mod connector;
mod details;
mod names;
mod peers;
mod source;

pub use connector::{ClientTls, Connector};
pub use details::{TlsDetails, TlsVersion};
/// A certificate in DER.
pub use rustls::pki_types::CertificateDer;
pub use source::{Source, TlsError};

pub(crate) use acceptor::{Acceptor, Terms};

use std::path::PathBuf;

/// What a server needs to speak TLS. See [`Builder::tls`](crate::Builder::tls).
///
/// ```no_run
/// use tidewire::tls::{Certificate, Tls};
///
/// // One name:
/// let tls = Tls::files("cert.pem", "key.pem");
/// // Two names; who asks for neither gets the first:
/// let tls = Tls::new(Certificate::files("a.pem", "a.key"))
///     .certificate(Certificate::files("b.pem", "b.key").passphrase("secret").server_name("b.example"));
/// # let _ = tls;
/// ```
#[derive(Debug, Clone)]
pub struct Tls {
    certificates: Vec<Certificate>,
    ca: Vec<Source>,
    request_cert: bool,
    reject_unauthorized: bool,
}

impl Tls {
    /// A server with this certificate; it is also what clients get that ask for no name, or for one that nobody has.
    #[must_use]
    pub fn new(certificate: Certificate) -> Self {
        Self { certificates: vec![certificate], ca: Vec::new(), request_cert: false, reject_unauthorized: true }
    }

    /// A server with a certificate and a key from files: see [`Certificate::files`].
    #[must_use]
    pub fn files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Certificate::files(cert, key))
    }

    /// Adds another certificate, for clients that ask for one of its names (SNI, RFC 6066, section 3).
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Adds authorities whose client certificates are trusted, in PEM (any number) or DER (one).
    #[must_use]
    pub fn ca(mut self, ca: impl Into<Source>) -> Self {
        self.ca.push(ca.into());
        self
    }

    /// Whether clients are asked for a certificate. Default false. It is for all names of the server.
    #[must_use]
    pub fn request_cert(mut self, request: bool) -> Self {
        self.request_cert = request;
        self
    }

    /// Whether a client that is asked and shows no certificate of a [`ca`](Tls::ca) is refused. Default true. When false,
    /// [`TlsDetails::authorized`] says whether it did.
    #[must_use]
    pub fn reject_unauthorized(mut self, reject: bool) -> Self {
        self.reject_unauthorized = reject;
        self
    }
}

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct Certificate {
    cert: Source,
    key: Source,
    passphrase: Option<String>,
    server_names: Vec<String>,
}

impl Certificate {
    /// From files. The certificate is PEM, the server's own first and then the rest of its chain, or DER; the key is PEM or DER,
    /// as PKCS#8 (encrypted or not), PKCS#1 or SEC1.
    #[must_use]
    pub fn files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(cert.into()), Source::File(key.into()))
    }

    /// From memory, in the same formats as [`Certificate::files`].
    #[must_use]
    pub fn bytes(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self::new(Source::Bytes(cert.into()), Source::Bytes(key.into()))
    }

    fn new(cert: Source, key: Source) -> Self {
        Self { cert, key, passphrase: None, server_names: Vec::new() }
    }

    /// What the key is encrypted with.
    #[must_use]
    pub fn passphrase(mut self, passphrase: impl Into<String>) -> Self {
        self.passphrase = Some(passphrase.into());
        self
    }

    /// A name that this certificate is for, as `chat.example.com` or `*.example.com`. Without one, those that are written in
    /// the certificate count.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_names.push(name.into());
        self
    }
}

/// Keys and passphrases are nobody's to log.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).field("server_names", &self.server_names).finish_non_exhaustive()
    }
}

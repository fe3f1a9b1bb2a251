//! TLS of clients: whom they trust, what they show, and the session of a connection that they begin.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ALL_VERSIONS, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::peers::add_authorities;
use super::{Certificate, Source, TlsError};
use crate::engine::transport::Session;

/// How a client speaks TLS: whom it trusts, and what it shows of itself. What [`Dial::tls`](crate::engine::Dial::tls) wants is a
/// [`Connector`], made by [`ClientTls::build`] once and shared by any number of connections, which then resume each other's
/// sessions.
///
/// Trusted are, unless [`ClientTls::ca`] says otherwise, the authorities of the system: on Linux those of OpenSSL's usual files,
/// or of `SSL_CERT_FILE` and `SSL_CERT_DIR`. Where the system has none, as in a bare container, Mozilla's list is taken, as it
/// was when this was built.
///
/// ```no_run
/// use tidewire::tls::{Certificate, ClientTls};
///
/// let connector = ClientTls::new()
///     .ca(std::path::Path::new("authority.pem"))
///     .certificate(Certificate::files("me.pem", "me.key"))
///     .build()?;
/// # Ok::<(), tidewire::tls::TlsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientTls {
    ca: Vec<Source>,
    system_roots: Option<bool>,
    certificate: Option<Certificate>,
    insecure: bool,
    server_name: Option<String>,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientTls {
    /// Trusts the system's authorities and shows nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { ca: Vec::new(), system_roots: None, certificate: None, insecure: false, server_name: None }
    }

    /// Adds authorities whose servers are trusted, in PEM (any number) or DER (one). With any, those of the system are not (as
    /// in Bun and Node), unless [`ClientTls::system_roots`] says so.
    #[must_use]
    pub fn ca(mut self, ca: impl Into<Source>) -> Self {
        self.ca.push(ca.into());
        self
    }

    /// Whether the system's authorities are trusted. Default: if there is no [`ClientTls::ca`].
    #[must_use]
    pub const fn system_roots(mut self, trusted: bool) -> Self {
        self.system_roots = Some(trusted);
        self
    }

    /// What to show a server that asks for a client's certificate. Default: nothing.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Whether any certificate will do, for any name and from anybody (Node: `rejectUnauthorized: false`). What is sent can then
    /// be read and changed by whoever is in between; it is for experiments. Default false.
    #[must_use]
    pub const fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// The name to ask the server for (SNI), and that its certificate must be for, instead of the URL's host (Node:
    /// `servername`).
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the certificates.
    ///
    /// # Errors
    /// [`TlsError`]: a file that cannot be read or is not what it must be, or a name that is none.
    pub fn build(&self) -> Result<Connector, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(ALL_VERSIONS)?;
        let builder = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let chain = certificate.cert.certificates("cert")?;
                let key = certificate.key.private_key(certificate.passphrase.as_deref())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| TlsError::Wrong {
                    option: "key",
                    from: certificate.key.to_string(),
                    problem: format!("it cannot be used with the certificate in {}: {error}", certificate.cert),
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server_name = self.server_name.as_deref().map(name).transpose()?;
        Ok(Connector { config: Arc::new(config), verified: !self.insecure, server_name })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        add_authorities(&mut roots, &self.ca)?;
        if self.system_roots.unwrap_or(self.ca.is_empty()) {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::debug!(%error, "a part of the system's authorities cannot be read");
            }
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                tracing::debug!("the system has no authorities; Mozilla's are taken");
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        Ok(roots)
    }
}

/// What secures connections that a client begins; made by [`ClientTls::build`]. Clones share their tickets.
///
/// ```
/// use tidewire::engine::Dial;
/// use tidewire::tls::ClientTls;
///
/// let connector = ClientTls::new().insecure(true).build()?;
/// let dial = Dial::to("wss://localhost:3000/")?.tls(&connector);
/// # let _ = dial;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    verified: bool,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// That of [`ClientTls::new`], which is made once in a process.
    pub(crate) fn usual() -> Result<Self, TlsError> {
        static USUAL: OnceLock<Connector> = OnceLock::new();
        match USUAL.get() {
            Some(connector) => Ok(connector.clone()),
            None => {
                let made = ClientTls::new().build()?;
                Ok(USUAL.get_or_init(|| made).clone())
            }
        }
    }

    /// Greets a server that is reached by this host, in the session of the proxy before it if there is one.
    pub(crate) fn session(&self, host: &str, under: Option<Box<Session>>) -> Result<Session, Error> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => name(host).map_err(|error| Error::General(error.to_string()))?,
        };
        Session::connect(self.config.clone(), name, self.verified, under)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("verified", &self.verified).finish_non_exhaustive()
    }
}

fn name(text: &str) -> Result<ServerName<'static>, TlsError> {
    // A trailing dot is the resolver's; certificates have none.
    ServerName::try_from(text.trim_end_matches('.').to_owned()).map_err(|_| TlsError::Name(text.to_owned()))
}

/// Takes any certificate. That the server has its key is verified in any case.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

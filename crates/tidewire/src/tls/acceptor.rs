//! What new connections are secured by, shared by all workers and replaced while they run.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ALL_VERSIONS, ServerConfig};

use super::names::Names;
use super::peers::{AskOnly, authority};
use super::{Tls, TlsError};
use crate::engine::transport::Session;

/// Certificates and settings, as they are at one time.
#[derive(Debug)]
pub(crate) struct Terms {
    pub config: Arc<ServerConfig>,
    authority: Option<Arc<dyn ClientCertVerifier>>,
}

impl Terms {
    fn new(tls: &Tls) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let names = Names::load(&tls.certificates, &provider)?;
        let authority = authority(tls, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(ALL_VERSIONS)?;
        let builder = match (&authority, tls.request_cert, tls.reject_unauthorized) {
            (_, false, _) => builder.with_no_client_auth(),
            (Some(authority), true, true) => builder.with_client_cert_verifier(authority.clone()),
            (None, true, true) => return Err(TlsError::NoAuthority),
            (_, true, false) => builder.with_client_cert_verifier(Arc::new(AskOnly { authority: authority.clone(), provider })),
        };
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Made anew with every reload: a ticket keeps a client's certificate, which the new terms may not trust.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self { config: Arc::new(config), authority })
    }

    /// Whether a client's certificates lead to a trusted authority.
    pub fn authorizes(&self, certificates: &[CertificateDer<'static>]) -> bool {
        let (Some(authority), Some((first, rest))) = (&self.authority, certificates.split_first()) else { return false };
        authority.verify_client_cert(first, rest, UnixTime::now()).is_ok()
    }
}

/// Makes the sessions of new connections.
#[derive(Debug)]
pub(crate) struct Acceptor(RwLock<Arc<Terms>>);

impl Acceptor {
    pub fn new(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(Arc::new(Terms::new(tls)?))))
    }

    /// Connections that come from now on are secured by this; those that are there stay as they are.
    pub fn replace(&self, tls: &Tls) -> Result<(), TlsError> {
        let terms = Arc::new(Terms::new(tls)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = terms;
        Ok(())
    }

    /// The session of a new connection.
    pub fn session(&self) -> io::Result<Session> {
        let terms = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        Session::new(terms).map_err(io::Error::other)
    }
}

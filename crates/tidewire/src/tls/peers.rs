//! Clients that are asked for a certificate.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::{Source, Tls, TlsError};

/// Who says whether a client's certificate is trusted; `None` when nobody is trusted to issue one.
pub(super) fn authority(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let mut roots = RootCertStore::empty();
    add_authorities(&mut roots, &tls.ca)?;
    if roots.is_empty() {
        return Ok(None);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    verifier.map(|verifier| Some(verifier as _)).map_err(|error| TlsError::Wrong {
        option: "ca",
        from: "all".to_owned(),
        problem: error.to_string(),
    })
}

/// Adds certificates of authorities.
pub(super) fn add_authorities(roots: &mut RootCertStore, sources: &[Source]) -> Result<(), TlsError> {
    for source in sources {
        for certificate in source.certificates("ca")? {
            roots.add(certificate).map_err(|error| TlsError::Wrong {
                option: "ca",
                from: source.to_string(),
                problem: format!("it cannot be an authority: {error}"),
            })?;
        }
    }
    Ok(())
}

/// Asks every client for a certificate and lets all in: those without, and those whose certificate nobody vouches for. That a
/// client has the key of what it shows is verified in any case.
#[derive(Debug)]
pub(super) struct AskOnly {
    pub authority: Option<Arc<dyn ClientCertVerifier>>,
    pub provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authority.as_deref().map_or(&[], |authority| authority.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

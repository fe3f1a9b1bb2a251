//! Whom to believe that it is the server, where TLS is spoken.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{LoadError, Result};

/// Whose certificates are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities'.
    #[default]
    System,
    /// Those of the authorities in these files, in PEM or DER.
    Authorities(Vec<PathBuf>),
    /// Anyone's.
    Anyone,
}

impl Trust {
    /// How all connections of a load are secured. Every one makes a whole handshake: what is resumed costs a server less.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config = match self {
            Self::Anyone => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))).with_no_client_auth()
            }
            Self::System => builder.with_root_certificates(system()).with_no_client_auth(),
            Self::Authorities(files) => builder.with_root_certificates(authorities(files)?).with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read vouches for nobody; if that was needed, the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn authorities(files: &[PathBuf]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for file in files {
        let unusable = |why: String| LoadError::Usage(format!("{}: {why}", file.display()));
        let bytes = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        let mut certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            certificates.push(CertificateDer::from(bytes));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(format!("not the certificate of an authority: {error}")))?;
        }
    }
    Ok(roots)
}

/// Takes any certificate.
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
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_vouches_for_nobody_is_named() {
        let missing = Trust::Authorities(vec!["no such file".into()]).config().unwrap_err().to_string();
        assert!(missing.starts_with("no such file: "), "{missing}");
        let file = std::env::temp_dir().join(format!("tidewire-load-{}.pem", std::process::id()));
        std::fs::write(&file, "no certificate").unwrap();
        let wrong = Trust::Authorities(vec![file.clone()]).config().unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(wrong.contains("not the certificate of an authority"), "{wrong}");
        assert!(Trust::Anyone.config().is_ok());
    }
}

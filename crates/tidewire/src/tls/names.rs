//! Which certificate a client gets, by the name that it asks for (SNI).

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, TlsError};

/// The certificates of a server, each with the names that it was given; the first is the default.
#[derive(Debug)]
pub(super) struct Names(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    key: Arc<CertifiedKey>,
    names: Vec<Name>,
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// Any one label before this, which begins with a dot.
    Under(String),
}

impl Name {
    fn parse(text: &str) -> Result<Self, TlsError> {
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        let (name, under) = lower.strip_prefix("*.").map_or((&*lower, false), |name| (name, true));
        DnsName::try_from(name).map_err(|_| TlsError::Name(text.to_owned()))?;
        Ok(if under { Self::Under(format!(".{name}")) } else { Self::Exact(name.to_owned()) })
    }
}

impl Names {
    pub fn load(certificates: &[Certificate], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let entries: Result<_, _> = certificates.iter().map(|certificate| Entry::load(certificate, provider)).collect();
        Ok(Self(entries?))
    }

    /// The certificate for a name: one that was given exactly this name, else one that was given a wildcard for it, else one in
    /// which it is written, else the first.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let has = |wanted: &Name| self.0.iter().find(|entry| entry.names.contains(wanted));
        let under = || name.find('.').and_then(|dot| has(&Name::Under(name[dot..].to_owned())));
        let written = || self.0.iter().find(|entry| entry.names.is_empty() && entry.is_written_for(&name));
        has(&Name::Exact(name.clone())).or_else(under).or_else(written).or_else(|| self.0.first()).map(|entry| &entry.key)
    }
}

impl Entry {
    fn load(certificate: &Certificate, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let chain = certificate.cert.certificates("cert")?;
        let key = certificate.key.private_key(certificate.passphrase.as_deref())?;
        let wrong = |problem: String| TlsError::Wrong { option: "key", from: certificate.key.to_string(), problem };
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => wrong(format!("it is not the key of the certificate in {}", certificate.cert)),
            error => wrong(format!("it is no RSA, ECDSA or Ed25519 key that can be used: {error}")),
        })?;
        let names: Result<_, _> = certificate.server_names.iter().map(|name| Name::parse(name)).collect();
        Ok(Self { key: Arc::new(key), names: names? })
    }

    /// Whether a name is among the certificate's own.
    fn is_written_for(&self, name: &str) -> bool {
        let (Some(certificate), Ok(name)) = (self.key.cert.first(), ServerName::try_from(name)) else { return false };
        ParsedCertificate::try_from(certificate).is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.find(name).cloned(),
            None => self.0.first().map(|entry| entry.key.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs::default_provider;

    fn certificate(written: &[&str], given: &[&str]) -> Certificate {
        let names: Vec<String> = written.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = Certificate::bytes(made.cert.pem(), made.signing_key.serialize_pem());
        given.iter().fold(certificate, |certificate, name| certificate.server_name(*name))
    }

    #[test]
    fn the_closest_name_wins_and_the_first_is_the_default() {
        let all = [
            certificate(&["default.example"], &[]),
            certificate(&["x.example"], &["*.given.example"]),
            certificate(&["y.example"], &["exact.given.example", "UPPER.example."]),
            certificate(&["written.example", "*.stars.example"], &[]),
        ];
        let names = Names::load(&all, &default_provider()).unwrap();
        let place = |name: &str| {
            let found = names.find(name).unwrap();
            names.0.iter().position(|entry| Arc::ptr_eq(&entry.key, found)).unwrap()
        };
        for (name, expected) in [
            ("default.example", 0),
            ("nobody.example", 0),
            ("a.given.example", 1),
            ("A.Given.Example", 1),
            ("given.example", 0),
            ("a.b.given.example", 0),
            ("exact.given.example", 2),
            ("upper.example", 2),
            // A certificate that was given names is for those alone.
            ("y.example", 0),
            ("written.example", 3),
            ("any.stars.example", 3),
        ] {
            assert_eq!(place(name), expected, "{name}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "*.", "a b", "*.*.example", "http://a"] {
            assert!(matches!(Name::parse(name), Err(TlsError::Name(wrong)) if wrong == name), "{name:?}");
        }
    }
}

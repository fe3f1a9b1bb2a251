//! Certificates and keys from files and memory, PEM and DER; and what can be wrong with them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ParsedCertificate;

/// Where a certificate or a key is.
#[derive(Clone)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&std::path::Path> for Source {
    fn from(path: &std::path::Path) -> Self {
        Self::File(path.into())
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// The file's name; of memory only its size, because it may be a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bytes(bytes) => write!(f, "{} bytes of memory", bytes.len()),
        }
    }
}

impl Source {
    fn read(&self, option: &'static str) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|error| TlsError::Unreadable { option, path: path.clone(), error }),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    fn wrong(&self, option: &'static str, problem: impl Into<String>) -> TlsError {
        TlsError::Wrong { option, from: self.to_string(), problem: problem.into() }
    }

    /// The certificates that are here, at least one.
    pub(super) fn certificates(&self, option: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.read(option)?;
        let certificates = if is_pem(&bytes) {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
            certificates.map_err(|error| self.wrong(option, format!("the PEM cannot be read: {error}")))?
        } else {
            vec![CertificateDer::from(bytes)]
        };
        if certificates.is_empty() {
            return Err(self.wrong(option, "there is no `-----BEGIN CERTIFICATE-----` in it"));
        }
        for (place, certificate) in certificates.iter().enumerate() {
            if let Err(error) = ParsedCertificate::try_from(certificate) {
                let problem = format!("certificate {} is no X.509 certificate, in PEM or DER: {error}", place + 1);
                return Err(self.wrong(option, problem));
            }
        }
        Ok(certificates)
    }

    /// The first private key that is here.
    pub(super) fn private_key(&self, passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
        const OPTION: &str = "key";
        let bytes = self.read(OPTION)?;
        if !is_pem(&bytes) {
            return match EncryptedPrivateKeyInfoRef::try_from(&*bytes) {
                Ok(encrypted) => self.decrypt(&encrypted, passphrase),
                Err(_) => PrivateKeyDer::try_from(bytes)
                    .map_err(|_| self.wrong(OPTION, "it is neither PEM nor DER of a private key (PKCS#8, PKCS#1 or SEC1)")),
            };
        }
        if find(&bytes, b"Proc-Type: 4,ENCRYPTED") {
            let problem = "it is encrypted in the way of OpenSSL before PKCS#8, which one guess at the passphrase is enough to \
                 attack; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.key -out NEW.key";
            return Err(self.wrong(OPTION, problem));
        }
        if let Some(encrypted) = encrypted_section(&bytes) {
            let (_, document) = pkcs8::SecretDocument::from_pem(encrypted)
                .map_err(|error| self.wrong(OPTION, format!("the PEM of the encrypted key cannot be read: {error}")))?;
            let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                .map_err(|error| self.wrong(OPTION, format!("the encrypted key is no PKCS#8: {error}")))?;
            return self.decrypt(&encrypted, passphrase);
        }
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                self.wrong(OPTION, "there is no `-----BEGIN PRIVATE KEY-----` (or EC, RSA, ENCRYPTED) in it")
            }
            error => self.wrong(OPTION, format!("the PEM cannot be read: {error}")),
        })
    }

    fn decrypt(
        &self,
        encrypted: &EncryptedPrivateKeyInfoRef<'_>,
        passphrase: Option<&str>,
    ) -> Result<PrivateKeyDer<'static>, TlsError> {
        let passphrase = passphrase.ok_or_else(|| self.wrong("key", "it is encrypted, and there is no passphrase"))?;
        let key = encrypted.decrypt(passphrase).map_err(|_| {
            let problem = "it cannot be decrypted: either the passphrase is wrong, or the cipher is none of AES-CBC with PBKDF2 or scrypt \
                (convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.key -out NEW.key)";
            self.wrong("passphrase", problem)
        })?;
        Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
    }
}

/// PEM is text with a line that begins so (RFC 7468, section 2); DER of anything here begins with 0x30.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.first() != Some(&0x30) && find(bytes, b"-----BEGIN ")
}

fn find(bytes: &[u8], pattern: &[u8]) -> bool {
    position(bytes, pattern).is_some()
}

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// The PEM of the first encrypted key.
fn encrypted_section(bytes: &[u8]) -> Option<&str> {
    const END: &[u8] = b"-----END ENCRYPTED PRIVATE KEY-----";
    let bytes = &bytes[position(bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")?..];
    let end = position(bytes, END)? + END.len();
    std::str::from_utf8(&bytes[..end]).ok()
}

/// Why a server or a client cannot speak TLS as it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("tls: {option}: cannot read {}: {error}", path.display())]
    Unreadable {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something is not what it must be.
    #[error("tls: {option} ({from}): {problem}")]
    Wrong {
        /// The option.
        option: &'static str,
        /// The file, or how much memory.
        from: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// A name that no client can ask for, or no server can have.
    #[error(
        "tls: server_name: {0:?} is no name of a server: a DNS name (a certificate's may begin with `*.`) or, for clients, an address"
    )]
    Name(String),
    /// Clients must show a certificate, but nobody is trusted to issue one.
    #[error("tls: request_cert with reject_unauthorized needs a ca, because without one every client would be refused")]
    NoAuthority,
    /// The server was bound without TLS, or is built without it.
    #[error("tls: this server was bound without TLS; only a server that speaks it can change its certificates")]
    NotSecured,
    /// The cryptography failed.
    #[error("tls: {0}")]
    Crypto(#[from] rustls::Error),
}

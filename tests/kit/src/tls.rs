//! TLS for tests: authorities and certificates that are made for the occasion, and either side of TLS on any [`Wire`], so that
//! every test client, and every server of raw bytes, can live on it.
//!
//! It is rustls too, but through its other interface, with buffers of its own. What a peer may do is at hand: records of any
//! size, a ClientHello in two parts, an end without close_notify, bytes that are no TLS.
//!
//! ```
//! use tidewire_kit::client::{Client, Upgrade};
//! use tidewire_kit::tls::{Authority, Terms, Tls};
//! # use tidewire_kit::sim::{Faults, Network};
//! # let network = Network::new(1, Faults::none());
//! # let listener = network.listen(&tidewire_sys::Endpoint::Unix("a".into())).unwrap();
//! # let peer = network.connect(listener.local());
//! let authority = Authority::new();
//! let server = authority.certify(&["localhost"]); // give this one to the server
//! let wire = Tls::new(peer, &Terms::trust(&authority), "localhost");
//! let client = Client::open(wire, &Upgrade::to("/"));
//! # let _ = (server, client);
//! ```

use crate::client::{Arrival, Wire};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType};
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use rustls::{SupportedProtocolVersion, version};
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

/// Somebody who issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate in PEM.
    pub cert: String,
    /// Its key in PEM.
    pub key: String,
}

impl Certified {
    /// The certificate in DER.
    ///
    /// # Panics
    /// When [`Certified::cert`] was changed to something else.
    #[must_use]
    pub fn cert_der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("it was made here").to_vec()
    }

    /// The key in DER, as PKCS#8.
    ///
    /// # Panics
    /// When [`Certified::key`] was changed to something else.
    #[must_use]
    pub fn key_der(&self) -> Vec<u8> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("it was made here").secret_der().to_vec()
    }
}

/// Signatures of Ed25519 have one length, so that runs of one seed move the same bytes at the same times.
fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("a key can be made")
}

/// A subject of its own: OpenSSL takes a certificate for self-signed when it is called as its issuer is.
fn called(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one, whom nobody knows yet.
    ///
    /// # Panics
    /// When the system gives no random bytes.
    #[must_use]
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = called("an authority for tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, key()).expect("an authority can be made"))
    }

    /// Its own certificate, in PEM: whoever trusts it trusts what it issues.
    #[must_use]
    pub fn cert(&self) -> String {
        self.0.pem()
    }

    /// A certificate with these names, for servers and for clients.
    ///
    /// # Panics
    /// For a name that is none.
    #[must_use]
    pub fn certify(&self, names: &[&str]) -> Certified {
        self.certify_key(names, &key())
    }

    /// As [`Authority::certify`], with a key that every program reads: OpenSSL does not know the form that keys of Ed25519 are made in.
    ///
    /// # Panics
    /// For a name that is none.
    #[must_use]
    pub fn certify_ecdsa(&self, names: &[&str]) -> Certified {
        self.certify_key(names, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made"))
    }

    /// A certificate with these names for somebody's own key, in PEM.
    ///
    /// # Panics
    /// For a name that is none, or a key that is none.
    #[must_use]
    pub fn certify_pem(&self, names: &[&str], key: &str) -> Certified {
        self.certify_key(names, &KeyPair::from_pem(key).expect("this is a key"))
    }

    fn certify_key(&self, names: &[&str], key: &KeyPair) -> Certified {
        let subject = called(names.first().copied().unwrap_or_default());
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("these are names");
        parameters.distinguished_name = subject;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let cert = parameters.signed_by(key, &self.0).expect("a certificate can be issued");
        Certified { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// What clients insist on. Clones share the sessions that can be resumed.
#[derive(Debug, Clone)]
pub struct Terms(Arc<ClientConfig>);

/// A version of TLS.
pub use rustls::SupportedProtocolVersion as Version;

/// TLS 1.2 alone.
pub const TLS_1_2: &SupportedProtocolVersion = &version::TLS12;
/// TLS 1.3 alone.
pub const TLS_1_3: &SupportedProtocolVersion = &version::TLS13;

impl Terms {
    /// Clients that trust servers of an authority, and speak both versions.
    #[must_use]
    pub fn trust(authority: &Authority) -> Self {
        Self::new(authority, &[TLS_1_3, TLS_1_2], None)
    }

    /// As [`Terms::trust`], with these versions only, and a certificate of their own to show.
    ///
    /// # Panics
    /// When there is no version, or the certificate is none.
    #[must_use]
    pub fn new(authority: &Authority, versions: &[&'static SupportedProtocolVersion], own: Option<&Certified>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).expect("an authority's certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("there is a version").with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from(own.cert_der())];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it was made here");
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        };
        Self(Arc::new(config))
    }

    /// Offers these protocols by ALPN.
    #[must_use]
    pub fn alpn(self, protocols: &[&str]) -> Self {
        let mut config = (*self.0).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Sends no record that is larger, its head included; at least 32 bytes.
    #[must_use]
    pub fn records(self, size: usize) -> Self {
        let mut config = (*self.0).clone();
        config.max_fragment_size = Some(size);
        Self(Arc::new(config))
    }
}

/// One side of TLS on a wire: a client's, or that of a server of raw bytes.
#[derive(Debug)]
pub struct Tls<W> {
    wire: W,
    tls: Connection,
    /// How many bytes of application data go into one record, if that is said.
    piece: Option<usize>,
    /// The rest of a ClientHello that was cut; it goes with the next receive.
    held: Vec<u8>,
    failed: Option<rustls::Error>,
    ended: bool,
}

impl<W: Wire> Tls<W> {
    /// Sends the ClientHello, for a server of this name.
    #[must_use]
    pub fn new(wire: W, terms: &Terms, name: &str) -> Self {
        Self::cut(wire, terms, name, usize::MAX)
    }

    /// As [`Tls::new`], but only so many bytes of the ClientHello at first.
    ///
    /// # Panics
    /// When the name is none.
    #[must_use]
    pub fn cut(wire: W, terms: &Terms, name: &str, first: usize) -> Self {
        let name = ServerName::try_from(name.to_owned()).expect("a server's name");
        let mut tls = ClientConnection::new(terms.0.clone(), name).expect("the terms are complete");
        tls.set_buffer_limit(None);
        let tls = Connection::Client(tls);
        let mut this = Self { wire, tls, piece: None, held: Vec::new(), failed: None, ended: false };
        let mut hello = this.take_records();
        this.held = hello.split_off(first.min(hello.len()));
        this.wire.send(&hello);
        this
    }

    /// A server's side, with this certificate and one version: it waits for a ClientHello.
    ///
    /// # Panics
    /// When the certificate was changed to something else.
    #[must_use]
    pub fn accept(wire: W, own: &Certified, version: &'static SupportedProtocolVersion) -> Self {
        let chain = vec![CertificateDer::from(own.cert_der())];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it was made here");
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[version]).expect("there is a version").with_no_client_auth();
        let config = builder.with_single_cert(chain, key).expect("a certificate and its key");
        let mut tls = ServerConnection::new(Arc::new(config)).expect("the terms are complete");
        tls.set_buffer_limit(None);
        Self { wire, tls: Connection::Server(tls), piece: None, held: Vec::new(), failed: None, ended: false }
    }

    /// Sends so many bytes of application data in a record from here on.
    pub const fn set_piece(&mut self, size: usize) {
        self.piece = Some(size);
    }

    /// Whether a part of the ClientHello is held back.
    pub const fn is_cut(&self) -> bool {
        !self.held.is_empty()
    }

    fn take_records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            // A vector takes everything.
            let _ = self.tls.write_tls(&mut records);
        }
        records
    }

    fn push(&mut self) {
        let records = self.take_records();
        if !records.is_empty() {
            self.wire.send(&records);
        }
    }

    /// The records of these bytes, to be sent by the caller: whole, cut, twice, changed.
    ///
    /// # Panics
    /// Before the handshake is made.
    pub fn seal(&mut self, bytes: &[u8]) -> Vec<u8> {
        assert!(!self.tls.is_handshaking(), "there are no keys before the handshake");
        self.put(bytes);
        self.take_records()
    }

    fn put(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece.unwrap_or(usize::MAX)) {
            // Without a limit all is taken.
            let _ = self.tls.writer().write_all(piece);
        }
    }

    /// Says that no more comes, as TLS wants it.
    pub fn close_notify(&mut self) {
        self.tls.send_close_notify();
        self.push();
    }

    /// Changes the keys (RFC 8446, section 4.6.3) and asks the server to do the same; its answer comes with its next bytes.
    ///
    /// # Panics
    /// Before the handshake is made, and under TLS 1.2.
    pub fn update_keys(&mut self) {
        self.tls.refresh_traffic_keys().expect("TLS 1.3 after its handshake");
        self.push();
    }

    /// Whether the handshake is made.
    pub fn is_established(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Whether the session is an earlier one, resumed.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol that was agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The server's own certificate, in DER.
    pub fn certificate(&self) -> Option<&[u8]> {
        Some(self.tls.peer_certificates()?.first()?)
    }

    /// Why TLS failed, if it did: an alert of the server's, or what it did wrong.
    pub const fn failed(&self) -> Option<&rustls::Error> {
        self.failed.as_ref()
    }

    /// Whether the server has said that no more comes (close_notify).
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The wire beneath.
    pub const fn wire(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Gives up TLS for the wire beneath.
    pub fn into_wire(self) -> W {
        self.wire
    }

    fn decrypt(&mut self, mut records: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !records.is_empty() && self.failed.is_none() {
            // A slice can always be read, and the limit is on plaintext, which is taken at once.
            let _ = self.tls.read_tls(&mut records);
            match self.tls.process_new_packets() {
                Ok(state) => {
                    self.ended |= state.peer_has_closed();
                    let _ = self.tls.reader().read_to_end(&mut plain);
                }
                Err(error) => self.failed = Some(error),
            }
        }
        plain
    }
}

impl<W: Wire> Wire for Tls<W> {
    /// Encrypts and sends everything; before the handshake is made, behind it.
    fn send(&mut self, bytes: &[u8]) {
        self.put(bytes);
        if self.held.is_empty() {
            self.push();
        }
    }

    fn receive(&mut self) -> Arrival {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.wire.send(&held);
        }
        match self.wire.receive() {
            Arrival::Bytes(records) => {
                let plain = self.decrypt(&records);
                self.push();
                match plain.is_empty() {
                    false => Arrival::Bytes(plain),
                    true if self.failed.is_some() => Arrival::Reset,
                    true => Arrival::Nothing,
                }
            }
            end => end,
        }
    }
}

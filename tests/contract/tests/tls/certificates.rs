//! Certificates and keys as they come, and what is said when they are not what they must be.

use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::{LineEnding, PrivateKeyInfoRef};
use tidewire::Server;
use tidewire::tls::{Certificate, Tls, TlsError};
use tidewire_kit::tls::Certified;

use super::{AUTHORITY, LOCALHOST};

fn refused(tls: Tls) -> String {
    let error: TlsError = Server::builder::<()>().tls(tls).expect_err("this is refused");
    error.to_string()
}

fn with(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> String {
    refused(Tls::new(Certificate::bytes(cert, key)))
}

#[test]
fn pem_and_der_are_the_same() {
    let Certified { cert, key } = &*LOCALHOST;
    let (cert_der, key_der) = (LOCALHOST.cert_der(), LOCALHOST.key_der());
    for cert in [cert.clone().into_bytes(), cert_der] {
        for key in [key.clone().into_bytes(), key_der.clone()] {
            assert!(Server::builder::<()>().tls(Tls::new(Certificate::bytes(cert.clone(), key))).is_ok());
        }
    }
    // One file may hold both, in either order, with words between.
    for both in [format!("{cert}and the key:\n{key}"), format!("{key}{cert}")] {
        assert!(Server::builder::<()>().tls(Tls::new(Certificate::bytes(both.clone(), both))).is_ok());
    }
}

#[test]
fn an_error_says_which_option_is_wrong_and_what_was_expected() {
    let Certified { cert, key } = LOCALHOST.clone();
    let other = AUTHORITY.certify(&["localhost"]).key;
    for (message, parts) in [
        (refused(Tls::files("no-such-file.pem", "no.key")), vec!["cert", "no-such-file.pem", "No such file"]),
        (with("hello", &*key), vec!["cert", "5 bytes of memory", "no X.509 certificate, in PEM or DER"]),
        (with(&*key, &*key), vec!["cert", "-----BEGIN CERTIFICATE-----"]),
        (with(&*cert, &*cert), vec!["key", "-----BEGIN PRIVATE KEY-----"]),
        (with(&*cert, "hello"), vec!["key", "neither PEM nor DER"]),
        (with(&*cert, &*other), vec!["key", "not the key of the certificate"]),
        (with(cert.replace("MII", "???"), &*key), vec!["cert", "PEM cannot be read"]),
        (refused(super::localhost().request_cert(true)), vec!["request_cert", "needs a ca"]),
        (refused(super::localhost().ca(b"hello".to_vec())), vec!["ca", "no X.509 certificate"]),
        (refused(Tls::new(super::certificate(&LOCALHOST).server_name("a b"))), vec!["server_name", "\"a b\""]),
    ] {
        assert!(message.starts_with("tls: ") && parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

/// The key of the certificate, encrypted with a passphrase: DER and PEM.
fn encrypted(passphrase: &str) -> (Vec<u8>, String) {
    let der = LOCALHOST.key_der();
    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(1000, b"some salt for it", [9; 16]).unwrap();
    let document = PrivateKeyInfoRef::try_from(&*der).unwrap().encrypt_with_params(parameters, passphrase).unwrap();
    let pem = document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
    (document.as_bytes().to_vec(), pem.to_string())
}

#[test]
fn an_encrypted_key_wants_its_passphrase() {
    let (der, pem) = encrypted("open sesame");
    for key in [der, pem.clone().into_bytes(), format!("{}{pem}", LOCALHOST.cert).into_bytes()] {
        let certificate = || Certificate::bytes(LOCALHOST.cert.clone(), key.clone());
        assert!(Server::builder::<()>().tls(Tls::new(certificate().passphrase("open sesame"))).is_ok());
        let message = refused(Tls::new(certificate().passphrase("wrong")));
        assert!(message.contains("passphrase") && message.contains("is wrong"), "{message}");
        let message = refused(Tls::new(certificate()));
        assert!(message.contains("it is encrypted, and there is no passphrase"), "{message}");
    }
}

#[test]
fn keys_in_the_old_encryption_are_refused_with_the_way_to_convert_them() {
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let message = with(&*LOCALHOST.cert, old);
    assert!(message.contains("openssl pkcs8 -topk8"), "{message}");
}

#[test]
fn debug_output_shows_no_secret() {
    let certificate = super::certificate(&LOCALHOST).passphrase("the-passphrase");
    let text = format!("{:?}", Tls::new(certificate));
    assert!(!text.contains("the-passphrase") && !text.contains("PRIVATE KEY"), "{text}");
}

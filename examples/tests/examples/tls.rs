//! TLS with two names.

use tidewire_kit::Folder;
use tidewire_kit::client::{Arrival, Wire};
use tidewire_kit::real::{Connection, wait_until};
use tidewire_kit::tls::{Authority, Certified, Terms, Tls};

use crate::process::Example;

/// Asks for the page of a name; gives it, and the certificate that was shown.
fn page(example: &Example, authority: &Authority, name: &str) -> (String, Vec<u8>) {
    let mut wire = Tls::new(Connection::tcp(example.address).unwrap(), &Terms::trust(authority), name);
    wire.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n").as_bytes());
    let mut page = Vec::new();
    wait_until("the page", || {
        match wire.receive() {
            Arrival::Bytes(bytes) => page.extend(bytes),
            Arrival::Nothing => {}
            Arrival::End | Arrival::Reset => return true,
        }
        false
    });
    (String::from_utf8(page).unwrap(), wire.certificate().unwrap().to_vec())
}

#[test]
fn two_names_have_their_certificates_which_are_changed_without_a_stop() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let write = |name: &str| {
        let certified: Certified = authority.certify(&[name]);
        folder.write(&format!("{name}.pem"), &certified.cert);
        folder.write(&format!("{name}.key"), &certified.key);
        certified.cert_der()
    };
    let names = ["a.example", "b.example"];
    let certificates = names.map(write);
    let arguments = names.map(|name| folder.join(name).to_str().unwrap().to_owned());
    let mut example = Example::start_with("tls", &[&arguments[0], &arguments[1]]);
    for (name, certificate) in names.iter().zip(&certificates) {
        let (page, shown) = page(&example, &authority, name);
        assert!(page.ends_with(&format!("this is {name}, through V1_3\n")), "{page}");
        assert_eq!(&shown, certificate);
    }

    let next = write("b.example");
    example.type_line("");
    assert_eq!(example.line(), "new connections get the new certificates");
    assert_eq!(page(&example, &authority, "b.example").1, next);
    assert_eq!(page(&example, &authority, "a.example").1, certificates[0]);
}

//! How a connection is made: versions, names, protocols, tickets, and a ClientHello in any number of parts.

use std::sync::{Arc, Mutex};

use tidewire::Server;
use tidewire::tls::{TlsDetails, TlsError, TlsVersion};
use tidewire_contract::World;
use tidewire_kit::client::{Arrival, Message, Wire};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::tls::{TLS_1_2, TLS_1_3, Terms, Tls};

use super::{AUTHORITY, LOCALHOST, certificate, connect, echo, localhost, rest, versions, wire};

/// Lets a wire's handshake end, either way.
fn shake(world: &mut World, wire: &mut Tls<Peer>) -> bool {
    world.run(|| {
        let ended = matches!(wire.receive(), Arrival::End | Arrival::Reset);
        wire.is_established() || wire.failed().is_some() || ended
    }) && wire.is_established()
        && {
            rest(world);
            wire.receive();
            wire.failed().is_none()
        }
}

#[test]
fn a_client_hello_may_be_cut_anywhere() {
    for terms in versions() {
        for cut in 1.. {
            let mut world = World::calm(echo());
            let mut wire = Tls::cut(world.peer(), terms, "localhost", cut);
            if !wire.is_cut() {
                assert!(cut > 100, "the whole of it is longer");
                break;
            }
            world.turn();
            assert!(shake(&mut world, &mut wire), "cut at {cut}: {:?}", wire.failed());
        }
    }
}

#[test]
fn handlers_know_how_a_connection_is_secured() {
    static SEEN: Mutex<Vec<Option<TlsDetails>>> = Mutex::new(Vec::new());
    for (terms, version) in versions().into_iter().zip([TlsVersion::V1_2, TlsVersion::V1_3]) {
        SEEN.lock().unwrap().clear();
        let builder = Server::builder().tls(localhost()).unwrap();
        let builder = builder
            .fetch(|req, server| async move {
                SEEN.lock().unwrap().push(req.extensions().get().cloned());
                server.upgrade(&req, tidewire::Upgrade::new(()))
            })
            .open(|ws| SEEN.lock().unwrap().push(ws.tls()));
        let mut world = World::calm(builder);
        let mut clients = [connect(&world, terms)];
        world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
        let seen = SEEN.lock().unwrap();
        assert_eq!(seen.len(), 2);
        for details in &*seen {
            let details = details.as_ref().unwrap();
            assert_eq!((details.version, details.authorized, details.resumed), (version, false, false));
            assert!(details.certificates.is_empty());
        }
        assert_eq!(world.server.protocol(), "https");
    }
}

#[test]
fn a_name_chooses_the_certificate_and_who_asks_for_none_gets_the_first() {
    let (a, b) = (AUTHORITY.certify(&["a.example"]), AUTHORITY.certify(&["b.example", "*.b.example"]));
    let tls = tidewire::tls::Tls::new(certificate(&a)).certificate(certificate(&b));
    let mut world = World::calm(Server::builder::<()>().tls(tls).unwrap());
    for (name, expected) in [("a.example", &a), ("b.example", &b), ("x.b.example", &b)] {
        let mut wire = Tls::new(world.peer(), &super::CLIENT_1_3, name);
        assert!(shake(&mut world, &mut wire), "{name}: {:?}", wire.failed());
        assert_eq!(wire.certificate(), Some(&*expected.cert_der()), "{name}");
    }
    // The client refuses what is not written for it.
    let mut wire = Tls::new(world.peer(), &super::CLIENT_1_3, "c.example");
    assert!(!shake(&mut world, &mut wire));
    assert_eq!(wire.certificate(), None);
}

#[test]
fn http_1_1_is_the_only_protocol() {
    let mut world = World::calm(echo());
    let mut agreed = |offer: &[&str]| {
        let mut wire = wire(&world, &Terms::trust(&AUTHORITY).alpn(offer));
        shake(&mut world, &mut wire).then(|| wire.alpn().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["h2", "http/1.1"]), Some(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&[]), Some(None));
    assert_eq!(agreed(&["h2"]), None);
    assert_eq!(world.server.metrics().tls_errors, 1);
}

#[test]
fn sessions_are_resumed_by_any_worker() {
    for version in [TLS_1_2, TLS_1_3] {
        let mut world = World::new(5, Faults::none(), 4, echo());
        // The clients of these terms share their tickets.
        let terms = Terms::new(&AUTHORITY, &[version], None);
        let mut resumed = Vec::new();
        for _ in 0..8 {
            let mut clients = [connect(&world, &terms)];
            clients[0].send_text("again");
            world.until(&mut clients, "the echo", |clients| clients[0].messages().len() == 1);
            resumed.push(clients[0].wire().is_resumed());
        }
        assert_eq!(resumed, [false, true, true, true, true, true, true, true]);
    }
}

#[test]
fn certificates_are_changed_while_sockets_stay() {
    let mut world = World::calm(echo());
    let mut old = [connect(&world, &super::CLIENT_1_3)];
    world.until(&mut old, "the upgrade", |clients| clients[0].is_open());
    // One is in the middle of its handshake.
    let mut between = [super::Client::open(
        Tls::cut(world.peer(), &super::CLIENT_1_3, "localhost", 100),
        &tidewire_kit::client::Upgrade::to("/"),
    )];
    world.turn();

    let next = AUTHORITY.certify(&["localhost"]);
    world.server.reload_tls(&tidewire::tls::Tls::new(certificate(&next))).unwrap();
    let mut new = [connect(&world, &super::CLIENT_1_3)];
    world.until(&mut new, "the upgrade", |clients| clients[0].is_open());
    world.until(&mut between, "the upgrade", |clients| clients[0].is_open());
    assert_eq!(old[0].wire().certificate(), Some(&*LOCALHOST.cert_der()));
    assert_eq!(between[0].wire().certificate(), Some(&*LOCALHOST.cert_der()));
    assert_eq!(new[0].wire().certificate(), Some(&*next.cert_der()));
    for clients in [&mut old, &mut between, &mut new] {
        clients[0].send_text("still here");
        world.until(clients, "the echo", |clients| clients[0].messages() == [Message::Text("still here".into())]);
    }

    // What is wrong changes nothing.
    let wrong = tidewire::tls::Tls::files("there-is-no.pem", "such.key");
    assert!(matches!(world.server.reload_tls(&wrong), Err(TlsError::Unreadable { option: "cert", .. })));
    let mut new = [connect(&world, &super::CLIENT_1_3)];
    world.until(&mut new, "the upgrade", |clients| clients[0].is_open());
    assert_eq!(new[0].wire().certificate(), Some(&*next.cert_der()));

    let clear = World::calm(Server::builder::<()>());
    assert!(matches!(clear.server.reload_tls(&localhost()), Err(TlsError::NotSecured)));
    assert_eq!(clear.server.protocol(), "http");
}

/// A server that asks for certificates, and what its `fetch` was told.
fn asking(reject: bool) -> (World, Arc<Mutex<Vec<TlsDetails>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tls = localhost().ca(AUTHORITY.cert().into_bytes()).request_cert(true).reject_unauthorized(reject);
    let told = seen.clone();
    let builder = Server::builder::<()>().tls(tls).unwrap().fetch(move |req, _| {
        told.lock().unwrap().extend(req.extensions().get::<TlsDetails>().cloned());
        async { "hello" }
    });
    (World::calm(builder), seen)
}

#[test]
fn clients_are_asked_who_they_are() {
    let known = AUTHORITY.certify(&["ada"]);
    let stranger = tidewire_kit::tls::Authority::new().certify(&["ada"]);
    for version in [TLS_1_2, TLS_1_3] {
        for (own, reject, admitted, authorized) in [
            (Some(&known), true, true, true),
            (Some(&stranger), true, false, false),
            (None, true, false, false),
            (Some(&known), false, true, true),
            (Some(&stranger), false, true, false),
            (None, false, true, false),
        ] {
            let (mut world, seen) = asking(reject);
            let terms = Terms::new(&AUTHORITY, &[version], own);
            // The second time with a ticket: what was known of the client is still known.
            for round in 0..2 {
                let mut wire = wire(&world, &terms);
                wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                let mut all = Vec::new();
                let ended = world.run(|| match wire.receive() {
                    Arrival::Bytes(bytes) => {
                        all.extend(bytes);
                        all.ends_with(b"hello")
                    }
                    Arrival::Nothing => false,
                    Arrival::End | Arrival::Reset => true,
                });
                assert!(ended);
                assert_eq!(all.ends_with(b"hello"), admitted, "{own:?} {reject}");
                if !admitted {
                    assert!(wire.failed().is_some(), "it is told by an alert");
                    continue;
                }
                let details = seen.lock().unwrap().pop().unwrap();
                let shown: Vec<Vec<u8>> = details.certificates.iter().map(|certificate| certificate.to_vec()).collect();
                assert_eq!(shown, own.map(tidewire_kit::tls::Certified::cert_der).into_iter().collect::<Vec<_>>());
                assert_eq!((details.authorized, details.resumed), (authorized, round == 1), "{reject}");
            }
            assert_eq!(seen.lock().unwrap().len(), 0);
        }
    }
}

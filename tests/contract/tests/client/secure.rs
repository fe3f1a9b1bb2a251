//! `wss://`: whom a client trusts, what it shows, and what it says when TLS fails.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::tls::{Certificate, ClientTls, Connector, Tls};
use tidewire::{Client, Server, Upgrade};
use tidewire_kit::sim::{Faults, Network};
use tidewire_kit::tls::{Authority, Certified};
use tidewire_kit::{Random, for_each_seed};

use super::{LIMIT, Told, anywhere, is_over, noting, turn};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static LOCALHOST: LazyLock<Certified> = LazyLock::new(|| AUTHORITY.certify(&["localhost", "127.0.0.1"]));

fn certificate(of: &Certified) -> Certificate {
    Certificate::bytes(of.cert.clone(), of.key.clone())
}

fn trusting() -> ClientTls {
    ClientTls::new().ca(AUTHORITY.cert().into_bytes())
}

fn connector() -> Connector {
    trusting().build().unwrap()
}

#[test]
fn messages_go_both_ways_through_tls_whatever_the_network_does() {
    let connector = connector();
    for_each_seed(100, |seed| {
        let network = Network::new(seed, Faults::rough());
        let (_server, mut workers) = Server::builder()
            .tls(Tls::new(certificate(&LOCALHOST)))
            .unwrap()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .open(|ws| {
                ws.send("welcome");
            })
            .message(|ws, message| {
                ws.send(message);
            })
            .embed(vec![Box::new(network.io())]);
        let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
        let mut random = Random::new(seed);
        let texts: Vec<String> = (0..10).map(|i| format!("{i} {}", "x".repeat(random.below(30_000)))).collect();
        let (sent, got, ended) = (texts.clone(), Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(None)));
        let (log, end, count) = (got.clone(), ended.clone(), texts.len() + 1);
        let client = Client::builder()
            .open(move |ws| {
                assert!(ws.tls().unwrap().authorized);
                sent.iter().for_each(|text| assert!(!ws.send(text).is_dropped()));
            })
            .message(move |ws, message| {
                log.borrow_mut().push(message.to_string());
                if log.borrow().len() == count {
                    ws.close(1000, "enough").unwrap();
                }
            })
            .close(move |_, code, reason| *end.borrow_mut() = Some((code, reason.to_owned())))
            .tls(&connector)
            .at([endpoint])
            .embed(Box::new(network.io()), "wss://localhost/")
            .unwrap();
        workers.push(client);
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            ended.borrow().is_some() && workers.iter().all(|worker| worker.population().0 == 0)
        }));
        assert_eq!(got.borrow()[0], "welcome");
        assert_eq!(got.borrow()[1..], texts);
        assert_eq!(*ended.borrow(), Some((1000, "enough".to_owned())));
    });
}

/// What a client is told by a server with this TLS.
fn told_by(tls: Tls, connector: &Connector, url: &str) -> Vec<String> {
    let network = Network::new(1, Faults::none());
    let (_server, mut workers) = Server::builder()
        .tls(tls)
        .unwrap()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
        .open(|ws| {
            let shown = ws.tls().map_or(0, |tls| tls.certificates.len());
            ws.send(format!("{shown} certificates"));
            ws.close(1000, "").unwrap();
        })
        .embed(vec![Box::new(network.io())]);
    let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
    let told = Told::default();
    let client = noting(&told).tls(connector).at([endpoint]);
    workers.push(client.embed(Box::new(network.io()), url).unwrap());
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        is_over(&told) && workers[1].population().0 == 0
    }));
    told.take()
}

#[test]
fn c33_a_server_that_is_not_trusted_fails_with_1015_and_the_reason() {
    let honest = || Tls::new(certificate(&LOCALHOST));
    let stranger = ClientTls::new().ca(Authority::new().cert().into_bytes()).build().unwrap();
    let system = ClientTls::new().build().unwrap();
    for (connector, url, problem) in [
        // It has the authority's name, and another key.
        (&stranger, "wss://localhost/", "BadSignature"),
        (&system, "wss://localhost/", "UnknownIssuer"),
        (&connector(), "wss://other.example/", "other.example"),
        (&connector(), "wss://127.0.0.2/", "127.0.0.2"),
    ] {
        let told = told_by(honest(), connector, url);
        assert!(told[0].starts_with("error the TLS handshake with") && told[0].contains(problem), "{told:?}");
        assert_eq!(told[1..], ["close 1015 TLS handshake failed"], "{url}");
    }
    let fine = ["open", "message 0 certificates", "close 1000"];
    assert_eq!(told_by(honest(), &connector(), "wss://127.0.0.1/"), fine);
    // Who does not care, and who calls the server by another name.
    let insecure = ClientTls::new().insecure(true).build().unwrap();
    assert_eq!(told_by(honest(), &insecure, "wss://other.example/"), fine);
    let named = trusting().server_name("localhost").build().unwrap();
    assert_eq!(told_by(honest(), &named, "https://other.example/"), fine);
}

#[test]
fn a_client_shows_its_certificate_to_who_asks_for_one() {
    let asking = || Tls::new(certificate(&LOCALHOST)).ca(AUTHORITY.cert().into_bytes()).request_cert(true);
    let me = trusting().certificate(certificate(&AUTHORITY.certify(&["me"]))).build().unwrap();
    assert_eq!(told_by(asking(), &me, "wss://localhost/")[..2], ["open", "message 1 certificates"]);
    // In TLS 1.3 the refusal comes behind the client's own handshake.
    let told = told_by(asking(), &connector(), "wss://localhost/");
    assert!(told[0].contains("TLS handshake") && told[0].contains("CertificateRequired"), "{told:?}");
    assert_eq!(told[1..], ["close 1015 TLS handshake failed"]);
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_refused() {
    let error = ClientTls::new().certificate(Certificate::bytes(LOCALHOST.cert.clone(), AUTHORITY.certify(&["x"]).key));
    let error = error.build().unwrap_err().to_string();
    assert!(error.contains("tls: key") && error.contains("cannot be used with the certificate"), "{error}");
    assert!(ClientTls::new().server_name("a b").build().is_err());
    assert!(ClientTls::new().ca(b"no certificate".to_vec()).build().is_err());
}

/// A server of raw bytes that says `said` to the ClientHello and ends.
fn told_after(seed: u64, said: &[u8]) -> Vec<String> {
    let network = Network::new(seed, Faults::rough());
    let mut listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let client = noting(&told).tls(&connector()).at([listener.local().clone()]);
    let mut workers = vec![client.embed(Box::new(network.io()), "wss://localhost/").unwrap()];
    let (mut peer, mut answered) = (None, false);
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        peer = peer.take().or_else(|| listener.accept().ok());
        if let Some(peer) = &mut peer
            && !peer.read().is_empty()
            && !answered
        {
            answered = true;
            peer.write(said);
            peer.shutdown();
        }
        is_over(&told)
    }));
    told.take()
}

#[test]
fn h20_garbage_instead_of_tls_is_an_error_and_no_hang() {
    for_each_seed(100, |seed| {
        let told = told_after(seed, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert_eq!(
            told,
            ["error the TLS handshake with localhost failed: it does not speak TLS there", "close 1015 TLS handshake failed"]
        );
        let mut random = Random::new(seed);
        let garbage: Vec<u8> = (0..1 + random.below(300)).map(|_| random.bits() as u8).collect();
        let told = told_after(seed, &garbage);
        assert!(told[0].starts_with("error") && told[1].starts_with("close 10"), "{told:?}");
        // A record that says more than there is.
        let told = told_after(seed, b"\x16\x03\x03\x02\x00\x02");
        assert_eq!(told, ["error the server ended the connection before it was open", "close 1006"]);
    });
}

#[test]
fn what_is_not_spoken_in_the_clear_is_told_apart() {
    // A plain client at a server of TLS is told what to do.
    let network = Network::new(1, Faults::none());
    let (_server, mut workers) =
        Server::builder::<()>().tls(Tls::new(certificate(&LOCALHOST))).unwrap().embed(vec![Box::new(network.io())]);
    let endpoint: Endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
    let told = Told::default();
    workers.push(noting(&told).at([endpoint]).embed(Box::new(network.io()), "ws://localhost/").unwrap());
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        is_over(&told)
    }));
    assert_eq!(*told.borrow(), ["error the server did not open a WebSocket: expected status 101, got 400", "close 1006"]);
}

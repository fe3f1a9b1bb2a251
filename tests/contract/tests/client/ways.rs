//! The way to a server: several addresses, proxies, several clients and a server on one worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidewire::client::{ClientError, Dial, Proxy};
use tidewire::engine::{Application, ConnectError, LocalSocket, Message, Worker};
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Client, ReadyState, Server, Upgrade};
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Network, Peer, PeerListener};

use super::{LIMIT, Told, anywhere, is_over, noting, turn};

/// A server that greets, says the message back with the request's headers of interest, and closes.
fn greeting(network: &Network) -> (Vec<Worker>, Endpoint) {
    let (_server, mut workers) = Server::builder()
        .fetch(|req, server| async move {
            let header = |name| req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
            let seen = [header("host"), header("authorization"), header("proxy-authorization"), req.uri().to_string()].join(" ");
            server.upgrade(&req, Upgrade::new(seen))
        })
        .open(|ws| {
            ws.send(ws.data());
            ws.close(1000, "").unwrap();
        })
        .embed(vec![Box::new(network.io())]);
    let endpoint = workers[0].listen(&anywhere(), &ListenOptions::default()).unwrap();
    (workers, endpoint)
}

fn at(port: u16) -> Endpoint {
    Endpoint::Tcp(([127, 0, 0, 2], port).into())
}

/// Runs a client against [`greeting`], at these places before the server's own; when it was open, and what it was told.
fn arrive(network: &Network, before: &[Endpoint]) -> (Duration, Vec<String>) {
    let (mut workers, endpoint) = greeting(network);
    let told = Told::default();
    let opened = Rc::new(RefCell::new(None));
    let (open, clock) = (opened.clone(), network.clone());
    let places = before.iter().cloned().chain([endpoint]);
    let client = noting(&told).open(move |_| *open.borrow_mut() = Some(clock.now())).at(places);
    let began = network.now();
    workers.push(client.embed(Box::new(network.io()), "ws://a/x").unwrap());
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        is_over(&told) && workers.iter().all(|worker| worker.population().0 == 0)
    }));
    drop(workers);
    assert_eq!((network.open_sockets(), network.abandoned()), (0, 0));
    let opened = opened.borrow().unwrap();
    (opened - began, told.take())
}

#[test]
fn an_address_that_refuses_costs_no_time_and_one_that_is_silent_a_quarter_of_a_second() {
    for_each_seed(50, |seed| {
        let network = Network::new(seed, Faults::none());
        network.swallow(&at(2));
        network.swallow(&at(4));
        let (took, told) = arrive(&network, &[at(1)]);
        assert!(took < Duration::from_millis(250), "{took:?}");
        assert_eq!(told, ["message a - - /x", "close 1000"]);
        let (took, _) = arrive(&network, &[at(2)]);
        assert!((250..500).contains(&took.as_millis()), "{took:?}");
        // Two that are silent, one of them behind one that refuses.
        let (took, _) = arrive(&network, &[at(2), at(3), at(4)]);
        assert!((500..750).contains(&took.as_millis()), "{took:?}");
    });
}

#[test]
fn on_a_network_that_misbehaves_one_of_the_attempts_wins_and_nothing_is_left_of_the_others() {
    for_each_seed(300, |seed| {
        let faults = Faults { delay: Duration::ZERO..=Duration::from_millis(600), ..Faults::rough() };
        let network = Network::new(seed, faults);
        let (mut workers, endpoint) = greeting(&network);
        let told = Told::default();
        let client = noting(&told).at([endpoint.clone(), at(1), endpoint.clone(), endpoint]);
        workers.push(client.embed(Box::new(network.io()), "ws://a/").unwrap());
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            is_over(&told) && workers.iter().all(|worker| worker.population().0 == 0)
        }));
        assert_eq!(*told.borrow(), ["open", "message a - - /", "close 1000"], "seed {seed}");
        drop(workers);
        assert_eq!((network.open_sockets(), network.abandoned()), (0, 0), "seed {seed}");
    });
}

#[test]
fn when_all_addresses_fail_each_is_named_with_its_reason() {
    let network = Network::new(1, Faults::none());
    let told = Told::default();
    let mut workers = vec![noting(&told).at([at(1), at(2)]).embed(Box::new(network.io()), "ws://a/").unwrap()];
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        is_over(&told)
    }));
    let told = told.borrow();
    assert!(
        told[0].contains("127.0.0.2:1: connection refused") && told[0].contains("127.0.0.2:2: connection refused"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["close 1006"]);
}

#[test]
fn addresses_that_are_silent_are_all_given_up_in_time() {
    let network = Network::new(1, Faults::none());
    network.swallow(&at(1));
    network.swallow(&at(2));
    let told = Told::default();
    let mut workers = vec![noting(&told).at([at(1), at(2)]).embed(Box::new(network.io()), "ws://a/").unwrap()];
    assert_eq!(workers[0].population(), (1, 0), "attempts are not connections");
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        is_over(&told)
    }));
    assert_eq!(*told.borrow(), ["error the connection was not open in time", "close 1006"]);
    assert_eq!(network.open_sockets(), 0);
}

/// A proxy that opens tunnels to one place, or answers something else.
struct Tunnels {
    network: Network,
    listener: PeerListener,
    to: Endpoint,
    answer: &'static str,
    heads: Vec<String>,
    pairs: Vec<(Peer, Vec<u8>, Option<Peer>)>,
}

impl Tunnels {
    fn new(network: &Network, to: Endpoint, answer: &'static str) -> Self {
        let listener = network.listen(&anywhere()).unwrap();
        Self { network: network.clone(), listener, to, answer, heads: Vec::new(), pairs: Vec::new() }
    }

    fn step(&mut self) {
        while let Ok(peer) = self.listener.accept() {
            self.pairs.push((peer, Vec::new(), None));
        }
        for (client, head, server) in &mut self.pairs {
            match server {
                Some(server) => {
                    let (to, from) = (client.read(), server.read());
                    server.write(&to);
                    client.write(&from);
                    if server.is_at_end() || server.is_reset() {
                        client.shutdown();
                    }
                    if client.is_at_end() || client.is_reset() {
                        server.shutdown();
                    }
                }
                None => {
                    head.extend(client.read());
                    if head.ends_with(b"\r\n\r\n") {
                        self.heads.push(String::from_utf8(std::mem::take(head)).unwrap());
                        client.write(self.answer.as_bytes());
                        if self.answer.contains(" 200 ") {
                            *server = Some(self.network.connect(&self.to));
                        } else {
                            client.shutdown();
                        }
                    }
                }
            }
        }
    }
}

fn through(seed: u64, answer: &'static str, faults: Faults, url: &str) -> (Vec<String>, Vec<String>) {
    let network = Network::new(seed, faults);
    let (mut workers, endpoint) = greeting(&network);
    let mut tunnels = Tunnels::new(&network, endpoint, answer);
    let told = Told::default();
    let proxy = Proxy::at("http://me:secret@proxy.example:3128").unwrap().header("X-Team", "chat");
    let client = noting(&told).proxy(proxy).at([tunnels.listener.local().clone()]);
    workers.push(client.embed(Box::new(network.io()), url).unwrap());
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        tunnels.step();
        is_over(&told) && workers[1].population().0 == 0
    }));
    (told.take(), tunnels.heads)
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_sees_no_more_than_where_it_goes() {
    for_each_seed(200, |seed| {
        let answer = "HTTP/1.1 200 Connection established\r\nVia: me\r\n\r\n";
        let (told, heads) = through(seed, answer, Faults::rough(), "ws://u:p@server.example:9/x");
        let request = "CONNECT server.example:9 HTTP/1.1\r\nHost: server.example:9\r\nX-Team: chat\r\n\
             Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
        assert_eq!(heads, [request]);
        // The server sees the URL's own credentials and not the proxy's.
        assert_eq!(told, ["open", "message server.example:9 Basic dTpw - /x", "close 1000"]);
    });
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_an_error_that_says_its_status() {
    for (answer, expected) in [
        ("HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n", "error the proxy opened no tunnel: it answered 407"),
        ("HTTP/1.1 101 Go\r\n\r\n", "error the server ended the connection before it was open"),
        ("HTTP/1.1 200 OK\r\n\r\ntoo early", "something behind it"),
        ("SOCKS\r\n\r\n", "no HTTP response"),
    ] {
        let (told, _) = through(1, answer, Faults::none(), "ws://server.example/");
        assert!(told[0].contains(expected) && told[1..] == ["close 1006"], "{answer}: {told:?}");
    }
}

#[test]
fn c34_what_would_break_out_of_its_header_is_refused_before_anything_is_sent() {
    let refused = |client: Client| {
        let network = Network::new(1, Faults::none());
        let result = client.at([at(1)]).embed(Box::new(network.io()), "ws://a/");
        assert_eq!(network.open_sockets(), 0);
        matches!(result, Err(ClientError::Dial(_)))
    };
    for bad in ["a\r\nb: c", "a\nb", "a\rb", "a\0b"] {
        assert!(refused(Client::builder().header("x", bad)), "{bad:?}");
        assert!(refused(Client::builder().header("host", bad)), "{bad:?}");
        assert!(refused(Client::builder().header(bad, "x")), "{bad:?}");
        assert!(refused(Client::builder().protocol(bad)), "{bad:?}");
        assert!(refused(Client::builder().proxy(Proxy::at("http://p/").unwrap().header("x", bad))), "{bad:?}");
        assert!(Dial::to(&format!("ws://a/{bad}")).is_err(), "{bad:?}");
    }
    assert!(refused(Client::builder().protocol("one").protocol("one")), "offered twice");
}

#[test]
fn c34_a_host_is_honoured_and_what_makes_it_a_handshake_is_not_for_others_to_say() {
    let network = Network::new(1, Faults::none());
    let mut listener = network.listen(&anywhere()).unwrap();
    let told = Told::default();
    let client = noting(&told)
        .header("Host", "other.example")
        .header("Connection", "close")
        .header("Upgrade", "h2c")
        .header("Sec-WebSocket-Version", "8")
        .header("Content-Length", "5")
        .header("X-Mine", "yes")
        .at([listener.local().clone()]);
    let mut workers = vec![client.embed(Box::new(network.io()), "ws://a/").unwrap()];
    let (mut peer, mut request) = (None, Vec::new());
    assert!(network.run(LIMIT, || {
        turn(&mut workers);
        peer = peer.take().or_else(|| listener.accept().ok());
        request.extend(peer.as_mut().map(Peer::read).unwrap_or_default());
        request.ends_with(b"\r\n\r\n")
    }));
    let head = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let values = |name: &str| head.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect::<Vec<_>>();
    assert_eq!(values("host"), ["other.example"]);
    assert_eq!(values("connection"), ["upgrade"]);
    assert_eq!(values("upgrade"), ["websocket"]);
    assert_eq!(values("sec-websocket-version"), ["13"]);
    assert_eq!(values("sec-websocket-key").len(), 1);
    assert_eq!(values("content-length"), [""; 0]);
    assert_eq!(values("x-mine"), ["yes"]);
}

/// One connection's handlers: what it is told goes to its own list.
struct One {
    name: usize,
    told: Rc<RefCell<Vec<(usize, String)>>>,
}

impl One {
    fn note(&self, what: impl Into<String>) {
        self.told.borrow_mut().push((self.name, what.into()));
    }
}

impl Application for One {
    fn connect_failed(&self, _: &LocalSocket, error: &ConnectError) {
        self.note(format!("failed {}", error.code()));
    }

    fn open(&self, socket: &LocalSocket) {
        assert_eq!(socket.data().unwrap().downcast_ref::<usize>(), Some(&self.name));
        assert_eq!(socket.answer().unwrap().status.as_u16(), 101);
        self.note("open");
    }

    fn message(&self, _: &LocalSocket, message: Message<'_>) {
        self.note(message.to_string());
    }

    fn close(&self, socket: &LocalSocket, code: u16, _: &str) {
        assert_eq!(socket.ready_state(), ReadyState::Closed);
        self.note(format!("close {code}"));
    }
}

#[test]
fn many_clients_share_a_worker_with_the_server_and_each_has_its_own_handlers() {
    for_each_seed(50, |seed| {
        let network = Network::new(seed, Faults::rough());
        let (mut workers, endpoint) = greeting(&network);
        let told = Rc::new(RefCell::new(Vec::new()));
        let handle = workers[0].handle();
        for name in 0..20 {
            let endpoint = if name % 5 == 4 { at(1) } else { endpoint.clone() };
            let dial = Dial::to(&format!("ws://a/{name}")).unwrap().at([endpoint]);
            let socket = handle.connect(&dial, Rc::new(One { name, told: told.clone() }), Some(Rc::new(name))).unwrap();
            assert_eq!(socket.ready_state(), ReadyState::Connecting);
            if name % 7 == 6 {
                socket.close(1000, "").unwrap();
                assert_eq!(socket.ready_state(), ReadyState::Closing);
            }
        }
        assert!(told.borrow().is_empty(), "nothing is told inside the call");
        assert!(network.run(LIMIT, || {
            turn(&mut workers);
            workers[0].population().0 == 0
        }));
        for name in 0..20 {
            let own: Vec<String> = told.borrow().iter().filter(|(of, _)| *of == name).map(|(_, what)| what.clone()).collect();
            let expected = match name {
                6 | 13 => vec!["failed ERR_WEBSOCKET_CLOSED".to_owned(), "close 1006".to_owned()],
                _ if name % 5 == 4 => vec!["failed ECONNREFUSED".to_owned(), "close 1006".to_owned()],
                _ => vec!["open".to_owned(), format!("a - - /{name}"), "close 1000".to_owned()],
            };
            assert_eq!(own, expected, "client {name}, seed {seed}");
        }
    });
}

#[test]
fn a_worker_that_stops_tells_who_is_still_connecting() {
    let network = Network::new(1, Faults::none());
    network.swallow(&at(1));
    network.swallow(&at(2));
    for patience in [Duration::ZERO, Duration::from_secs(1)] {
        let told = Told::default();
        let mut worker = noting(&told).at([at(1), at(2)]).embed(Box::new(network.io()), "ws://a/").unwrap();
        worker.turn(Some(Duration::ZERO)).unwrap();
        worker.stop(patience);
        assert_eq!(*told.borrow(), ["error closed before the connection was open", "close 1006"]);
        assert!(worker.is_finished());
        drop(worker);
        assert_eq!(network.open_sockets(), 0);
    }
}

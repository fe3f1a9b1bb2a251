//! Rows 11, 20, 23 and 24 for a server: what a client may do.

use std::cell::RefCell;
use std::time::Duration;

use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Server, Upgrade};
use tidewire_kit::client::{self, Arrival, Client, Wire};
use tidewire_kit::sim::{Faults, Network, Peer};
use tidewire_kit::tls::{Authority, Certified, TLS_1_2, TLS_1_3, Terms, Tls};
use tidewire_kit::{Random, for_each_seed};

thread_local! {
    /// An authority, the server's certificate, and clients of both versions.
    static MADE: (Certified, [Terms; 2]) = {
        let authority = Authority::new();
        let terms = [TLS_1_2, TLS_1_3].map(|version| Terms::new(&authority, &[version], None).records(100));
        (authority.certify(&["localhost"]), terms)
    };
}

/// An echo server through TLS, and the network around it.
struct World {
    network: Network,
    worker: RefCell<Worker>,
    server: Server,
    endpoint: Endpoint,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let certified = MADE.with(|(certified, _)| certified.clone());
        let certificate = tidewire::tls::Certificate::bytes(certified.cert, certified.key);
        let builder = Server::builder().tls(tidewire::tls::Tls::new(certificate)).unwrap();
        let builder = builder.fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) });
        let network = Network::new(seed, faults);
        let (server, mut workers) = builder
            .message(|ws, message| {
                ws.send(message);
            })
            .embed(vec![Box::new(network.io())]);
        let mut worker = workers.remove(0);
        let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        let endpoint = worker.listen(&any, &ListenOptions::default()).unwrap();
        Self { network, worker: RefCell::new(worker), server, endpoint }
    }

    fn peer(&self) -> Peer {
        self.network.connect(&self.endpoint)
    }

    fn turn(&self) {
        self.worker.borrow_mut().turn(None).unwrap();
    }

    fn settle(&self) {
        self.network.settle(|| self.turn());
    }

    /// Lets the world run until `done`, for an hour at most.
    fn until(&self, mut done: impl FnMut() -> bool) -> bool {
        self.network.run(Duration::from_secs(3600), || {
            self.turn();
            done()
        })
    }

    /// A client whose socket is open.
    fn open(&self, terms: &Terms) -> Client<Tls<Peer>> {
        let mut client = Client::open(Tls::new(self.peer(), terms, "localhost"), &client::Upgrade::to("/"));
        assert!(self.until(|| {
            client.step();
            client.is_open()
        }));
        client
    }

    /// The server lives, and is done with everything but what is given.
    fn check(&self, connections: usize) {
        assert_eq!(self.worker.borrow().population().0, connections);
        for terms in MADE.with(|(_, terms)| terms.clone()) {
            let mut client = self.open(&terms);
            client.send_text("alive");
            assert!(self.until(|| {
                client.step();
                !client.messages().is_empty()
            }));
            client.close(1000, "");
            assert!(self.until(|| {
                client.step();
                client.ended().is_some()
            }));
        }
        let metrics = self.server.metrics();
        assert_eq!(metrics.opened, metrics.ended + connections as u64, "{metrics:?}");
        assert_eq!(self.network.buffers_lent(), 0);
    }
}

fn terms() -> [Terms; 2] {
    MADE.with(|(_, terms)| terms.clone())
}

fn is_over(peer: &mut Peer) -> bool {
    peer.read();
    peer.is_at_end() || peer.is_reset()
}

/// The records of a ClientHello.
fn hello(terms: &Terms) -> Vec<u8> {
    #[derive(Debug, Default)]
    struct Caught(Vec<u8>);
    impl Wire for Caught {
        fn send(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
        fn receive(&mut self) -> Arrival {
            Arrival::Nothing
        }
    }
    Tls::new(Caught::default(), terms, "localhost").into_wire().0
}

#[test]
fn row_11_a_stalled_handshake_ends_by_a_total_deadline() {
    for terms in terms() {
        let hello = hello(&terms);
        // Nothing at all; a part and then nothing; one byte in five seconds, which restarts no clock.
        for (first, then) in [(0, 0), (1, 0), (hello.len() - 1, 0), (0, 1), (5, 1)] {
            let world = World::new(1, Faults::none());
            let mut peer = world.peer();
            peer.write(&hello[..first]);
            let (mut at, mut next) = (first, Duration::from_secs(5));
            let ended = world.until(|| {
                if world.network.now() >= next && at < hello.len() {
                    peer.write(&hello[at..at + then]);
                    at += then;
                    next += Duration::from_secs(5);
                }
                is_over(&mut peer)
            });
            assert!(ended);
            let (now, limit) = (world.network.now(), Duration::from_secs(10));
            assert!(now >= limit && now <= limit + Duration::from_secs(5), "it ended after {now:?}");
            world.settle();
            world.check(0);
        }
    }
}

#[test]
fn row_11_a_handshake_and_the_head_behind_it_have_one_deadline() {
    for terms in terms() {
        let world = World::new(1, Faults::none());
        let mut wire = Tls::cut(world.peer(), &terms, "localhost", 10);
        // The handshake takes eight seconds, and the request never ends.
        world.network.run(Duration::from_secs(8), || {
            world.turn();
            false
        });
        assert!(world.until(|| {
            wire.receive();
            wire.is_established()
        }));
        wire.send(b"GET / HTTP/1.1\r\n");
        assert!(world.until(|| matches!(wire.receive(), Arrival::End | Arrival::Reset)));
        assert!(world.network.now() <= Duration::from_secs(12), "it ended after {:?}", world.network.now());
        world.settle();
        world.check(0);
    }
}

#[test]
fn row_20_garbage_instead_of_a_client_hello_is_refused() {
    for_each_seed(2000, |seed| {
        let mut random = Random::new(seed);
        let world = World::new(seed, Faults::none());
        let mut peer = world.peer();
        let bytes = match seed % 4 {
            // Anything.
            0 => {
                let length = random.within(1..=300);
                random.bytes(length)
            }
            // Records whose contents are anything.
            1 => {
                let length = random.within(1..=200) as u8;
                [vec![*random.pick(&[20, 21, 22, 23, 24]), 3, random.below(5) as u8, 0, length], random.bytes(length.into())]
                    .concat()
            }
            // A ClientHello with a byte that is another.
            2 => {
                let mut hello = hello(random.pick(&terms()));
                let at = random.below(hello.len());
                hello[at] ^= 1 << random.below(8);
                hello
            }
            // A ClientHello and then anything.
            _ => {
                let length = random.within(6..=300);
                [hello(random.pick(&terms())), random.bytes(length)].concat()
            }
        };
        for piece in bytes.chunks(random.within(1..=bytes.len())) {
            peer.write(piece);
            world.turn();
        }
        // What looks like the beginning of a record is waited for, but not for ever.
        assert!(world.until(|| {
            if peer.unread() > 0 {
                peer.read();
                peer.shutdown();
            }
            is_over(&mut peer)
        }));
        drop(peer);
        world.settle();
        world.check(0);
    });
}

#[test]
fn row_20_http_in_the_clear_is_told_that_this_is_tls() {
    let world = World::new(1, Faults::none());
    let mut peer = world.peer();
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut all = Vec::new();
    assert!(world.until(|| {
        all.extend(peer.read());
        peer.is_at_end()
    }));
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n") && text.ends_with("https:// or wss:// to reach it\n"), "{text}");
    assert_eq!(world.server.metrics().tls_errors, 1);
    peer.shutdown();
    world.settle();
    world.check(0);
}

#[test]
fn row_20_garbage_after_the_handshake_ends_the_connection() {
    for_each_seed(500, |seed| {
        let mut random = Random::new(seed);
        let world = World::new(seed, Faults::none());
        let mut client = world.open(random.pick(&terms()));
        let length = random.within(1..=300);
        let mut bytes = random.bytes(length);
        if random.chance(0.5) {
            bytes.splice(0..0, [*random.pick(&[20, 21, 22, 23]), 3, 3, 0, length.min(255) as u8]);
        }
        client.wire().wire().write(&bytes);
        client.wire().wire().shutdown();
        assert!(world.until(|| {
            client.step();
            client.ended().is_some()
        }));
        drop(client);
        world.settle();
        world.check(0);
    });
}

#[test]
fn row_20_a_client_hello_in_many_small_records_is_one() {
    // These terms send no record over 100 bytes; here every byte of them comes by itself.
    for terms in terms() {
        let world = World::new(1, Faults { buffer: 1..=1, ..Faults::none() });
        let mut client = world.open(&terms);
        client.send_text("hello");
        assert!(world.until(|| {
            client.step();
            !client.messages().is_empty()
        }));
        drop(client);
        world.settle();
        assert_eq!(world.worker.borrow().population(), (0, 0));
    }
}

#[test]
fn row_20_a_peer_that_leaves_at_any_byte_of_the_handshake_is_forgotten() {
    for terms in terms() {
        let hello = hello(&terms);
        for cut in 0..=hello.len() {
            for resets in [false, true] {
                let world = World::new(1, Faults::none());
                let mut peer = world.peer();
                peer.write(&hello[..cut]);
                world.settle();
                if resets {
                    peer.reset();
                } else {
                    drop(peer);
                }
                world.settle();
                assert_eq!(world.worker.borrow().population().0, 0, "cut at {cut}");
                assert_eq!(world.network.open_sockets(), 1, "only the listener is left");
            }
        }
    }
}

#[test]
fn row_20_a_server_stops_in_the_middle_of_any_handshake() {
    for terms in terms() {
        let hello = hello(&terms);
        for cut in (0..=hello.len()).step_by(3) {
            let world = World::new(1, Faults::none());
            let mut peer = world.peer();
            peer.write(&hello[..cut]);
            world.settle();
            world.server.stop();
            assert!(world.until(|| is_over(&mut peer)), "cut at {cut}");
            drop(peer);
            assert!(world.until(|| world.worker.borrow().is_finished()));
        }
    }
}

#[test]
fn row_20_an_omitted_close_notify_is_an_end_like_another() {
    for terms in terms() {
        for finish in [true, false] {
            let world = World::new(1, Faults::none());
            let mut client = world.open(&terms);
            // In the middle of a record, which nobody will complete.
            let record = client.wire().seal(b"\x81\x85\x00\x00\x00\x00hello");
            client.wire().wire().write(&record[..record.len() - 1]);
            if finish {
                client.wire().wire().shutdown();
                assert!(world.until(|| {
                    client.step();
                    client.ended().is_some()
                }));
                drop(client);
            } else {
                client.into_wire().into_wire().reset();
            }
            world.settle();
            world.check(0);
            assert_eq!(world.server.metrics().messages_in, 2, "only those of the check");
        }
    }
}

#[test]
fn row_23_secure_peers_that_leave_anywhere_at_random_leave_nothing() {
    for_each_seed(1000, |seed| {
        let mut random = Random::new(seed);
        let terms = random.pick(&terms()).clone();
        let faults = if random.chance(0.5) { Faults::rough() } else { Faults::harsh() };
        let world = World::new(seed, faults);
        for _ in 0..random.within(1..=3) {
            let mut client = Client::open(Tls::new(world.peer(), &terms, "localhost"), &client::Upgrade::to("/"));
            // Somewhere in the handshake, in the request, or in what follows.
            let moments = random.below(60);
            world.network.run(Duration::from_secs(3600), || {
                world.turn();
                if random.chance(0.8) {
                    client.step();
                }
                if client.is_open() && random.chance(0.3) {
                    let size = random.below(3000);
                    client.send_binary(&vec![7; size]);
                }
                random.below(moments + 1) == 0
            });
            let mut peer = client.into_wire().into_wire();
            match random.below(3) {
                0 => peer.reset(),
                1 => drop(peer),
                _ => {
                    peer.shutdown();
                    world.settle();
                }
            }
        }
        world.network.set_faults(Faults::none());
        world.network.run(Duration::from_secs(200), || {
            world.turn();
            world.network.open_sockets() == 1
        });
        let metrics = world.server.metrics();
        assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "{metrics:?}");
        assert_eq!((world.network.open_sockets(), world.network.buffers_lent()), (1, 0));
    });
}

#[test]
fn row_24_a_secure_peer_that_reads_slowly_is_left_alone_and_one_that_does_not_is_cut_off() {
    const SIZE: usize = 60_000;
    for terms in terms() {
        let world = World::new(1, Faults { buffer: 1024..=1024, ..Faults::none() });
        let mut client = world.open(&terms);
        client.send_binary(&vec![7; SIZE]);
        assert!(world.until(|| client.wire().wire().under_way() == 0));
        // Ten seconds between two reads: several times the idle timeout in all, in which it says nothing.
        for _ in 0..15 {
            world.network.run(Duration::from_secs(10), || {
                world.turn();
                false
            });
            client.step();
        }
        assert!(world.network.now() > Duration::from_secs(140) && client.is_open());
        assert_eq!(world.worker.borrow().population(), (1, 1));
        let start = world.network.now();
        assert!(world.until(|| world.worker.borrow().population() == (0, 0)));
        let silent = world.network.now() - start;
        assert!((110..=124).contains(&silent.as_secs()), "it was cut off after {silent:?}");
        assert_eq!(world.server.metrics().closed_idle, 1);
    }
}

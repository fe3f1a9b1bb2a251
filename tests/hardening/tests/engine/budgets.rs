//! Budgets: each is counted by its own counter, told to the peer, and told to the operator once in a while.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidewire::{Builder, Metrics, Server};
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_kit::client::frame::{CONTINUATION, FIN, PING, TEXT};
use tidewire_kit::client::{Client, Upgrade};
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Peer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const SECOND: Duration = Duration::from_secs(1);

fn is_over(peer: &mut Peer) -> bool {
    peer.read();
    peer.is_at_end() || peer.is_reset()
}

/// What a client was told in the Close.
fn close_of(client: &Client<Peer>) -> (Option<u16>, String) {
    client.close_frame().map(|close| (close.code, close.reason.clone())).unwrap_or_default()
}

#[test]
fn connections_in_all_are_counted_over_all_workers() {
    for_each_seed(200, |seed| {
        let mut world = World::new(seed, Faults::rough(), 1 + (seed % 2) as usize * 3, upgrading().max_connections(10));
        let mut clients: Vec<_> = (0..10).map(|_| world.opened()).collect();
        for _ in 0..5 {
            let mut refused = world.peer();
            assert!(world.run(|| is_over(&mut refused)), "it is closed at once");
        }
        assert!(clients.iter().all(Client::is_open), "the others do not notice");
        assert_eq!(world.server.metrics().refused_connections, 5);
        // One that goes makes room for one.
        clients.pop().expect("there are ten").into_wire().reset();
        world.settle(&mut clients);
        clients.push(world.opened());
        world.end(clients);
    });
}

#[test]
fn connections_of_one_address_are_counted_over_all_workers() {
    for_each_seed(200, |seed| {
        let builder = upgrading().max_connections_per_address(3);
        let mut world = World::new(seed, Faults::rough(), 1 + (seed % 2) as usize * 3, builder);
        let mut port = 4000;
        let mut from = |world: &World, ip: [u8; 4]| {
            port += 1;
            world.network.connect_from(SocketAddr::from((ip, port)), &world.endpoint)
        };
        let mut clients = Vec::new();
        for number in 0..6 {
            let peer = from(&world, [192, 0, 2, number % 2]);
            clients.push(Client::open(peer, &Upgrade::to("/")));
        }
        world.until(&mut clients, "three of each", |clients| clients.iter().all(Client::is_open));
        for number in 0..4 {
            let mut refused = from(&world, [192, 0, 2, number % 2]);
            assert!(world.run(|| is_over(&mut refused)));
        }
        // Whoever comes from this machine is not counted, and another address is another.
        let peer = from(&world, [192, 0, 2, 9]);
        clients.push(Client::open(peer, &Upgrade::to("/")));
        clients.extend((0..5).map(|_| world.client()));
        world.until(&mut clients, "all others", |clients| clients.iter().all(Client::is_open));
        clients.remove(0).into_wire().reset();
        world.settle(&mut clients);
        clients.push(Client::open(from(&world, [192, 0, 2, 0]), &Upgrade::to("/")));
        world.until(&mut clients, "room for one", |clients| clients.iter().all(Client::is_open));
        let metrics = world.server.metrics();
        assert_eq!((metrics.refused_addresses, metrics.refused_connections), (4, 0));
        world.end(clients);
    });
}

/// Sends frames as a client whose socket is open; how that ended, and the counters.
fn send(builder: Builder<()>, frames: &[(u8, &[u8])], each: Duration) -> ((Option<u16>, String), Metrics) {
    let mut world = World::calm(builder);
    let mut clients = [world.opened()];
    for (first, payload) in frames {
        clients[0].send_frame(*first, payload);
        if !each.is_zero() {
            world.pass(each, &mut clients);
        }
    }
    world.settle(&mut clients);
    let outcome = close_of(&clients[0]);
    let metrics = world.server.metrics();
    world.end(clients.into());
    (outcome, metrics)
}

#[test]
fn what_a_socket_may_send_is_bounded_by_name_and_counted_by_kind() {
    let fragments: Vec<(u8, &[u8])> = std::iter::once((TEXT, &b"a"[..])).chain([(CONTINUATION, &b"b"[..]); 10]).collect();
    let limited = || upgrading().options(|options| (options.max_fragments, options.max_payload_length) = (10, 100));
    let ((code, reason), metrics) = send(limited(), &fragments, Duration::ZERO);
    assert_eq!((code, metrics.closed_fragments, metrics.closed_payload), (Some(1008), 1, 0), "{reason}");
    let ((code, _), metrics) = send(limited(), &[(FIN | TEXT, &[b'x'; 101])], Duration::ZERO);
    assert_eq!((code, metrics.closed_fragments, metrics.closed_payload), (Some(1009), 0, 1));
    assert_eq!(metrics.peer_errors, 1);
    let ((code, _), metrics) = send(limited(), &[(FIN | TEXT, &[b'x'; 100])], Duration::ZERO);
    assert_eq!((code, metrics.messages_in), (None, 1), "as much as is allowed");
}

#[test]
fn pings_are_bounded_by_the_second() {
    let limited = || upgrading().options(|options| options.max_pings_per_second = 10);
    let flood = [(FIN | PING, &b""[..]); 11];
    let ((code, reason), metrics) = send(limited(), &flood, Duration::ZERO);
    assert_eq!((code, reason.as_str(), metrics.closed_pings), (Some(1008), "too many pings in one second", 1));
    let ((code, _), metrics) = send(limited(), &flood[..10], Duration::ZERO);
    assert_eq!((code, metrics.closed_pings), (None, 0));
    let ((code, _), metrics) = send(limited(), &[flood; 10].concat(), SECOND / 8);
    assert_eq!((code, metrics.closed_pings), (None, 0), "eight in each second");
    // The default bothers nobody who measures a latency.
    let ((code, _), _) = send(upgrading(), &[(FIN | PING, &b""[..]); 1000], Duration::ZERO);
    assert_eq!(code, None);
    let ((code, _), _) = send(upgrading(), &[(FIN | PING, &b""[..]); 1001], Duration::ZERO);
    assert_eq!(code, Some(1008));
}

#[test]
fn each_socket_has_its_own_pings() {
    let mut world = World::calm(upgrading().options(|options| options.max_pings_per_second = 10));
    let mut clients: Vec<_> = (0..20).map(|_| world.opened()).collect();
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.ping(b""));
    }
    world.settle(&mut clients);
    assert!(clients.iter().all(Client::is_open));
    clients[7].ping(b"");
    world.settle(&mut clients);
    assert_eq!(clients.iter().filter(|client| client.is_open()).count(), 19);
    assert_eq!(close_of(&clients[7]).0, Some(1008));
    world.end(clients);
}

#[test]
fn deadlines_and_requests_are_counted_by_kind() {
    let notes = Notes::default();
    let builder = noting(&notes).idle_timeout(5 * SECOND).options(|options| options.max_request_body = 10);
    let mut world = World::calm(builder);
    // A head that never ends, and none at all; a connection that waits for another request; a body that is too large.
    let (mut slow, silent, mut kept, mut large) = (world.peer(), world.peer(), world.peer(), world.peer());
    slow.write(b"GET / HT");
    kept.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    large.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    // A socket that says nothing, and one that answers no Close.
    let (mut idle, mut endless) = (world.opened(), world.opened());
    idle.answer_nothing();
    endless.send_close(b"");
    let mut clients = vec![idle, endless];
    world.pass(30 * SECOND, &mut clients);
    let metrics = world.server.metrics();
    let counted =
        [metrics.closed_head, metrics.closed_http_idle, metrics.refused_bodies, metrics.closed_idle, metrics.closed_unfinished];
    assert_eq!(counted, [2, 1, 1, 1, 2], "{metrics:?}");
    drop((slow, silent, kept, large));
    world.end(clients);
}

#[test]
fn subscriptions_that_are_refused_are_counted() {
    let limited = |options: &mut tidewire::Options| (options.max_subscriptions, options.max_topic_length) = (2, 10);
    let mut world = World::calm(upgrading().options(limited).open(|ws| {
        let answers = ["a", "b", "a", "c", "a long, long name"].map(|topic| ws.subscribe(topic));
        assert_eq!(answers, [true, true, true, false, false]);
    }));
    let client = world.opened();
    assert_eq!(world.server.metrics().refused_subscriptions, 2);
    world.end(vec![client]);
}

/// Events of one thread, as `LEVEL field=value, ...`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("no event panics").push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn the_operator_gets_a_line_of_each_kind_in_ten_seconds_and_how_many_were_left_out() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let mut world = World::calm(Server::builder::<()>().max_connections(0));
        for _ in 0..1000 {
            let mut peer = world.peer();
            assert!(world.run(|| is_over(&mut peer)));
        }
        let taken = std::mem::take(&mut *lines.0.lock().expect("no event panics"));
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert!(taken[0].starts_with("WARN") && taken[0].contains(r#"limit="max_connections""#), "{taken:?}");
        assert!(taken[0].contains("peer=Some(127.0.0.1:") && taken[0].contains("left_out=0"), "{taken:?}");
        world.pass(11 * SECOND, &mut []);
        let mut peer = world.peer();
        assert!(world.run(|| is_over(&mut peer)));
        let taken = lines.0.lock().expect("no event panics").clone();
        assert!(taken.len() == 1 && taken[0].contains("left_out=999"), "{taken:?}");
        assert_eq!(world.server.metrics().refused_connections, 1001);
        world.end(Vec::new());
    });
}

#[test]
fn the_operator_is_told_when_a_mailbox_refuses_posts() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let handles = Arc::new(Mutex::new(Vec::new()));
        let kept = handles.clone();
        let mut world = World::calm(upgrading().open(move |ws| kept.lock().expect("no handler panics").push(ws.handle())));
        let client = world.opened();
        let handle = handles.lock().expect("no handler panics").pop().expect("a socket has opened");
        let taken = (0..66_000).filter(|_| handle.send("")).count();
        assert_eq!(taken, 65_536);
        world.settle(&mut []);
        assert_eq!(world.server.metrics().mail_refused, 66_000 - 65_536);
        let lines = lines.0.lock().expect("no event panics").clone();
        assert!(lines.len() == 1 && lines[0].contains("the room of a mailbox"), "{lines:?}");
        world.end(vec![client]);
    });
}

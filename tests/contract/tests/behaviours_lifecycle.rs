//! The contract's behaviours 27 and 28, and the timeouts, on the virtual clock. Each test has the number of its behaviour, or
//! the name of its timeout.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidewire::{Builder, SendStatus, Server, Upgrade, Ws};
use tidewire_contract::{Notes, World, noting, texts, upgrading};
use tidewire_kit::client::frame::PING;
use tidewire_kit::client::{Client, Ended};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

const SECOND: Duration = Duration::from_secs(1);
/// The timer wheel counts whole seconds, and the one that has begun does not count.
const COARSE: Duration = Duration::from_secs(2);

/// When a client's connection ended, in virtual time from now; it does nothing meanwhile but take in what comes.
fn time_to_end(world: &mut World, client: &mut Client<Peer>) -> Duration {
    let start = world.network.now();
    world.until(std::slice::from_mut(client), "the end of the connection", |clients| clients[0].ended().is_some());
    world.network.now() - start
}

/// The same for a raw connection that writes a byte now and then.
fn time_of_trickle(world: &mut World, peer: &mut Peer, bytes: &[u8], every: Duration) -> Duration {
    let (start, mut bytes) = (world.network.now(), bytes.iter());
    loop {
        if let Some(byte) = bytes.next() {
            peer.write(&[*byte]);
        }
        world.pass(every, &mut []);
        peer.read();
        if peer.is_at_end() || peer.is_reset() {
            return world.network.now() - start;
        }
        assert!(world.network.now() - start < Duration::from_secs(600), "the connection never ends");
    }
}

fn assert_about(time: Duration, expected: Duration) {
    assert!(time >= expected && time <= expected + COARSE, "{time:?} where {expected:?} is the limit");
}

#[test]
fn idle_timeout_ends_a_silent_socket_with_1006() {
    for idle in [120, 8, 1] {
        let notes = Notes::default();
        let builder = noting(&notes).idle_timeout(Duration::from_secs(idle)).send_pings(false);
        let mut world = World::calm(builder);
        let mut client = world.opened();
        assert_about(time_to_end(&mut world, &mut client), Duration::from_secs(idle));
        assert_eq!(notes.all(), ["open", "close 1006 WebSocket timed out from inactivity"]);
        assert!(client.frames().is_empty(), "no ping");
        assert_eq!(world.server.metrics().closed_idle, 1);
        world.end(vec![client]);
    }
}

#[test]
fn idle_timeout_is_120_seconds_unless_it_is_set_and_zero_is_none() {
    let mut world = World::calm(upgrading());
    let mut client = world.opened();
    client.answer_nothing();
    assert_about(time_to_end(&mut world, &mut client), Duration::from_secs(120));
    world.end(vec![client]);

    let mut world = World::calm(upgrading().idle_timeout(Duration::ZERO));
    let mut clients = vec![world.opened()];
    world.pass(Duration::from_secs(100_000), &mut clients);
    assert!(clients[0].is_open() && clients[0].frames().is_empty());
    world.end(clients);
}

#[test]
fn idle_timeout_is_proved_wrong_by_inbound_traffic_only() {
    thread_local! {
        static SOCKET: RefCell<Option<Ws<()>>> = const { RefCell::new(None) };
    }
    let builder = upgrading().idle_timeout(Duration::from_secs(10)).send_pings(false).open(|ws| SOCKET.set(Some(ws.clone())));
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    // A message, a pong, even a part of a frame: whatever comes.
    let signs: [&[u8]; 3] = [b"\x81\x81\0\0\0\0x", b"\x8a\x80\0\0\0\0", b"\x82"];
    for round in 0..20 {
        world.pass(9 * SECOND, &mut clients);
        clients[0].send_bytes(if round == 19 { signs[2] } else { signs[round % 2] });
    }
    assert!(clients[0].is_open());
    // What we send proves nothing.
    let start = world.network.now();
    while clients[0].is_open() {
        SOCKET.with_borrow(|ws| ws.as_ref().unwrap().send("are you there?"));
        world.pass(SECOND, &mut clients);
        assert!(world.network.now() - start < 60 * SECOND, "only our own traffic keeps it open");
    }
    assert_about(world.network.now() - start, Duration::from_secs(10));
    SOCKET.take();
    world.end(clients);
}

#[test]
fn pings_come_before_the_idle_timeout_and_answering_them_keeps_the_socket() {
    let mut world = World::calm(upgrading().idle_timeout(Duration::from_secs(30)));
    let (answers, mut silent) = (world.opened(), world.opened());
    silent.answer_nothing();
    let mut clients = vec![answers, silent];
    world.pass(29 * SECOND, &mut clients);
    assert!(clients.iter().all(Client::is_open));
    for client in &clients {
        let pings: Vec<_> = client.frames().iter().filter(|frame| frame.opcode() == PING).collect();
        assert_eq!(pings.len(), 1, "one ping before the end");
    }
    world.pass(3 * SECOND, &mut clients);
    assert!(clients[0].is_open() && !clients[1].is_open(), "{clients:?}");
    world.pass(300 * SECOND, &mut clients);
    assert!(clients[0].is_open());
    let pings = world.server.metrics().pings_sent;
    assert!((8..=20).contains(&pings), "{pings} pings in 330 seconds");
    world.end(clients);
}

#[test]
fn close_timeout_ends_a_socket_whose_peer_never_answers_the_close() {
    let notes = Notes::default();
    let mut world = World::calm(noting(&notes).message(|ws, _| ws.close(1000, "bye").unwrap()));
    let mut client = world.opened();
    client.answer_nothing();
    client.send_text("close");
    assert_about(time_to_end(&mut world, &mut client), Duration::from_secs(5));
    assert_eq!(client.close_frame().and_then(|close| close.code), Some(1000));
    assert_eq!(notes.all(), ["open", "close 1000"].map(|note| note.replace("1000", "1000 bye")));
    world.end(vec![client]);
}

#[test]
fn close_timeout_ends_a_socket_whose_peer_never_ends_its_stream() {
    let mut world = World::calm(upgrading());
    let mut client = world.opened();
    client.send_close(b"");
    let mut clients = vec![client];
    world.until(&mut clients, "the answer", |clients| clients[0].ended() == Some(Ended::Fin));
    let start = world.network.now();
    assert_eq!(world.network.open_sockets(), 2, "the listener, and a socket that waits for the peer's end");
    let network = world.network.clone();
    assert!(world.run(|| network.open_sockets() == 1));
    assert_about(world.network.now() - start, Duration::from_secs(5));
    world.end(clients);
}

#[test]
fn head_timeout_is_10_seconds_in_all_however_the_bytes_trickle() {
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for bytes in [&head[..], b"", b"G"] {
        let mut world = World::calm(upgrading());
        let mut peer = world.peer();
        let time = time_of_trickle(&mut world, &mut peer, bytes, SECOND);
        assert_about(time, Duration::from_secs(10));
        assert_eq!(world.server.metrics().requests, 0);
        world.end(Vec::new());
    }
}

#[test]
fn head_timeout_counts_for_the_second_request_too() {
    let mut world = World::calm(Server::builder::<()>().fetch(|_, _| async { "hello" }));
    let mut peer = world.peer();
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.pass(5 * SECOND, &mut []);
    assert!(String::from_utf8(peer.read()).unwrap().ends_with("hello"));
    let time = time_of_trickle(&mut world, &mut peer, &[b'G'; 100], SECOND);
    assert_about(time, Duration::from_secs(10));
    world.end(Vec::new());
}

#[test]
fn http_idle_timeout_ends_a_connection_between_requests_and_a_fetch_that_never_answers() {
    for path in ["/answered", "/never"] {
        let builder = Server::builder::<()>().fetch(|req, _| async move {
            if req.uri().path() == "/never" {
                pending::<()>().await;
            }
            "hello"
        });
        let mut world = World::calm(builder);
        let mut peer = world.peer();
        peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let time = time_of_trickle(&mut world, &mut peer, b"", SECOND / 2);
        assert_about(time, Duration::from_secs(10));
        world.end(Vec::new());
    }
}

#[test]
fn c27_stop_stops_listening_says_1001_and_finishes_after_the_last_socket() {
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let workers = 1 + (seed % 2) as usize * 3;
        let mut world = World::new(seed, Faults::rough(), workers, noting(&notes));
        let mut clients: Vec<_> = (0..4).map(|_| world.opened()).collect();
        world.settle(&mut clients);
        world.server.stop();
        assert!(!world.workers[0].is_finished());
        world.until(&mut clients, "every end", |clients| clients.iter().all(|client| client.ended().is_some()));
        for client in &clients {
            assert_eq!(client.close_frame().and_then(|close| close.code), Some(1001));
            assert_eq!(client.ended(), Some(Ended::Fin));
        }
        assert_eq!(notes.count("close 1001"), 4);
        let late = world.peer();
        let refused = world.run(|| late.is_reset());
        assert!(refused, "nobody listens any more");
        drop(late);
        world.end(clients);
    });
}

#[test]
fn c27_a_graceful_stop_lets_a_response_under_way_finish() {
    let mut world = World::new(
        3,
        Faults { buffer: 2000..=2000, ..Faults::none() },
        1,
        Server::builder::<()>().fetch(|_, _| async { "y".repeat(50_000) }),
    );
    let mut peer = world.peer();
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.settle(&mut []);
    world.server.stop();
    let mut received = Vec::new();
    assert!(world.run(|| {
        received.extend(peer.read());
        peer.is_at_end() || peer.is_reset()
    }));
    assert!(peer.is_at_end() && received.ends_with(&[b'y'; 50_000]), "{} bytes", received.len());
    drop(peer);
    world.end(Vec::new());
}

#[test]
fn a_response_larger_than_what_may_wait_arrives_whole_however_slow_its_reader() {
    let body: String = (0..100_000).map(|i| format!("{i:06}")).collect();
    for upgrade in ["", "Connection: upgrade\r\nUpgrade: websocket\r\n"] {
        for buffer in [2000, 65_536, 1_000_000] {
            let whole = body.clone();
            let builder = Server::builder::<()>().fetch(move |_, _| std::future::ready(whole.clone()));
            let mut world = World::new(1, Faults { buffer: buffer..=buffer, ..Faults::none() }, 1, builder);
            let response = world.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n").as_bytes());
            assert!(response.text() == body, "{} bytes with {buffer}, {upgrade:?}", response.body.len());
            world.end(Vec::new());
        }
    }
}

#[test]
fn c27_a_stop_without_patience_lets_go_of_everybody_at_once_behind_their_close() {
    let notes = Notes::default();
    let mut world = World::new(0, Faults::none(), 4, noting(&notes));
    let mut clients: Vec<_> = (0..6).map(|_| world.opened()).collect();
    let (half, now) = (world.peer(), world.network.now());
    world.settle(&mut clients);
    world.server.stop_within(Duration::ZERO);
    world.settle(&mut clients);
    for client in &clients {
        let close = client.close_frame().map(|close| (close.code, close.reason.as_str()));
        assert_eq!(close, Some((Some(1001), "Server closed")));
        assert_ne!(client.ended(), None);
    }
    assert_eq!(notes.count("close 1001 Server closed"), 6);
    assert_eq!(world.network.now(), now);
    assert!(world.workers.iter().all(tidewire::engine::Worker::is_finished));
    drop(half);
    world.end(clients);
}

#[test]
fn c27_a_stop_cuts_off_after_its_patience_whoever_does_not_end() {
    let builder =
        Server::builder::<()>().fetch(|_, _| pending::<&str>()).options(|options| options.http_idle_timeout = Duration::ZERO);
    let mut world = World::calm(builder);
    let mut peer = world.peer();
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.settle(&mut []);
    world.server.stop_within(30 * SECOND);
    let time = time_of_trickle(&mut world, &mut peer, b"", SECOND / 2);
    assert_about(time, 30 * SECOND);
    world.end(Vec::new());
}

#[test]
fn c27_reload_changes_handlers_and_limits_of_open_sockets() {
    for workers in [1, 4] {
        let (old, new) = (Notes::default(), Notes::default());
        let mut world = World::new(0, Faults::none(), workers, noting(&old));
        let mut clients: Vec<_> = (0..6).map(|_| world.opened()).collect();
        assert_eq!(old.take().len(), 6);
        world.server.reload(noting(&new).max_payload_length(10).publish_to_self(true));
        world.settle(&mut clients);
        clients.iter_mut().for_each(|client| client.send_text("hello"));
        clients[0].send_text("more than ten");
        world.settle(&mut clients);
        assert_eq!(clients[0].close_frame().and_then(|close| close.code), Some(1009));
        assert_eq!(new.count("message hello"), 6);
        assert_eq!(new.all().iter().filter(|note| note.starts_with("close 1006 ")).count(), 1);
        clients.push(world.opened());
        assert_eq!(new.count("open"), 1, "new connections have the new handlers");
        assert_eq!(old.all(), [""; 0]);
        world.end(clients);
    }
}

/// Data and handlers that count how many of them live.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(living: &Arc<AtomicUsize>) -> Self {
        living.fetch_add(1, Ordering::Relaxed);
        Self(living.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn counting(data: &Arc<AtomicUsize>, handlers: &Arc<AtomicUsize>) -> Builder<Counted> {
    let (data, held) = (data.clone(), Counted::new(handlers));
    let close = Counted::new(handlers);
    Server::builder()
        .fetch(move |req, server| {
            let _ = &held;
            let counted = Counted::new(&data);
            async move { server.upgrade(&req, Upgrade::new(counted)) }
        })
        .open(|ws| {
            ws.subscribe("room");
            // It holds its own socket: a circle that the worker's end must cut.
            let own = ws.clone();
            ws.spawn(async move {
                let _own = own;
                pending::<()>().await;
            });
        })
        .message(|ws, text| {
            if text.text() == "cut" {
                ws.terminate();
            }
        })
        .close(move |_, _, _| {
            let _ = &close;
        })
}

/// The same without a future that holds its socket for ever.
fn counting_sockets(data: &Arc<AtomicUsize>, handlers: &Arc<AtomicUsize>) -> Builder<Counted> {
    counting(data, handlers).open(|ws| {
        ws.subscribe("room");
    })
}

#[test]
fn c28_the_data_of_a_closed_socket_is_dropped_while_the_server_runs() {
    for_each_seed(1000, |seed| {
        let (data, handlers) = (Arc::default(), Arc::default());
        let mut world = World::new(seed, Faults::rough(), 1, counting_sockets(&data, &handlers));
        let mut clients: Vec<_> = (0..6).map(|_| world.opened()).collect();
        assert_eq!(data.load(Ordering::Relaxed), 6);
        let mut random = Random::new(seed);
        while !clients.is_empty() {
            let mut client = clients.swap_remove(random.below(clients.len()));
            match random.below(4) {
                0 => client.into_wire().reset(),
                1 => client.send_bytes(b"\xff\xff\xff\xff"),
                2 => client.send_text("cut"),
                _ => client.close(1000, ""),
            }
            world.settle(&mut clients);
            world.pass(10 * SECOND, &mut clients);
            assert_eq!(
                data.load(Ordering::Relaxed),
                clients.len(),
                "what is closed is dropped, without waiting for anybody else"
            );
            let population = world.workers[0].population();
            assert_eq!(population, (clients.len(), clients.len()));
        }
        world.end(clients);
    });
}

#[test]
fn c28_nothing_of_a_server_is_left_after_its_end() {
    for_each_seed(1000, |seed| {
        let (data, handlers, next) = (Arc::default(), Arc::default(), Arc::default());
        let mut world = World::new(seed, Faults::harsh(), 1 + (seed % 2) as usize * 3, counting(&data, &handlers));
        let mut clients: Vec<_> = (0..6).map(|_| world.client()).collect();
        world.settle(&mut clients);
        // A reload lets go of the old handlers at once.
        assert_eq!(handlers.load(Ordering::Relaxed), 2);
        let living = &world.server;
        living.reload(counting(&data, &next));
        world.settle(&mut clients);
        clients.iter_mut().for_each(|client| client.send_text("hello"));
        world.settle(&mut clients);
        let server = world.server.clone();
        world.end(clients);
        assert_eq!(data.load(Ordering::Relaxed), 0, "data");
        // A handle keeps no socket and no data; it is the last that knows the handlers that the server began with.
        assert_eq!(server.publish("room", "anybody?"), SendStatus::Dropped);
        drop(server);
        assert_eq!(handlers.load(Ordering::Relaxed), 0, "handlers");
        assert_eq!(next.load(Ordering::Relaxed), 0, "handlers of the reload");
    });
}

#[test]
fn c28_a_thousand_connections_leave_nothing_in_the_tables() {
    let mut world = World::calm(upgrading().open(|ws| {
        ws.subscribe("room");
        ws.send("hello");
    }));
    for _ in 0..100 {
        let mut clients: Vec<_> = (0..10).map(|_| world.client()).collect();
        world.settle(&mut clients);
        for mut client in clients {
            assert_eq!(client.take_messages(), texts(["hello"]));
            client.into_wire().reset();
        }
        world.settle(&mut []);
        assert_eq!(world.workers[0].population(), (0, 0));
    }
    let metrics = world.server.metrics();
    assert_eq!((metrics.opened, metrics.ended, metrics.lost), (1000, 1000, 1000));
    assert_eq!((world.server.subscriber_count("room"), world.network.open_sockets()), (0, 1));
    world.end(Vec::new());
}

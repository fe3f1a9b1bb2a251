//! Row 23: connections that end anywhere, in any way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tidewire::engine::SocketId;
use tidewire::{Builder, IntoReply, Server, Upgrade as Upgraded};
use tidewire_contract::World;
use tidewire_kit::client::Upgrade;
use tidewire_kit::client::frame::{self, CONTINUATION, FIN, Length, PING, TEXT};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

thread_local! {
    /// Opens and closes of each socket, on each worker: workers are told apart by the thread's own counting.
    static TOLD: RefCell<BTreeMap<usize, (u32, u32)>> = const { RefCell::new(BTreeMap::new()) };
}

fn told(number: usize, opens: u32, closes: u32) {
    TOLD.with_borrow_mut(|told| {
        let (opened, closed) = told.entry(number).or_default();
        (*opened, *closed) = (*opened + opens, *closed + closes);
        assert!(*opened == 1 && *closed <= 1, "socket {number} had {opened} opens and {closed} closes");
    });
}

/// A server with everything in it: requests, slow ones among them, and sockets that answer, publish, close, and panic.
fn busy() -> Builder<usize> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    Server::builder()
        .fetch(move |req, server| {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move {
                match req.uri().path() {
                    "/page" => "a page ".repeat(300).into_reply(),
                    "/body" => req.into_body().bytes().await.map_or(0, |body| body.len()).to_string().into_reply(),
                    "/never" => std::future::pending::<&str>().await.into_reply(),
                    _ => server.upgrade(&req, Upgraded::new(number)).into_reply(),
                }
            }
        })
        .open(|ws| {
            told(*ws.data(), 1, 0);
            ws.subscribe("all");
            ws.send("welcome");
        })
        .message(|ws, message| {
            let text = message.text();
            match text.as_bytes().first() {
                Some(b'c') => ws.close(4000, "as you like").expect("it may be sent"),
                Some(b't') => ws.terminate(),
                Some(b'l') => drop(ws.send("long ".repeat(3000))),
                Some(b'p') => drop(ws.publish("all", &*text)),
                _ => drop(ws.send(&*text)),
            }
        })
        .close(|ws, _, _| {
            told(*ws.data(), 0, 1);
            ws.send("nobody hears this");
        })
        .idle_timeout(Duration::from_secs(20))
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame::encode(first, Length::Minimal, Some([9, 8, 7, 6]), payload)
}

/// Everything that one connection might say.
fn conversation(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    if random.chance(0.3) {
        bytes.extend(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    if random.chance(0.2) {
        bytes.extend(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n");
        bytes.extend([b'b'; 2000]);
    }
    if random.chance(0.1) {
        bytes.extend(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    bytes.extend(Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ=="));
    for _ in 0..random.below(8) {
        match random.below(8) {
            0 => bytes.extend(masked(FIN | PING, b"are you there?")),
            1 => {
                bytes.extend(masked(TEXT, b"in "));
                bytes.extend(masked(CONTINUATION, b"several "));
                bytes.extend(masked(FIN | CONTINUATION, b"parts"));
            }
            2 => bytes.extend(masked(FIN | TEXT, b"long")),
            3 => bytes.extend(masked(FIN | TEXT, b"publish this")),
            4 if random.chance(0.3) => bytes.extend(masked(FIN | TEXT, b"close")),
            5 if random.chance(0.3) => bytes.extend(masked(FIN | TEXT, b"terminate")),
            6 if random.chance(0.2) => bytes.extend(random.bytes(20)),
            _ => bytes.extend(masked(FIN | TEXT, &vec![b'x'; random.below(3000)])),
        }
    }
    if random.chance(0.3) {
        bytes.extend(masked(FIN | 0x8, b"\x03\xe8bye"));
    }
    bytes
}

/// How a peer goes.
fn leave(mut peer: Peer, way: usize, half: &mut Vec<Peer>) {
    match way {
        0 => peer.reset(),
        1 => drop(peer),
        2 => {
            // Only its own direction ends, or everything was read before.
            peer.shutdown();
            half.push(peer);
        }
        _ => {
            peer.read();
            drop(peer);
        }
    }
}

/// Nothing is left of anybody.
fn check(mut world: World, seed: u64) {
    // Whoever ended only one direction is let go by a deadline.
    world.pass(Duration::from_secs(60), &mut []);
    for worker in &world.workers {
        assert_eq!(worker.population(), (0, 0), "seed {seed}");
    }
    assert_eq!(world.network.open_sockets(), world.workers.len(), "seed {seed}: only the listeners are left");
    let metrics = world.server.metrics();
    assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "seed {seed}: {metrics:?}");
    let told = TOLD.take();
    assert_eq!(told.len() as u64, metrics.opened);
    assert!(told.values().all(|told| *told == (1, 1)), "seed {seed}: every open has one close");
    assert_eq!(world.server.subscriber_count("all"), 0);
    world.end(Vec::new());
}

#[test]
fn row_23_peers_that_leave_anywhere_at_random_leave_nothing() {
    for_each_seed(3000, |seed| {
        let mut random = Random::new(seed);
        let faults = if random.chance(0.5) { Faults::rough() } else { Faults::harsh() };
        let mut world = World::new(seed, faults, if random.chance(0.3) { 3 } else { 1 }, busy());
        let mut half = Vec::new();
        for _ in 0..random.within(1..=6) {
            let mut peer = world.peer();
            let bytes = conversation(&mut random);
            let cut = random.below(bytes.len() + 1);
            let size = random.within(1..=cut.max(1));
            for piece in bytes[..cut].chunks(size.max(cut / 20 + 1)) {
                peer.write(piece);
                for _ in 0..random.below(3) {
                    world.turn();
                }
                if random.chance(0.1) {
                    peer.read_at_most(100);
                }
            }
            if random.chance(0.5) {
                world.settle(&mut []);
            }
            leave(peer, random.below(4), &mut half);
        }
        world.settle(&mut []);
        drop(half);
        check(world, seed);
    });
}

#[test]
fn row_23_peers_that_leave_at_every_byte_leave_nothing() {
    let upgrade = Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ==");
    let frames = [
        masked(FIN | TEXT, b"hello"),
        masked(TEXT, b"frag"),
        masked(FIN | PING, b"ping"),
        masked(FIN | CONTINUATION, b"ment"),
        masked(FIN | TEXT, &[b'x'; 200]),
        masked(FIN | 0x8, b"\x03\xe8bye"),
    ];
    let bytes = [upgrade, frames.concat()].concat();
    for cut in 0..=bytes.len() {
        for way in 0..4 {
            let mut world = World::calm(busy());
            let (mut peer, mut half) = (world.peer(), Vec::new());
            peer.write(&bytes[..cut]);
            world.settle(&mut []);
            leave(peer, way, &mut half);
            world.settle(&mut []);
            check(world, (cut * 4 + way) as u64);
        }
    }
}

#[test]
fn row_23_a_reset_behind_a_fin_is_noticed_while_fetch_waits() {
    let mut world = World::calm(busy());
    let mut peer = world.peer();
    peer.write(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.shutdown();
    world.settle(&mut []);
    assert_eq!(world.workers[0].population(), (1, 0), "it may still be answered");
    peer.reset();
    // Without this, the worker was told of it again and again, until the request's deadline.
    world.settle(&mut []);
    assert_eq!((world.workers[0].population(), world.network.now()), ((0, 0), Duration::ZERO));
    check(world, 0);
}

#[test]
fn row_23_an_id_of_a_connection_that_is_gone_finds_nobody() {
    let mut world = World::calm(busy());
    let peer = world.opened();
    let old: Vec<SocketId> = world.workers[0].sockets().map(|socket| socket.id()).collect();
    drop(peer);
    world.settle(&mut []);
    let next = world.opened();
    let handle = world.workers[0].handle();
    for id in old {
        assert!(handle.socket(id).send("a stranger").is_dropped());
        handle.socket(id).terminate();
    }
    world.settle(&mut []);
    assert_eq!(world.workers[0].population(), (1, 1));
    drop(next);
    world.settle(&mut []);
    check(world, 0);
}

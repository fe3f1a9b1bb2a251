//! Peers that read slowly, on the virtual clock: whoever reads is waited for, whoever does not is cut off; and what was sent before
//! a close arrives.

#![allow(clippy::expect_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::time::Duration;

use tidewire::Builder;
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_kit::client::frame::{CLOSE, FIN, PING};
use tidewire_kit::sim::{Faults, Peer};

const SECOND: Duration = Duration::from_secs(1);
/// The timer wheel counts whole seconds, and the one that has begun does not count.
const COARSE: Duration = Duration::from_secs(3);
/// What a connection's buffers hold: little, so that what is sent waits with the server.
const BUFFER: usize = 1024;

/// A server on a narrow network, and a connection whose socket is open; it reads only when it is told to.
fn open(builder: Builder<()>) -> (World, Peer) {
    let mut world = World::new(1, Faults { buffer: BUFFER..=BUFFER, ..Faults::none() }, 1, builder);
    let mut client = world.opened();
    client.send_text("go");
    world.settle(&mut []);
    (world, client.into_wire())
}

/// Reads so many bytes in each second, for so long; what came, and how long it took until the connection ended.
fn read_slowly(world: &mut World, peer: &mut Peer, each_second: usize, most: Duration) -> (Vec<u8>, Option<Duration>) {
    let (start, mut received) = (world.network.now(), Vec::new());
    while world.network.now() - start < most {
        let mut left = each_second;
        // In pieces, because the buffers hold less than what is read in a second.
        while left > 0 {
            let piece = peer.read_at_most(left.min(BUFFER));
            left = if piece.is_empty() { 0 } else { left - piece.len() };
            received.extend(piece);
            world.settle(&mut []);
        }
        if peer.is_at_end() || peer.is_reset() {
            return (received, Some(world.network.now() - start));
        }
        world.pass(SECOND, &mut []);
    }
    (received, None)
}

/// Sends this much and closes.
fn closing(notes: &Notes, bytes: usize) -> Builder<()> {
    noting(notes).message(move |ws, _| {
        ws.send("x".repeat(bytes));
        ws.close(1000, "that is all").expect("the code may be sent");
        ws.send("nothing behind a close");
    })
}

#[test]
fn what_was_sent_before_a_close_arrives_however_slowly_it_is_read() {
    let notes = Notes::default();
    let (mut world, mut peer) = open(closing(&notes, 60_000));
    let (received, ended) = read_slowly(&mut world, &mut peer, 1000, 100 * SECOND);
    let close = [&[FIN | CLOSE, 13][..], b"\x03\xe8that is all"].concat();
    assert!(received.ends_with(&close), "the Close is the last, {} bytes came", received.len());
    assert_eq!(received.iter().filter(|byte| **byte == b'x').count(), 60_000);
    // Everything was read after a minute; the peer, which does not answer the Close, is let go five seconds later.
    let ended = ended.expect("it ends");
    assert!((60 * SECOND..=65 * SECOND + COARSE).contains(&ended), "it took {ended:?}");
    assert_eq!(notes.take(), ["open", "close 1000 that is all"]);
    assert_eq!(world.server.metrics().closed_unfinished, 1);
    world.end(Vec::new());
}

#[test]
fn close_timeout_counts_from_what_was_read_last() {
    let (mut world, mut peer) = open(closing(&Notes::default(), 60_000));
    let (_, ended) = read_slowly(&mut world, &mut peer, 1000, 20 * SECOND);
    assert_eq!(ended, None, "it reads");
    let (start, network) = (world.network.now(), world.network.clone());
    assert!(world.run(|| network.open_sockets() == 1), "only the listener is left");
    let silent = world.network.now() - start;
    assert!(silent >= 4 * SECOND && silent <= 5 * SECOND + COARSE, "it was cut off after {silent:?}");
    world.end(Vec::new());
}

#[test]
fn drain_timeout_is_the_most_that_a_slow_reader_gets_in_all() {
    let builder = closing(&Notes::default(), 60_000).options(|options| options.drain_timeout = 30 * SECOND);
    let (mut world, mut peer) = open(builder);
    let (received, ended) = read_slowly(&mut world, &mut peer, 1000, 100 * SECOND);
    let ended = ended.expect("it ends");
    assert!((30 * SECOND..=31 * SECOND + COARSE).contains(&ended), "it took {ended:?}");
    assert!((30_000..40_000).contains(&received.len()), "{} bytes came", received.len());
    world.end(Vec::new());
}

#[test]
fn a_response_is_read_as_slowly_as_the_peer_can() {
    for head in ["Connection: close\r\n", ""] {
        let builder = tidewire::Server::builder::<()>().fetch(|_, _| async { "y".repeat(60_000) });
        let mut world = World::new(1, Faults { buffer: BUFFER..=BUFFER, ..Faults::none() }, 1, builder);
        let mut peer = world.peer();
        peer.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n").as_bytes());
        world.settle(&mut []);
        let (received, ended) = read_slowly(&mut world, &mut peer, 1000, 300 * SECOND);
        assert!(received.ends_with(&[b'y'; 60_000]), "{head:?}: {} bytes came", received.len());
        assert!(ended.is_some_and(|ended| ended <= 70 * SECOND + COARSE), "{head:?}: {ended:?}");
        world.end(Vec::new());
    }
}

/// Sends this much when it is asked to, and stays open.
fn sending(notes: &Notes, bytes: usize) -> Builder<()> {
    noting(notes).idle_timeout(10 * SECOND).message(move |ws, _| {
        ws.send("x".repeat(bytes));
    })
}

#[test]
fn idle_timeout_leaves_alone_whoever_reads_what_waits_and_pings_it_then() {
    let notes = Notes::default();
    let (mut world, mut peer) = open(sending(&notes, 60_000));
    // It says nothing for six times the idle timeout, and takes a kilobyte each second meanwhile.
    let (received, ended) = read_slowly(&mut world, &mut peer, 1000, 200 * SECOND);
    assert_eq!(received.iter().filter(|byte| **byte == b'x').count(), 60_000);
    assert!(received.ends_with(&[FIN | PING, 0]), "then it is pinged");
    let ended = ended.expect("it does not answer");
    assert!((67 * SECOND..=71 * SECOND + COARSE).contains(&ended), "it took {ended:?}");
    assert_eq!(notes.take(), ["open", "close 1006 WebSocket timed out from inactivity"]);
    assert_eq!((world.server.metrics().closed_idle, world.server.metrics().pings_sent), (1, 1));
    world.end(Vec::new());
}

#[test]
fn idle_timeout_cuts_off_whoever_reads_no_more_of_what_waits() {
    for reads in [0, 25] {
        let notes = Notes::default();
        let (mut world, mut peer) = open(sending(&notes, 60_000));
        let (_, ended) = read_slowly(&mut world, &mut peer, 1000, reads * SECOND);
        assert_eq!(ended, None);
        let start = world.network.now();
        assert!(world.run(|| notes.has("close 1006 WebSocket timed out from inactivity")));
        let silent = world.network.now() - start;
        assert!(silent >= 9 * SECOND && silent <= 10 * SECOND + COARSE, "it was cut off after {silent:?}");
        world.end(Vec::new());
    }
}

#[test]
fn idle_timeout_is_not_moved_by_what_the_kernel_takes_at_once() {
    let mut world = World::calm(upgrading().idle_timeout(10 * SECOND).send_pings(false).open(|ws| {
        ws.subscribe("ticks");
    }));
    let mut clients = vec![world.opened()];
    let start = world.network.now();
    while clients[0].is_open() {
        world.server.publish("ticks", "tick");
        world.pass(SECOND, &mut clients);
        assert!(world.network.now() - start < 60 * SECOND, "our own traffic keeps it");
    }
    assert!(world.network.now() - start <= 10 * SECOND + COARSE);
    world.end(clients);
}

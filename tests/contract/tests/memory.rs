//! What connections that died on the way had held is given back (the contract's behaviour 28). One test, because what a process
//! uses is the whole process's.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use tidewire::{Builder, Server};
use tidewire_contract::{World, upgrading};
use tidewire_kit::client::frame::{BINARY, FIN, Length, TEXT, encode};
use tidewire_kit::process::resident_bytes;
use tidewire_kit::sim::{Faults, Peer};

const MIB: u64 = 1 << 20;
/// Whoever does not read has most of it waiting.
const NARROW: Faults = Faults { buffer: 2000..=2000, ..Faults::none() };

/// Has many connections die, each with much that is its own, by a reset unless `live` has found another way; and says by how much
/// the process has grown since the first few.
fn growth(mut world: World, mut live: impl FnMut(&mut World) -> Peer) -> u64 {
    let mut before = 0;
    for round in 0..400 {
        if round == 50 {
            before = resident_bytes().unwrap();
        }
        let peer = live(&mut world);
        peer.reset();
        world.settle(&mut []);
        assert_eq!(world.workers[0].population(), (0, 0));
    }
    let grown = resident_bytes().unwrap().saturating_sub(before);
    world.end(Vec::new());
    grown
}

/// Of sockets that say something, the server cuts the connection off.
fn cutting() -> Builder<()> {
    upgrading().message(|ws, _| ws.terminate())
}

/// Every other of these connections is cut off by the server, before the network tells it of a reset.
fn every_other_asks_for_its_end(world: &mut World, mut peer: Peer, round: &mut u32) -> Peer {
    *round += 1;
    if round.is_multiple_of(2) {
        peer.write(&encode(FIN | TEXT, Length::Minimal, Some([1; 4]), b"cut me off"));
        world.settle(&mut []);
    }
    peer
}

#[test]
fn c28_what_died_on_the_way_is_given_back() {
    let payload = vec![7; 50_000];
    let subscribing = cutting().open(|ws| {
        ws.subscribe("room");
    });
    let mut round = 0;
    let published = growth(World::new(1, NARROW, 1, subscribing), |world| {
        let peer = world.opened().into_wire();
        // Each a chunk of the log of its own, held by nobody but this reader.
        for _ in 0..8 {
            world.server.publish("room", &payload);
        }
        world.settle(&mut []);
        every_other_asks_for_its_end(world, peer, &mut round)
    });
    assert!(published < 24 * MIB, "published to readers that died: {published} bytes stay, of 140 MB");

    let sending = cutting().open(|ws| {
        for _ in 0..8 {
            ws.send(vec![7; 50_000]);
        }
    });
    let sent = growth(World::new(1, NARROW, 1, sending), |world| {
        let peer = world.opened().into_wire();
        every_other_asks_for_its_end(world, peer, &mut round)
    });
    assert!(sent < 24 * MIB, "sent to readers that died: {sent} bytes stay, of 140 MB");

    let received = growth(World::calm(upgrading()), |world| {
        let mut client = world.opened();
        let frame = encode(FIN | BINARY, Length::Claimed(10 << 20), Some([1; 4]), &[7; 400_000]);
        client.send_bytes(&frame);
        world.settle(&mut []);
        client.into_wire()
    });
    assert!(received < 24 * MIB, "the first part of messages: {received} bytes stay, of 140 MB");

    let answers = Server::builder::<()>().fetch(|_, _| async { "y".repeat(400_000) });
    let answered = growth(World::new(1, NARROW, 1, answers), |world| {
        let mut peer = world.peer();
        peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        world.settle(&mut []);
        peer
    });
    assert!(answered < 24 * MIB, "answered to readers that died: {answered} bytes stay, of 140 MB");
}

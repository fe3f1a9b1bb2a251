//! The paths: what is done over and over, and how many units of it.

use tidewire::{Builder, Compress, Deflate, Server, Upgrade};

use crate::wire::{self, BINARY, COMPRESSED, TEXT};
use crate::world::{World, measured};

/// One hot path.
pub struct Path {
    pub name: &'static str,
    /// What is counted once.
    pub unit: &'static str,
    /// Goes it, and says how many units that were.
    pub run: fn() -> usize,
}

const fn path(name: &'static str, unit: &'static str, run: fn() -> usize) -> Path {
    Path { name, unit, run }
}

pub const ALL: &[Path] = &[
    path("echo-20", "message", || echo(&wire::text(20), TEXT, 16, 1, 400)),
    path("echo-20-deep", "message", || echo(&wire::text(20), TEXT, 16, 16, 60)),
    path("echo-1k", "message", || echo(&wire::text(1024), TEXT, 16, 1, 200)),
    path("echo-16k", "message", || echo(&wire::text(16 * 1024), BINARY, 4, 1, 200)),
    path("receive-64k", "message", receive_large),
    path("publish-32", "delivery", || publish(32, 20, 100)),
    path("publish-500", "delivery", || publish(500, 61, 20)),
    path("publish-deflate-500", "delivery", publish_deflated),
    path("publish-elsewhere", "delivery", publish_elsewhere),
    path("echo-deflate-1k", "message", || echo_deflated(1024, 100)),
    path("echo-deflate-64", "message", || echo_deflated(64, 100)),
    path("upgrade", "connection", upgrade),
];

fn upgrading() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
}

/// Every client has so many messages under way, and gets them back.
fn echo(payload: &[u8], kind: u8, clients: usize, depth: usize, rounds: usize) -> usize {
    let server = upgrading().message(|ws, message| {
        ws.send(message);
    });
    let mut world = World::new(server, clients);
    let (there, back) = (wire::masked(kind, payload).repeat(depth), wire::frame(kind, payload).repeat(depth));
    for _ in 0..rounds {
        (0..clients).for_each(|client| world.write(client, &there));
        for client in 0..clients {
            assert_eq!(world.read(client, back.len()), back);
        }
    }
    rounds * clients * depth
}

/// Large messages that are unmasked, looked at, and answered by a byte.
fn receive_large() -> usize {
    const ROUNDS: usize = 100;
    let server = upgrading().message(|ws, message| {
        ws.send(if message.len() == 64 * 1024 { "y" } else { "n" });
    });
    let mut world = World::new(server, 1);
    let frame = wire::masked(BINARY, &wire::text(64 * 1024));
    for _ in 0..ROUNDS {
        world.write(0, &frame);
        assert_eq!(world.read(0, 3), wire::frame(TEXT, b"y"));
    }
    ROUNDS
}

/// A room: everybody gets what the first says, itself included.
fn room(deflate: Deflate) -> Builder<()> {
    upgrading()
        .per_message_deflate(deflate)
        .open(|ws| {
            ws.subscribe("room");
        })
        .message(|ws, message| {
            ws.server().publish("room", message);
        })
}

fn publish(clients: usize, size: usize, rounds: usize) -> usize {
    let mut world = World::new(room(Deflate::OFF), clients);
    let payload = wire::text(size);
    let (there, back) = (wire::masked(TEXT, &payload), wire::frame(TEXT, &payload));
    for _ in 0..rounds {
        world.write(0, &there);
        for client in 0..clients {
            assert_eq!(world.read(client, back.len()), back);
        }
    }
    rounds * clients
}

/// What another worker publishes: 50 messages in a turn, to 32.
fn publish_elsewhere() -> usize {
    const CLIENTS: usize = 32;
    const MESSAGES: usize = 50;
    const ROUNDS: usize = 100;
    let mut world = World::of_two(room(Deflate::OFF), CLIENTS);
    let text = String::from_utf8(wire::text(20)).expect("it is text");
    let back = wire::frame(TEXT, text.as_bytes()).repeat(MESSAGES);
    for _ in 0..ROUNDS {
        world.publish_elsewhere("room", &text, MESSAGES);
        for client in 0..CLIENTS {
            assert_eq!(world.read(client, back.len()), back);
        }
    }
    ROUNDS * MESSAGES * CLIENTS
}

/// 256 bytes of JSON to 500, four of them at a time, compressed both ways.
fn publish_deflated() -> usize {
    const CLIENTS: usize = 500;
    const DEPTH: usize = 4;
    const ROUNDS: usize = 5;
    let mut world = World::new(room(Deflate::SHARED), CLIENTS);
    let payload = wire::json(256);
    let frame = wire::masked(TEXT | COMPRESSED, &wire::deflated(&payload));
    world.write(0, &frame);
    let back = world.read_some(0).to_vec();
    assert_eq!(wire::payload_of(&back), Some(payload), "it comes back");
    (1..CLIENTS).for_each(|client| assert_eq!(world.read_some(client), back));
    let (there, back) = (frame.repeat(DEPTH), back.repeat(DEPTH));
    for _ in 0..ROUNDS {
        world.write(0, &there);
        for client in 0..CLIENTS {
            assert_eq!(world.read(client, back.len()), back);
        }
    }
    (ROUNDS * DEPTH + 1) * CLIENTS
}

/// JSON, compressed both ways.
fn echo_deflated(size: usize, rounds: usize) -> usize {
    const CLIENTS: usize = 16;
    let server = upgrading().per_message_deflate(Deflate::SHARED).message(|ws, message| {
        ws.send_with(message, Compress::Yes);
    });
    let mut world = World::new(server, CLIENTS);
    let payload = wire::json(size);
    let there = wire::masked(TEXT | COMPRESSED, &wire::deflated(&payload));
    world.write(0, &there);
    let back = world.read_some(0).to_vec();
    assert_eq!(wire::payload_of(&back), Some(payload), "it comes back");
    for _ in 0..rounds {
        (0..CLIENTS).for_each(|client| world.write(client, &there));
        for client in 0..CLIENTS {
            assert_eq!(world.read(client, back.len()), back);
        }
    }
    rounds * CLIENTS + 1
}

/// Connections that are accepted, upgraded and end.
fn upgrade() -> usize {
    const CONNECTIONS: usize = 200;
    let mut world = World::new(upgrading(), 0);
    for _ in 0..CONNECTIONS {
        world.open(1, measured);
        world.leave(measured);
    }
    CONNECTIONS
}

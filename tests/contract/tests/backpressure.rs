//! Backpressure to the byte: what each send answers, what is counted, and when `drain` follows (the contract's behaviours 12 and 13).

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tidewire::{Builder, SendStatus, Server, Upgrade, Ws};
use tidewire_contract::{Notes, World, noting, texts, upgrading};
use tidewire_kit::client::{Client, Ended, Message};
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Peer};

use SendStatus::{Backpressure, Dropped, Sent};

/// A frame of exactly 1,000 bytes: its head has 4.
const PAYLOAD: usize = 996;
const FRAME: usize = 1000;

thread_local! {
    /// The open sockets of this test. A test has its thread to itself.
    static SOCKETS: RefCell<Vec<Ws<()>>> = const { RefCell::new(Vec::new()) };
}

fn keeping(builder: Builder<()>) -> Builder<()> {
    builder.open(|ws| SOCKETS.with_borrow_mut(|sockets| sockets.push(ws.clone())))
}

fn kept() -> Ws<()> {
    SOCKETS.with_borrow(|sockets| sockets[0].clone())
}

/// A network whose kernel takes so many bytes for a socket, and holds so many for its peer.
fn narrow(buffer: usize) -> Faults {
    Faults { buffer: buffer..=buffer, ..Faults::none() }
}

fn text(number: usize) -> String {
    format!("{number:03}{}", "x".repeat(PAYLOAD - 3))
}

fn numbers(client: &mut Client<Peer>) -> Vec<usize> {
    let number = |message: Message| match message {
        Message::Text(text) => text[..3].parse().unwrap(),
        other => panic!("text was sent, not {other:?}"),
    };
    client.take_messages().into_iter().map(number).collect()
}

#[test]
fn c12_c13_sending_up_to_a_mark_and_going_on_in_drain_never_waits_in_vain() {
    const MESSAGES: usize = 3000;
    /// Sends while little waits; what is corked and not offered to the kernel yet does not count.
    fn pump(ws: &Ws<Cell<usize>>) {
        while ws.buffered_amount() < 1024 && ws.data().get() < MESSAGES {
            ws.data().set(ws.data().get() + 1);
            assert!(!ws.send([7; 100]).is_dropped());
        }
    }
    for_each_seed(100, |seed| {
        let builder = Server::builder()
            // The narrowest networks take longer than the idle timeout for all of it.
            .idle_timeout(Duration::ZERO)
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(Cell::new(0))) })
            .open(pump)
            .drain(pump);
        let mut world = World::new(seed, Faults::rough(), 1, builder);
        let mut clients = vec![world.client()];
        world.until(&mut clients, "every message", |clients| clients[0].messages().len() == MESSAGES);
        world.end(clients);
    });
}

#[test]
fn c12_each_send_answers_what_became_of_it() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder =
        keeping(upgrading()).backpressure_limit(5 * FRAME).drain(move |ws| inner.add(format!("drain {}", ws.buffered_amount())));
    let mut world = World::new(1, narrow(2 * FRAME), 1, builder);
    let mut clients = vec![world.opened()];
    let (ws, before) = (kept(), world.network.calls().bytes_sent);

    // Nothing is asked of the kernel until the queue is over the limit, and one message may take it there.
    let statuses: Vec<_> = (0..6).map(|i| ws.send(text(i))).collect();
    assert_eq!(statuses, [Sent(PAYLOAD); 6]);
    assert_eq!(world.network.calls().bytes_sent, before);
    // Then it is: the kernel takes two frames and no more, and two may come in their place.
    let statuses: Vec<_> = (6..12).map(|i| ws.send(text(i))).collect();
    assert_eq!(statuses, [Backpressure, Backpressure, Dropped, Dropped, Dropped, Dropped]);
    assert_eq!(statuses.iter().map(|status| status.to_number()).collect::<Vec<_>>(), [-1, -1, 0, 0, 0, 0]);
    assert_eq!((ws.buffered_amount(), world.network.calls().bytes_sent - before), (6 * FRAME, 2 * FRAME as u64));
    // What is no message has the same limit.
    assert_eq!((ws.ping(b"?"), ws.pong(b"!")), (Ok(Dropped), Ok(Dropped)));
    assert_eq!(world.server.metrics().dropped_backpressure, 6);
    assert_eq!(notes.all(), [""; 0]);

    world.settle(&mut clients);
    assert_eq!(numbers(&mut clients[0]), [0, 1, 2, 3, 4, 5, 6, 7], "what was admitted arrives, in order");
    assert_eq!(notes.take(), ["drain 0"], "once, when everything is with the kernel");
    // Nothing waits any more: the same answers as at the beginning, and no drain that nobody was promised.
    assert_eq!((ws.send(text(12)), ws.send("")), (Sent(PAYLOAD), Sent(0)));
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages(), texts([text(12), String::new()]));
    assert_eq!(notes.all(), [""; 0]);
    SOCKETS.take();
    drop(ws);
    world.end(clients);
}

#[test]
fn c12_one_message_larger_than_the_limit_still_goes() {
    let mut world = World::new(1, narrow(2 * FRAME), 1, keeping(upgrading()).backpressure_limit(FRAME));
    let mut clients = vec![world.opened()];
    let ws = kept();
    // A large one is offered to the kernel at once, a small one when it is its turn: the answers say so.
    for (size, answer) in [(50_000, Backpressure), (5_000, Sent(5_000))] {
        assert_eq!(ws.send(vec![7; size]), answer);
        assert_eq!(ws.send("behind it"), Dropped, "more than the limit waits");
        world.settle(&mut clients);
        assert_eq!(clients[0].take_messages(), [Message::Binary(vec![7; size])]);
    }
    // Exactly the limit is not over it.
    assert_eq!([0, 1].map(|i| ws.send(text(i))), [Sent(PAYLOAD); 2]);
    world.settle(&mut clients);
    assert_eq!(numbers(&mut clients[0]), [0, 1]);
    SOCKETS.take();
    drop(ws);
    world.end(clients);
}

#[test]
fn c12_a_program_that_sends_in_drain_until_it_is_told_to_wait_gets_everything_across() {
    const ALL: usize = 200;
    let notes = Notes::default();
    let pump = move |ws: &Ws<()>, notes: &Notes| {
        notes.add("pump");
        for number in notes.count("sent")..ALL {
            notes.add("sent");
            match ws.send(text(number)) {
                Sent(PAYLOAD) => {}
                Backpressure => return notes.add("wait"),
                other => panic!("{other:?} although it waits when it is told to"),
            }
        }
    };
    let (first, again) = (notes.clone(), notes.clone());
    let builder = upgrading().message(move |ws, _| pump(ws, &first)).drain(move |ws| pump(ws, &again));
    let mut world = World::new(1, narrow(10 * FRAME), 1, builder);
    let mut clients = vec![world.opened()];
    clients[0].send_text("go");
    world.settle(&mut clients);
    assert_eq!(numbers(&mut clients[0]), (0..ALL).collect::<Vec<_>>());
    let waits = notes.count("wait");
    assert!(waits > 1, "it was told to wait once and again");
    assert_eq!(notes.count("pump"), 1 + waits, "a drain for each time, and no other");
    world.end(clients);
}

#[test]
fn c12_each_subscriber_has_its_own_limit() {
    let builder = keeping(upgrading().open(|_| {})).backpressure_limit(5 * FRAME);
    let mut world = World::new(1, narrow(2 * FRAME), 1, builder);
    let mut clients = vec![world.opened(), world.opened()];
    SOCKETS.with_borrow(|sockets| sockets.iter().for_each(|ws| assert!(ws.subscribe("room"))));
    let publish = |world: &World, number| world.workers[0].enter(|| world.server.publish("room", text(number)));
    // The first reads whatever comes, the second nothing: each is asked for its own answer, and the worst is told.
    let mut told = Vec::new();
    for number in 0..14 {
        told.push(publish(&world, number));
        world.settle(&mut clients[..1]);
    }
    // Two frames are in the peer's buffer, two in the kernel's; then up to the limit waits, and one more.
    let expected: Vec<_> = (0..14)
        .map(|number| {
            if number < 5 {
                Sent(PAYLOAD)
            } else if number < 10 {
                Backpressure
            } else {
                Dropped
            }
        })
        .collect();
    assert_eq!(told, expected);
    assert_eq!(numbers(&mut clients[0]), (0..14).collect::<Vec<_>>());
    assert_eq!(world.server.metrics().dropped_backpressure, 4);
    world.settle(&mut clients);
    assert_eq!(numbers(&mut clients[1]), (0..10).collect::<Vec<_>>());
    SOCKETS.take();
    world.end(clients);
}

#[test]
fn c12_close_on_backpressure_limit_cuts_off_the_slow_subscriber_alone() {
    let notes = Notes::default();
    let builder = noting(&notes)
        .open(|ws| {
            ws.subscribe("room");
        })
        .backpressure_limit(5 * FRAME)
        .close_on_backpressure_limit(true);
    let mut world = World::new(1, narrow(2 * FRAME), 1, builder);
    let mut clients = vec![world.opened(), world.opened()];
    for number in 0..20 {
        world.server.publish("room", text(number));
        world.settle(&mut clients[..1]);
    }
    assert_eq!(numbers(&mut clients[0]), (0..20).collect::<Vec<_>>());
    assert_eq!(notes.all(), ["close 1006"]);
    world.settle(&mut clients);
    assert_eq!((clients[1].ended(), clients[0].is_open()), (Some(Ended::Fin), true), "without a closing handshake");
    let metrics = world.server.metrics();
    assert_eq!((metrics.closed_backpressure, world.server.subscriber_count("room")), (1, 1));
    world.end(clients);
}

#[test]
fn a_thread_that_publishes_faster_than_the_workers_turn_is_refused_before_memory_runs_out() {
    const LIMIT: usize = 64 << 20;
    let mut world = World::calm(keeping(upgrading()));
    let clients = vec![world.opened()];
    assert!(kept().subscribe("room"));
    let (payload, handle) = (vec![7; 1 << 20], kept().handle());
    let taken = (0..200).take_while(|_| world.server.publish("room", &payload) == Sent(1 << 20)).count();
    assert_eq!(taken, (LIMIT >> 20) + 1, "while no more than the limit waits, one more goes");
    assert!(!handle.send(&payload) && !handle.publish("room", "x"));
    assert_eq!(world.server.metrics().mail_refused, 3);
    // Nobody is kept from ending a socket by what waits.
    assert_eq!(handle.close(4000, "enough"), Ok(true));
    SOCKETS.take();
    drop(clients);
    world.turn();
    // The turn has taken everything: there is room again.
    assert_eq!(world.server.publish("nobody", "x"), Dropped);
    assert!(handle.send("x"));
    assert_eq!(world.server.metrics().mail_refused, 3);
    world.end(Vec::new());
}

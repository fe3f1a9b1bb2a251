//! Reload, more closely: which limits count for sockets that are open, and that nothing is kept (the contract's behaviours 27 and 28).

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::sync::Arc;
use std::time::Duration;

use tidewire::{Builder, SendStatus};
use tidewire_contract::{Notes, World, noting, texts, upgrading};
use tidewire_kit::client::Client;
use tidewire_kit::client::frame::{self, FIN, Length, TEXT};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

const SECOND: Duration = Duration::from_secs(1);

/// A server whose silent sockets end after so many seconds, unpinged.
fn patient(notes: &Notes, seconds: u64) -> Builder<()> {
    noting(notes).idle_timeout(Duration::from_secs(seconds)).send_pings(false)
}

#[test]
fn c27_another_idle_timeout_counts_from_the_reload() {
    for (before, after) in [(0, 10), (120, 10), (10, 120), (1, 120)] {
        let notes = Notes::default();
        let mut world = World::calm(patient(&notes, before));
        let mut clients = vec![world.opened()];
        world.server.reload(patient(&notes, after));
        world.settle(&mut clients);
        world.pass(Duration::from_secs(after - 1), &mut clients);
        assert!(clients[0].is_open(), "{before} s, then {after} s: cut off too early");
        world.pass(4 * SECOND, &mut clients);
        assert!(!clients[0].is_open(), "{before} s, then {after} s: silent for {:?}", world.network.now());
        assert_eq!(notes.all(), ["open", "close 1006 WebSocket timed out from inactivity"]);
        world.end(clients);
    }
}

#[test]
fn c27_without_an_idle_timeout_open_sockets_are_left_alone_and_with_pings_they_are_pinged() {
    let notes = Notes::default();
    let mut world = World::calm(patient(&notes, 10));
    let mut clients = vec![world.opened()];
    world.server.reload(patient(&notes, 0));
    world.settle(&mut clients);
    world.pass(1000 * SECOND, &mut clients);
    assert!(clients[0].is_open() && clients[0].frames().is_empty());
    world.server.reload(patient(&notes, 30).send_pings(true));
    world.settle(&mut clients);
    world.pass(300 * SECOND, &mut clients);
    assert!(clients[0].is_open(), "the client answers");
    assert!(world.server.metrics().pings_sent > 5);
    world.end(clients);
}

#[test]
fn c27_a_reload_with_the_same_timeout_proves_no_silent_peer_alive() {
    let notes = Notes::default();
    let mut world = World::calm(patient(&notes, 10));
    let mut clients = vec![world.opened()];
    for _ in 0..7 {
        world.pass(2 * SECOND, &mut clients);
        world.server.reload(patient(&notes, 10));
        world.settle(&mut clients);
    }
    assert_eq!(notes.all(), ["open", "close 1006 WebSocket timed out from inactivity"]);
    world.end(clients);
}

#[test]
fn c27_limits_of_sending_count_for_open_sockets_at_once() {
    let room = |limit| {
        upgrading().backpressure_limit(limit).open(|ws| {
            ws.subscribe("room");
        })
    };
    let mut world = World::new(1, Faults { buffer: 2000..=2000, ..Faults::none() }, 1, room(5000));
    let mut clients = vec![world.opened()];
    let publish = |world: &World| world.workers[0].enter(|| world.server.publish("room", vec![7; 996]));
    let fill = |world: &World| (0..30).take_while(|_| !publish(world).is_dropped()).count();
    assert_eq!(fill(&world), 8, "two with the kernel, five and one more that wait");
    world.server.reload(room(10_000));
    world.turn();
    assert_eq!(fill(&world), 7, "two are at the client, two more with the kernel, and five more may wait");
    world.server.reload(room(1000));
    world.turn();
    assert_eq!(publish(&world), SendStatus::Dropped);
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages().len(), 15, "what was admitted under the old limits arrives");
    world.end(clients);
}

/// Handlers that hold something, and say which reload they came with.
fn generation(number: usize, held: &Arc<()>) -> Builder<()> {
    let (message, close) = (held.clone(), held.clone());
    upgrading()
        .message(move |ws, _| {
            let _held = &message;
            ws.send(number.to_string());
        })
        .close(move |_, _, _| {
            let _held = &close;
        })
}

#[test]
fn c28_each_reload_lets_go_of_the_handlers_before_it() {
    let held = Arc::new(());
    let mut world = World::new(0, Faults::none(), 4, generation(0, &held));
    let mut clients: Vec<Client<Peer>> = (0..8).map(|_| world.opened()).collect();
    let first = Arc::strong_count(&held);
    for number in 1..=200 {
        world.server.reload(generation(number, &held));
        world.settle(&mut clients);
        clients.iter_mut().for_each(|client| client.send_text("who?"));
        world.settle(&mut clients);
        for client in &mut clients {
            assert_eq!(client.take_messages(), texts([number.to_string()]));
        }
        // The server itself keeps what it began with, for workers that have yet to begin.
        assert!(Arc::strong_count(&held) <= first + 2, "{} after {number} reloads", Arc::strong_count(&held));
    }
    let server = world.server.clone();
    world.end(clients);
    // To a server that has ended, a reload is nothing, and nothing is kept of it.
    server.reload(generation(201, &held));
    drop(server);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn c27_whoever_reloads_at_any_moment_loses_no_message_and_gets_each_answered_once() {
    for_each_seed(1000, |seed| {
        let held = Arc::new(());
        let mut random = Random::new(seed);
        let mut world = World::new(seed, Faults::rough(), 1 + (seed % 2) as usize * 3, generation(0, &held));
        let mut clients: Vec<Client<Peer>> = (0..4).map(|_| world.client()).collect();
        let (mut asked, mut reloads) = (0, 0);
        for _ in 0..20 {
            clients.iter_mut().for_each(|client| client.send_text("who?"));
            asked += 1;
            if random.chance(0.4) {
                reloads += 1;
                world.server.reload(generation(reloads, &held));
            }
            (0..random.below(4)).for_each(|_| world.turn());
        }
        world.until(&mut clients, "every answer", |clients| clients.iter().all(|client| client.messages().len() >= asked));
        for client in &mut clients {
            let answers: Vec<String> = client
                .take_messages()
                .into_iter()
                .map(|message| match message {
                    tidewire_kit::client::Message::Text(text) => text,
                    other => panic!("text was sent, not {other:?}"),
                })
                .collect();
            let numbers: Vec<usize> = answers.iter().map(|answer| answer.parse().unwrap()).collect();
            assert_eq!(numbers.len(), asked);
            assert!(numbers.is_sorted() && numbers.iter().all(|number| *number <= reloads), "{numbers:?}");
        }
        world.end(clients);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn c27_a_reload_in_a_handler_counts_for_the_rest_of_the_same_read() {
    for_each_seed(200, |seed| {
        let (old, new) = (Notes::default(), Notes::default());
        let (first, second) = (old.clone(), new.clone());
        let builder = upgrading().message(move |ws, text| {
            first.add(text.text());
            let second = second.clone();
            let next = upgrading().max_payload_length(5).message(move |_, text| second.add(text.text()));
            ws.server().reload(next);
        });
        let mut world = World::new(seed, Faults::none(), 1, builder);
        let mut client = world.opened();
        // One piece, so that they are one read.
        let frames: Vec<u8> = ["1", "2", "3", "too long"].iter().flat_map(|text| masked(text.as_bytes())).collect();
        client.send_bytes(&frames);
        let mut clients = vec![client];
        world.settle(&mut clients);
        assert_eq!((old.all(), new.all()), (vec!["1".to_owned()], vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(clients[0].close_frame().and_then(|close| close.code), Some(1009), "the limit is the new one");
        world.end(clients);
    });
}

/// A text frame of a client.
fn masked(text: &[u8]) -> Vec<u8> {
    frame::encode(FIN | TEXT, Length::Minimal, Some([1, 2, 3, 4]), text)
}

#[test]
fn c27_of_reloads_from_many_places_the_last_is_the_one_that_stays_on_every_worker() {
    for_each_seed(300, |seed| {
        let notes = Notes::default();
        let with = |number: usize| {
            let notes = notes.clone();
            upgrading().message(move |_, _| notes.add(number.to_string()))
        };
        let inner = notes.clone();
        // A handler that reloads while reloads of another thread wait in the mailbox of its worker.
        let builder = upgrading().message(move |ws, _| {
            let notes = inner.clone();
            ws.server().reload(upgrading().message(move |_, _| notes.add("3")));
        });
        let mut world = World::new(seed, Faults::rough(), 3, builder);
        let mut clients: Vec<_> = (0..6).map(|_| world.opened()).collect();
        clients[0].send_text("reload");
        world.server.reload(with(1).message({
            let notes = notes.clone();
            move |ws, _| {
                let notes = notes.clone();
                ws.server().reload(upgrading().message(move |_, _| notes.add("3")));
            }
        }));
        world.settle(&mut clients);
        clients[1].send_text("reload, if nobody has");
        world.settle(&mut clients);
        notes.take();
        clients.iter_mut().for_each(|client| client.send_text("which?"));
        world.settle(&mut clients);
        assert_eq!(notes.take(), ["3"; 6], "all workers have the last");
        world.server.reload(with(4));
        world.settle(&mut clients);
        clients.iter_mut().for_each(|client| client.send_text("which?"));
        world.settle(&mut clients);
        assert_eq!(notes.take(), ["4"; 6]);
        world.end(clients);
    });
}

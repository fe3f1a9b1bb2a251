//! The contract's behaviours 19, 20 and 22: topics. Each test has the number of its behaviour.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;

use tidewire::{Builder, SendStatus, Server, Upgrade, Ws};
use tidewire_contract::{Notes, World, texts, upgrading};
use tidewire_kit::client::{Client, Message};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

/// Subscribes to `room` unless the path is `/outside`; publishes every message, or with `all ` has the server do it.
fn room(notes: &Notes) -> Builder<bool> {
    let notes = notes.clone();
    Server::builder()
        .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(req.uri().path() != "/outside")) })
        .open(|ws| {
            if *ws.data() {
                assert!(ws.subscribe("room"));
            }
        })
        .message(move |ws, text| {
            let text = text.text();
            let status = match text.strip_prefix("all ") {
                Some(text) => ws.server().publish("room", text),
                None => ws.publish("room", &*text),
            };
            notes.add(format!("{status:?}"));
        })
}

/// Subscribes every socket to `room`.
fn subscribing() -> Builder<()> {
    upgrading().open(|ws| {
        ws.subscribe("room");
    })
}

fn got(clients: &mut [Client<Peer>]) -> Vec<usize> {
    clients.iter_mut().map(|client| client.take_messages().len()).collect()
}

#[test]
fn c19_publish_leaves_the_sender_out_and_server_publish_reaches_everybody() {
    for workers in [1, 4] {
        let notes = Notes::default();
        let mut world = World::new(0, Faults::none(), workers, room(&notes));
        let mut clients = vec![world.opened(), world.opened(), world.opened(), world.client_at("/outside")];
        world.settle(&mut clients);
        clients[0].send_text("from one");
        world.settle(&mut clients);
        assert_eq!(got(&mut clients), [0, 1, 1, 0]);
        // Who is not subscribed may publish, too.
        clients[3].send_text("from outside");
        world.settle(&mut clients);
        assert_eq!(got(&mut clients), [1, 1, 1, 0]);
        clients[0].send_text("all everybody");
        world.settle(&mut clients);
        assert_eq!(got(&mut clients), [1, 1, 1, 0]);
        assert_eq!(notes.all(), ["Sent(8)", "Sent(12)", "Sent(9)"]);
        world.end(clients);
    }
}

#[test]
fn c19_a_publish_that_reaches_nobody_else_answers_dropped() {
    let notes = Notes::default();
    let mut world = World::calm(room(&notes));
    let mut clients = vec![world.client_at("/outside")];
    clients[0].send_text("nobody");
    clients[0].send_text("all nobody");
    world.settle(&mut clients);
    clients.push(world.opened());
    clients[1].send_text("only me");
    clients[1].send_text("all only me");
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["Dropped", "Dropped", "Dropped", "Sent(7)"]);
    assert_eq!(got(&mut clients), [0, 1]);
    world.end(clients);
}

#[test]
fn c19_publish_to_self_includes_the_sender() {
    for workers in [1, 4] {
        let notes = Notes::default();
        let mut world = World::new(0, Faults::none(), workers, room(&notes).publish_to_self(true));
        let mut clients = vec![world.opened(), world.opened()];
        clients[0].send_text("to us both");
        world.settle(&mut clients);
        assert_eq!(got(&mut clients), [1, 1]);
        world.end(clients);
    }
}

#[test]
fn c19_the_worst_subscribers_answer_is_told() {
    thread_local! {
        static FIRST: RefCell<Option<Ws<()>>> = const { RefCell::new(None) };
    }
    let builder = upgrading().backpressure_limit(10_000).open(|ws| {
        ws.subscribe("room");
        FIRST.with_borrow_mut(|first| {
            first.get_or_insert_with(|| ws.clone());
        });
    });
    let mut world = World::new(0, Faults { buffer: 1000..=1000, ..Faults::none() }, 1, builder);
    let mut clients = vec![world.opened(), world.opened()];
    assert_eq!(world.server.publish("room", "x"), SendStatus::Sent(1));
    world.settle(&mut clients);
    let publish = |world: &mut World| {
        let ws = FIRST.with_borrow(Clone::clone).unwrap();
        world.workers[0].enter(|| ws.server().publish("room", "y".repeat(1000)))
    };
    // The second does not read: it stalls, and then is over its limit, while the first gets everything.
    let mut told = Vec::new();
    for _ in 0..15 {
        told.push(publish(&mut world));
        world.settle(&mut clients[..1]);
    }
    let counted = |status: fn(&SendStatus) -> bool| told.iter().filter(|told| status(told)).count();
    assert_eq!(told[0], SendStatus::Sent(1000));
    assert!(counted(|status| *status == SendStatus::Backpressure) > 5, "{told:?}");
    assert!(told.last().unwrap().is_dropped());
    let first: Vec<_> = clients[0].take_messages();
    assert_eq!(first.len(), 16, "one slow subscriber costs the others nothing");
    world.settle(&mut clients);
    assert_eq!(clients[1].take_messages().len(), 1 + told.iter().filter(|status| !status.is_dropped()).count());
    FIRST.take();
    world.end(clients);
}

#[test]
fn c20_publish_then_unsubscribe_still_delivers_and_in_order() {
    for_each_seed(1000, |seed| {
        let builder = subscribing().message(|ws, _| {
            ws.send("before");
            ws.server().publish("room", "published");
            assert!(ws.unsubscribe("room"));
            assert!(!ws.is_subscribed("room") && ws.subscriptions().is_empty());
            ws.server().publish("room", "not for me");
            ws.send("after");
        });
        let mut world = World::new(seed, Faults::rough(), 1, builder);
        let mut clients = vec![world.opened(), world.opened()];
        clients[0].send_text("go");
        world.settle(&mut clients);
        assert_eq!(clients[0].take_messages(), texts(["before", "published", "after"]));
        assert_eq!(clients[1].take_messages(), texts(["published", "not for me"]));
        world.end(clients);
    });
}

#[test]
fn c20_what_was_published_before_a_close_still_arrives() {
    for_each_seed(1000, |seed| {
        let builder = subscribing().message(|ws, _| {
            ws.server().publish("room", "the last word");
            ws.close(1000, "").unwrap();
        });
        let mut world = World::new(seed, Faults::rough(), 1, builder);
        let mut clients = vec![world.opened()];
        clients[0].send_text("go");
        world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
        assert_eq!(clients[0].take_messages(), texts(["the last word"]));
        world.end(clients);
    });
}

#[test]
fn c20_the_order_of_one_publisher_is_kept_for_each_subscriber() {
    for_each_seed(1000, |seed| {
        let workers = 1 + (seed % 2) as usize * 3;
        let notes = Notes::default();
        let mut world = World::new(seed, Faults::rough(), workers, room(&notes));
        let mut clients: Vec<_> = (0..5).map(|_| world.opened()).collect();
        // A worker learns of subscriptions on the others when their turns have run.
        world.settle(&mut clients);
        let mut random = Random::new(seed);
        let (all, rounds) = (random.chance(0.5), random.within(1..=30));
        for round in 0..rounds {
            for (name, client) in clients.iter_mut().enumerate() {
                client.send_text(&format!("{}{name} {round} {}", if all { "all " } else { "" }, "x".repeat(random.below(300))));
            }
            if random.chance(0.3) {
                world.turn();
            }
        }
        world.settle(&mut clients);
        let expected: Vec<_> = (0..rounds).collect();
        for (own, client) in clients.iter_mut().enumerate() {
            let messages = client.take_messages();
            for publisher in 0..5 {
                let rounds = rounds_of(&messages, publisher);
                if publisher != own || all {
                    assert_eq!(rounds, expected, "from {publisher} to {own}");
                } else {
                    assert_eq!(rounds, [0; 0]);
                }
            }
        }
        world.end(clients);
    });
}

/// The rounds of one publisher's messages, as they came.
fn rounds_of(messages: &[Message], publisher: usize) -> Vec<usize> {
    let round = |message: &Message| {
        let Message::Text(text) = message else { panic!("text was published") };
        let mut words = text.split(' ');
        (words.next()?.parse() == Ok(publisher)).then(|| words.next().unwrap().parse().unwrap())
    };
    messages.iter().filter_map(round).collect()
}

#[test]
fn c22_the_count_of_subscribers_is_right_after_abrupt_disconnects() {
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let workers = 1 + (seed % 2) as usize * 3;
        let mut world = World::new(seed, Faults::rough(), workers, room(&notes));
        let mut clients: Vec<_> = (0..8).map(|_| world.opened()).collect();
        world.settle(&mut clients);
        assert_eq!(world.server.subscriber_count("room"), 8);
        let mut random = Random::new(seed);
        while !clients.is_empty() {
            let mut client = clients.swap_remove(random.below(clients.len()));
            match random.below(4) {
                0 => client.into_wire().reset(),
                1 => client.wire().shutdown(),
                2 => client.send_bytes(b"\xff\xff\xff\xff"),
                _ => client.close(1000, ""),
            }
            world.settle(&mut clients);
            assert_eq!(world.server.subscriber_count("room"), clients.len());
        }
        assert_eq!(world.server.subscriber_count("no such room"), 0);
        world.end(clients);
    });
}

#[test]
fn c22_subscriptions_are_idempotent_named_and_limited() {
    let builder = upgrading().options(|options| options.max_subscriptions = 3).open(|ws| {
        assert!(ws.subscribe("a") && ws.subscribe("a") && ws.subscribe("b") && ws.subscribe("c"));
        assert_eq!(ws.server().subscriber_count("a"), 1);
        let mut names: Vec<_> = ws.subscriptions().iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(!ws.subscribe("d"), "over the limit");
        assert!(ws.try_subscribe("d").is_err() && ws.try_subscribe("").is_err());
        assert!(ws.unsubscribe("a") && !ws.unsubscribe("a") && !ws.unsubscribe("never"));
        assert_eq!(ws.server().subscriber_count("a"), 0);
        assert!(ws.subscribe("d"));
        ws.close(1000, "").unwrap();
        assert!(!ws.subscribe("a") && !ws.is_subscribed("d") && ws.subscriptions().is_empty());
        assert_eq!(ws.server().subscriber_count("d"), 0);
    });
    let mut world = World::calm(builder);
    let mut clients = vec![world.client()];
    world.settle(&mut clients);
    // A failed assertion in the handler would have closed it with 1011.
    assert_eq!(clients[0].close_frame().and_then(|close| close.code), Some(1000));
    assert_eq!(world.server.metrics().panics, 0);
    world.end(clients);
}

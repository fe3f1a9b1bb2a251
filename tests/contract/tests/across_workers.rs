//! What is published on one worker reaches the subscribers of another through its mailbox, a turn's worth at once. They get what
//! they would have got here: the same frames, under the same limits.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use tidewire::{Builder, Compress, Compressor, Server};
use tidewire_contract::{World, upgrading};
use tidewire_kit::client::{Client, Message, Upgrade};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

/// Subscribes every socket to both topics.
fn subscribing() -> Builder<()> {
    upgrading().open(|ws| {
        assert!(ws.subscribe("a") && ws.subscribe("b"));
    })
}

/// Two clients that ask for the same, one on each of two workers.
fn on_both(world: &mut World, upgrade: &Upgrade) -> [Client<Peer>; 2] {
    let mut found = [None, None];
    loop {
        let open = |world: &World| [0, 1].map(|at| world.workers[at].population().1);
        let before = open(world);
        let mut clients = vec![Client::open(world.peer(), upgrade)];
        world.settle(&mut clients);
        let at = usize::from(open(world)[1] > before[1]);
        if found[at].is_none() {
            found[at] = clients.pop();
        } else {
            clients[0].close(1000, "");
            world.settle(&mut clients);
        }
        if let [Some(_), Some(_)] = found {
            return found.map(Option::unwrap);
        }
    }
}

/// Publishes on the first worker, in one turn: messages of many sizes, short ones most of all, now and then to another topic.
fn publish(world: &World, random: &mut Random, count: usize) -> usize {
    world.workers[0].enter(|| {
        let mut bytes = 0;
        for number in 0..count {
            let size = if random.chance(0.9) { random.below(200) } else { random.below(20_000) };
            let text = format!("{number}: {}", "tide ".repeat(size / 5));
            let topic = if random.chance(0.05) { "b" } else { "a" };
            let compress = Compress::from(random.chance(0.9));
            bytes += text.len();
            let _ = world.server.publish_with(topic, text, compress);
        }
        bytes
    })
}

#[test]
fn c20_a_subscriber_elsewhere_gets_the_frames_that_one_here_gets_also_at_its_limit() {
    let offers = [None, Some(""), Some("; server_max_window_bits=10")];
    for_each_seed(300, |seed| {
        let mut random = Random::new(seed);
        let compressor = [Compressor::Disable, Compressor::Shared, Compressor::Dedicated][random.below(3)];
        let limit = random.within(100..=150_000);
        let buffer = random.within(500..=5000);
        let builder = subscribing()
            .per_message_deflate(compressor)
            .backpressure_limit(limit)
            .close_on_backpressure_limit(random.chance(0.3));
        let mut world = World::new(seed, Faults { buffer: buffer..=buffer, ..Faults::none() }, 2, builder);
        let pairs = offers.map(|offer| {
            let upgrade = Upgrade::to("/");
            on_both(&mut world, &offer.map_or(upgrade.clone(), |offer| upgrade.deflate(offer)))
        });
        let mut clients: Vec<_> = pairs.into_iter().flatten().collect();
        for _ in 0..3 {
            // Nobody reads meanwhile; what the kernel has no room for waits, and some of it is dropped.
            let count = random.within(2..=120);
            publish(&world, &mut random, count);
            (0..3).for_each(|_| world.turn());
            world.settle(&mut clients);
            for pair in clients.chunks_mut(2) {
                let frames = [0, 1].map(|at| pair[at].take_frames());
                assert_eq!(frames[0], frames[1]);
                let messages = [0, 1].map(|at| pair[at].take_messages());
                assert_eq!(messages[0], messages[1]);
                assert_eq!(pair[0].ended().is_some(), pair[1].ended().is_some());
            }
        }
        world.end(clients);
    });
}

#[test]
fn a_turns_messages_are_framed_once_on_the_other_worker_and_leave_in_one_send() {
    const MESSAGES: usize = 100;
    let mut world = World::new(0, Faults::none(), 2, subscribing());
    let [here, there] = on_both(&mut world, &Upgrade::to("/"));
    let mut clients = vec![here, there];
    let (calls, before) = (world.network.calls(), world.server.metrics());
    world.workers[0].enter(|| {
        for number in 0..MESSAGES {
            let _ = world.server.publish("a", format!("message {number}"));
        }
    });
    world.settle(&mut clients);
    let after = world.server.metrics();
    assert_eq!((world.network.calls() - calls).sends, 2, "one for each subscriber");
    assert_eq!(after.publish_copies - before.publish_copies, 2 * MESSAGES as u64, "once on each worker");
    assert_eq!(after.messages_out - before.messages_out, 2 * MESSAGES as u64);
    for client in &mut clients {
        let expected: Vec<_> = (0..MESSAGES).map(|number| Message::Text(format!("message {number}"))).collect();
        assert_eq!(client.take_messages(), expected);
    }
    world.end(clients);
}

#[test]
fn what_is_published_elsewhere_while_a_turn_is_flushed_leaves_in_the_sends_that_are_still_to_come() {
    const CLIENTS: usize = 10;
    fn publish(server: &Server, from: &str) {
        (0..5).for_each(|number| assert!(!server.publish("a", format!("{from} {number}")).is_dropped()));
    }
    let mut world = World::new(0, Faults::none(), 2, subscribing().message(|ws, _| publish(ws.server(), "here")));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| world.opened()).collect();
    assert!(world.workers.iter().all(|worker| worker.population().1 > 1), "both have several");
    for round in 0..3 {
        let before = world.network.calls().sends;
        let server = world.server.clone();
        world.network.during_next_send(move || std::thread::spawn(move || publish(&server, "there")).join().unwrap());
        clients[round].send_text("go");
        world.settle(&mut clients);
        assert_eq!(world.network.calls().sends - before, CLIENTS as u64 + 1, "only the first had its send already");
        for client in &mut clients {
            let texts = ["here", "there"].map(|from| (0..5).map(move |number| Message::Text(format!("{from} {number}"))));
            assert_eq!(client.take_messages(), texts.into_iter().flatten().collect::<Vec<_>>(), "in round {round}");
        }
    }
    world.end(clients);
}

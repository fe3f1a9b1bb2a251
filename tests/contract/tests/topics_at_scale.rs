//! Topics by the thousand: bounded for each socket, counted exactly on all workers together, and gone with their last subscriber.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::collections::BTreeMap;

use tidewire::{Builder, Server, Upgrade};
use tidewire_contract::World;
use tidewire_kit::client::{Client, Message};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

/// A server whose clients say what to subscribe to: `+topic`, `-topic`, or `*n` for topics 0 to n. It answers with how many
/// subscriptions the socket has.
fn subscribing() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) }).message(|ws, message| {
        let text = message.text();
        let (what, rest) = text.split_at(1);
        match what {
            "+" => {
                let _ = ws.try_subscribe(rest);
            }
            "-" => {
                ws.unsubscribe(rest);
            }
            _ => (0..rest.parse::<u32>().unwrap()).for_each(|topic| {
                ws.subscribe(&topic.to_string());
            }),
        }
        ws.send(ws.subscriptions().len().to_string());
    })
}

fn answer(world: &mut World, client: Client<Peer>) -> (Client<Peer>, String) {
    let mut clients = [client];
    world.until(&mut clients, "an answer", |clients| !clients[0].messages().is_empty());
    let [mut client] = clients;
    let Some(Message::Text(text)) = client.take_messages().pop() else { panic!("the answer is text") };
    (client, text)
}

#[test]
fn a_socket_has_ten_thousand_topics_and_no_more_than_the_limit() {
    let mut world = World::calm(subscribing().options(|options| options.max_subscriptions = 10_000));
    let mut client = world.client();
    client.send_text("*12000");
    let (mut client, count) = answer(&mut world, client);
    assert_eq!(count, "10000");
    assert_eq!((world.server.subscriber_count("9999"), world.server.subscriber_count("10000")), (1, 0));
    // At the limit, leaving one makes room for one.
    client.send_text("-5");
    let (mut client, count) = answer(&mut world, client);
    assert_eq!(count, "9999");
    client.send_text("+new");
    let (client, count) = answer(&mut world, client);
    assert_eq!((&*count, world.server.subscriber_count("new")), ("10000", 1));
    world.end(vec![client]);
}

#[test]
fn a_topics_name_is_bounded() {
    let mut world = World::calm(subscribing().options(|options| options.max_topic_length = 100));
    let mut client = world.client();
    client.send_text(&format!("+{}", "x".repeat(101)));
    let (mut client, count) = answer(&mut world, client);
    assert_eq!(count, "0");
    client.send_text(&format!("+{}", "x".repeat(100)));
    let (client, count) = answer(&mut world, client);
    assert_eq!(count, "1");
    world.end(vec![client]);
}

#[test]
fn c22_counts_are_exact_across_workers_and_after_abrupt_ends() {
    for_each_seed(200, |seed| {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, Faults::rough(), 1 + (seed % 2) as usize * 3, subscribing());
        let mut clients: Vec<_> = (0..8).map(|_| world.client()).collect();
        // What each socket is subscribed to, as it should be.
        let mut expected: Vec<BTreeMap<u32, bool>> = vec![BTreeMap::new(); clients.len()];
        for (client, topics) in clients.iter_mut().zip(&mut expected) {
            for _ in 0..random.within(1..=20) {
                let (topic, on) = (random.below(5) as u32, random.chance(0.7));
                client.send_text(&format!("{}{topic}", if on { '+' } else { '-' }));
                topics.insert(topic, on);
            }
            client.send_text("+last");
        }
        let server = world.server.clone();
        world.until(&mut clients, "everybody's last subscription", |clients| server.subscriber_count("last") == clients.len());
        let count =
            |expected: &[BTreeMap<u32, bool>], topic| expected.iter().filter(|topics| topics.get(&topic) == Some(&true)).count();
        for topic in 0..5 {
            assert_eq!(server.subscriber_count(&topic.to_string()), count(&expected, topic), "topic {topic}");
        }
        // Half of them are cut off.
        for client in clients.drain(4..) {
            client.into_wire().reset();
        }
        expected.truncate(4);
        world.until(&mut clients, "the ends of those who were cut off", |_| server.pending_web_sockets() == 4);
        for topic in 0..5 {
            assert_eq!(server.subscriber_count(&topic.to_string()), count(&expected, topic), "topic {topic} afterwards");
        }
        world.end(clients);
        assert_eq!(server.subscriber_count("last"), 0);
    });
}

#[test]
fn a_hundred_thousand_subscriptions_come_and_go() {
    let mut world = World::new(0, Faults::none(), 4, subscribing());
    let mut clients: Vec<_> = (0..100).map(|_| world.client()).collect();
    clients.iter_mut().for_each(|client| client.send_text("*1000"));
    world.until(&mut clients, "all subscriptions", |clients| clients.iter().all(|client| !client.messages().is_empty()));
    assert!((0..1000).all(|topic: u32| world.server.subscriber_count(&topic.to_string()) == 100));
    let server = world.server.clone();
    world.end(clients);
    assert!((0..1000).all(|topic: u32| server.subscriber_count(&topic.to_string()) == 0));
}

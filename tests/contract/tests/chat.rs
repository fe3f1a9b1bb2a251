//! The seed's group chat under faults, with one worker and with four.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::collections::BTreeMap;

use tidewire::{Builder, Server, Upgrade, Ws};
use tidewire_contract::World;
use tidewire_kit::client::{Client, Message};
use tidewire_kit::real;
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

const ROOM: &str = "the-group-chat";

/// The program of `tidewire chat`, with the name in the path.
fn chat() -> Builder<String> {
    Server::builder()
        .fetch(|req, server| async move {
            let name = req.uri().path().trim_start_matches('/').to_owned();
            server.upgrade(&req, Upgrade::new(name))
        })
        .open(|ws| {
            ws.subscribe(ROOM);
            say(ws, &format!("{} has entered the chat", ws.data()));
        })
        .message(|ws, message| say(ws, &format!("{}: {}", ws.data(), message.text())))
        .close(|ws, _, _| {
            ws.unsubscribe(ROOM);
            say(ws, &format!("{} has left the chat", ws.data()));
        })
}

fn say(ws: &Ws<String>, text: &str) {
    ws.server().publish(ROOM, text);
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| match message {
            Message::Text(text) => text.clone(),
            other => panic!("the chat sends text, not {other:?}"),
        })
        .collect()
}

fn has(client: &Client<Peer>, text: &str) -> bool {
    client.messages().iter().any(|message| matches!(message, Message::Text(found) if found == text))
}

/// The lines of each speaker, in the order in which a client got them.
fn by_speaker(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut speakers = BTreeMap::<_, Vec<_>>::new();
    for line in lines {
        if let Some((name, text)) = line.split_once(": ") {
            speakers.entry(name).or_default().push(text);
        }
    }
    speakers
}

fn run(seed: u64, workers: usize) {
    let mut random = Random::new(seed ^ 0xc4a7);
    let mut world = World::new(seed, Faults::rough(), workers, chat());
    let names: Vec<String> = (0..random.within(2..=6)).map(|i| format!("n{i}")).collect();
    let mut clients: Vec<_> = names.iter().map(|name| world.client_at(&format!("/{name}"))).collect();
    world.until(&mut clients, "everybody sees that it has entered", |clients| {
        clients.iter().zip(&names).all(|(client, name)| has(client, &format!("{name} has entered the chat")))
    });

    // Everybody speaks, in any order; the last one leaves on the way, by a close or a reset.
    let rounds = random.within(1..=15);
    let mut said = BTreeMap::<&str, Vec<String>>::new();
    for round in 0..rounds {
        for (client, name) in clients.iter_mut().zip(&names) {
            let text = format!("{round} {}", "x".repeat(random.below(300)));
            client.send_text(&text);
            said.entry(name).or_default().push(text);
        }
        if random.chance(0.3) {
            world.turn();
        }
    }
    let mut leaver = clients.pop().unwrap();
    let leaver_name = names.last().unwrap();
    if random.chance(0.5) {
        leaver.close(1000, "");
    } else {
        leaver.into_wire().reset();
    }
    let farewell = format!("{leaver_name} has left the chat");
    world.until(&mut clients, "everybody has everything from those who stay, and the farewell", |clients| {
        clients.iter().all(|client| {
            let stayers = client.messages().iter().filter(|message| {
                matches!(message, Message::Text(text) if text.contains(": ") && !text.starts_with(&format!("{leaver_name}:")))
            });
            stayers.count() >= (names.len() - 1) * rounds && has(client, &farewell)
        })
    });

    let mut first: Option<Vec<String>> = None;
    for client in &mut clients {
        let lines = texts(&client.take_messages());
        assert_eq!(lines.iter().filter(|line| **line == farewell).count(), 1, "one farewell");
        for (name, texts) in by_speaker(&lines) {
            let said = &said[name];
            if name == leaver_name {
                assert_eq!(texts, said[..texts.len()], "of the one who left, the beginning");
            } else {
                assert_eq!(texts, *said, "of the others, everything, once and in order");
            }
        }
        if workers == 1 {
            // One worker: everybody sees one and the same order of what was said.
            let spoken: Vec<String> = lines.into_iter().filter(|line| line.contains(": ")).collect();
            assert_eq!(first.get_or_insert_with(|| spoken.clone()), &spoken);
        }
    }
    world.end(clients);
}

#[test]
fn the_chat_survives_a_thousand_seeds_with_one_worker() {
    for_each_seed(1000, |seed| run(seed, 1));
}

#[test]
fn the_chat_survives_a_thousand_seeds_with_four_workers() {
    for_each_seed(1000, |seed| run(seed, 4));
}

#[test]
fn the_chat_on_real_sockets_with_one_and_with_four_workers() {
    for workers in [1, 4] {
        let server = chat().workers(workers).bind("127.0.0.1:0").unwrap().start().unwrap();
        let address = ([127, 0, 0, 1], server.port().unwrap()).into();
        let names: Vec<String> = (0..8).map(|i| format!("n{i}")).collect();
        let mut clients: Vec<real::Client> = Vec::new();
        for name in &names {
            let upgrade = tidewire_kit::client::Upgrade::to(&format!("/{name}"));
            let mut client = real::Client::connect_with(address, &upgrade);
            assert_eq!(client.next_message(), Message::Text(format!("{name} has entered the chat")));
            clients.push(client);
        }
        assert_eq!(server.subscriber_count(ROOM), 8);
        for client in &mut clients {
            (0..100).for_each(|i| client.send_text(&i.to_string()));
        }
        let expected: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        for (i, client) in clients.iter_mut().enumerate() {
            // What one publisher says keeps its order. Publishers on other workers come in any order among each other, and one
            // who has just entered may still see the entry of somebody before.
            let spoken = |message: &&Message| matches!(message, Message::Text(text) if text.contains(": "));
            client.wait_until("everything that everybody said", |client| client.messages().iter().filter(spoken).count() == 800);
            let lines = texts(&client.take_messages());
            for later in &names[i + 1..] {
                let entry = format!("{later} has entered the chat");
                assert_eq!(lines.iter().filter(|line| **line == entry).count(), 1, "{entry}");
            }
            for (name, said) in by_speaker(&lines) {
                assert_eq!(said, expected, "{name} with {workers} workers");
            }
        }
        server.stop();
        for client in &mut clients {
            assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1001));
        }
        drop(clients); // else their ends stay open until the closing deadline
        server.join().unwrap();
    }
}

//! The echo program under faults: nothing is lost, reordered or delivered twice, and every open has one close.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidewire::{Builder, Server, Upgrade};
use tidewire_contract::World;
use tidewire_kit::client::{Client, Message};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

fn echo() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) }).message(|ws, message| {
        ws.send(message);
    })
}

/// Sizes of messages: around those at which a head grows.
const SMALL: &[usize] = &[0, 1, 20, 125, 126, 700, 5000];
/// And those that go to the kernel from where they are, or are more than it is offered at once: on networks that can take them.
const LARGE: &[usize] = &[0, 1, 126, 700, 9000, 20_000, 70_000];

/// Sends some messages of random kinds and sizes, whole or in fragments with a ping between; gives what was sent.
fn talk(client: &mut Client<Peer>, random: &mut Random, sizes: &[usize]) -> Vec<Message> {
    let count = random.within(0..=12);
    (0..count).map(|_| say(client, random, sizes)).collect()
}

fn say(client: &mut Client<Peer>, random: &mut Random, sizes: &[usize]) -> Message {
    let size = *random.pick(sizes);
    if random.chance(0.5) {
        let text: String = (0..size).map(|_| *random.pick(&['a', 'é', '🌊'])).collect();
        client.send_text(&text);
        return Message::Text(text);
    }
    let bytes = random.bytes(size);
    if random.chance(0.3) {
        let (a, b) = bytes.split_at(random.within(0..=size));
        client.send_fragments(2, &[a, b"", b]);
    } else {
        client.send_binary(&bytes);
    }
    if random.chance(0.2) {
        client.ping(b"are you there?");
    }
    Message::Binary(bytes)
}

/// One seed of the program: some clients stay, some leave by a close, by a reset, or with half a frame.
fn run(seed: u64, faults: Faults, sizes: &[usize], workers: usize) {
    let mut random = Random::new(seed ^ 0x0ec0);
    let mut world = World::new(seed, faults, workers, echo());
    let mut stay: Vec<_> = (0..random.within(1..=4)).map(|_| world.client()).collect();
    let mut leave: Vec<_> = (0..random.within(0..=3)).map(|_| world.client()).collect();
    let sent: Vec<_> = stay.iter_mut().map(|client| talk(client, &mut random, sizes)).collect();
    let gone: Vec<_> = leave.iter_mut().map(|client| talk(client, &mut random, sizes)).collect();

    // Those who leave do so at a random point of the run.
    let mut patience: Vec<_> = leave.iter().map(|_| random.below(60)).collect();
    let mut left = Vec::new();
    let mut leave: Vec<_> = leave.into_iter().map(Some).collect();
    let (network, mut turn) = world.split();
    let done = network.run(tidewire_contract::LIMIT, || {
        turn();
        stay.iter_mut().for_each(|client| while client.step() {});
        for (i, place) in leave.iter_mut().enumerate() {
            let Some(client) = place else { continue };
            client.step();
            patience[i] = patience[i].saturating_sub(1);
            // A quiet world takes few steps: then they leave by the clock.
            if patience[i] == 0 || network.now() > Duration::from_secs(20) {
                left.push((i, client.take_messages()));
                go(place.take(), &mut random);
            }
        }
        let echoed = |(client, sent): (&Client<Peer>, &Vec<Message>)| client.is_open() && client.messages().len() >= sent.len();
        leave.iter().all(Option::is_none) && stay.iter().zip(&sent).all(echoed)
    });
    drop(turn);
    assert!(done, "an echo never came");
    for (client, sent) in stay.iter_mut().zip(&sent) {
        assert_eq!(&client.take_messages(), sent);
    }
    for (i, got) in left {
        assert_eq!(got, gone[i][..got.len()], "what one got who left is a part of what it sent, from the beginning");
    }
    let handlers = world.server.metrics();
    assert!(handlers.opened >= sent.len() as u64);
    world.end(stay);
}

fn go(client: Option<Client<Peer>>, random: &mut Random) {
    let Some(mut client) = client else { return };
    match random.below(4) {
        0 => client.close(1000, "bye"),
        1 => client.send_bytes(b"\x82\xfe\x10"),
        2 => return client.into_wire().reset(),
        _ => client.wire().shutdown(),
    }
    drop(client);
}

#[test]
fn echoes_survive_a_thousand_seeds_of_faults() {
    for_each_seed(1000, |seed| {
        // Some with buffers in which many messages lie at once, so that large ones follow small ones in one turn.
        let (buffer, sizes) = if seed % 3 == 0 { (8192..=200_000, LARGE) } else { (64..=8192, SMALL) };
        run(seed, Faults { buffer, ..Faults::rough() }, sizes, 1 + (seed % 2) as usize * 3);
    });
}

#[test]
fn resets_in_every_state_leave_nothing_behind() {
    // Here anybody may be cut off by the network at any time, so only the prefix is certain, and the balance.
    for_each_seed(1000, |seed| {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, Faults { reset: 0.03, ..Faults::harsh() }, 1, echo());
        let mut clients: Vec<_> = (0..random.within(1..=5)).map(|_| world.client()).collect();
        let sent: Vec<_> = clients.iter_mut().map(|client| talk(client, &mut random, SMALL)).collect();
        world.settle(&mut clients);
        for (client, sent) in clients.iter_mut().zip(&sent) {
            let got = client.take_messages();
            assert_eq!(got, sent[..got.len()]);
            if client.is_open() {
                assert_eq!(got.len(), sent.len(), "one who was not cut off has everything");
            }
        }
        world.end(clients);
    });
}

#[test]
fn handlers_are_told_of_each_open_and_each_close_once() {
    static OPENS: AtomicU64 = AtomicU64::new(0);
    static CLOSES: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    for_each_seed(300, |seed| {
        let first = OPENS.load(Ordering::Relaxed);
        CLOSES.lock().unwrap().clear();
        let builder = Server::builder()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(OPENS.fetch_add(1, Ordering::Relaxed))) })
            .close(|ws, _, _| CLOSES.lock().unwrap().push(*ws.data()));
        let mut world = World::new(seed, Faults::harsh(), 1, builder);
        let mut random = Random::new(seed);
        let mut clients: Vec<_> = (0..6).map(|_| world.client()).collect();
        world.settle(&mut clients);
        while clients.len() > 3 {
            go(clients.pop(), &mut random);
            world.settle(&mut clients);
        }
        world.end(clients);
        let mut closes = CLOSES.lock().unwrap().clone();
        closes.sort_unstable();
        assert_eq!(closes, (first..OPENS.load(Ordering::Relaxed)).collect::<Vec<_>>());
    });
}

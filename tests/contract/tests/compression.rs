//! Compression (contract 21 and 23 to 26) on the simulator, with C zlib at the other end.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::time::Duration;

use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Builder, Compress, Compressor, Deflate, Kind, SendStatus};
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_hardening::deflate::reach;
use tidewire_kit::client::frame::{CONTINUATION, FIN, PING, RSV1, TEXT, decode};
use tidewire_kit::client::{Client, Message, Upgrade, accept_for};
use tidewire_kit::sim::{Faults, Network, Peer};
use tidewire_kit::{Random, for_each_seed};

/// A client that offers compression, and is open.
fn offering(world: &mut World, parameters: &str) -> Client<Peer> {
    let client = Client::open(world.peer(), &Upgrade::to("/").deflate(parameters));
    let mut clients = [client];
    world.until(&mut clients, "an upgrade", |clients| clients[0].is_open());
    let [client] = clients;
    client
}

fn answer(client: &Client<Peer>) -> &str {
    client.response().unwrap().header("sec-websocket-extensions").unwrap_or("-")
}

/// Text as an application sends it: some of it new, most of it seen before.
fn text(size: usize, seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        text += &format!("{{\"id\":{},\"user\":\"user-{}\",\"mood\":\"größer 🌊\"}},", random.below(1 << 30), random.below(50));
    }
    let end = (0..=size).rev().find(|end| text.is_char_boundary(*end)).unwrap();
    text.truncate(end);
    text
}

/// Echoes, compressed.
fn echo(deflate: impl Into<Deflate>) -> Builder<()> {
    upgrading()
        .message(|ws, message| {
            ws.send_with(message, Compress::Yes);
        })
        .per_message_deflate(deflate)
}

#[test]
fn contract_24_what_is_answered_follows_from_the_option_and_the_offer() {
    let alone = "server_no_context_takeover; client_no_context_takeover";
    let mixed = Deflate { compress: Compressor::Shared, decompress: Compressor::Dedicated };
    let cases: [(Deflate, &str, String); 10] = [
        (false.into(), "", "-".into()),
        (true.into(), "", format!("permessage-deflate; {alone}")),
        (true.into(), "; client_max_window_bits", format!("permessage-deflate; {alone}")),
        (true.into(), "; server_max_window_bits=9", format!("permessage-deflate; {alone}; server_max_window_bits=9")),
        (Compressor::Dedicated.into(), "", "permessage-deflate".into()),
        (Compressor::Dedicated.into(), "; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8".into()),
        (Compressor::KB256.into(), "; client_max_window_bits", "permessage-deflate".into()),
        (
            Compressor::KB8.into(),
            "; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10".into(),
        ),
        (mixed, "", "permessage-deflate; server_no_context_takeover".into()),
        (Deflate { compress: Compressor::Disable, decompress: Compressor::Shared }, "", format!("permessage-deflate; {alone}")),
    ];
    for (deflate, parameters, expected) in cases {
        let mut world = World::calm(echo(deflate));
        let mut client = offering(&mut world, parameters);
        assert_eq!(answer(&client), expected, "{deflate:?} and {parameters:?}");
        // Whatever was agreed on works, and more than once.
        for number in 0..3 {
            let text = text(3000, number);
            client.send_text(&text);
            if expected != "-" {
                client.send_compressed(TEXT, text.as_bytes());
            }
            world.settle(std::slice::from_mut(&mut client));
            let count = if expected == "-" { 1 } else { 2 };
            assert_eq!(client.take_messages(), vec![Message::Text(text); count]);
            let compressed = client.take_frames().iter().filter(|frame| frame.first & RSV1 != 0).count();
            assert_eq!(compressed, if expected == "-" || deflate.compress == Compressor::Disable { 0 } else { count });
        }
    }
}

#[test]
fn contract_23_an_offer_that_is_invalid_declines_itself_and_not_the_connection() {
    for invalid in [
        "; foo",
        "; server_max_window_bits=7",
        "; server_max_window_bits",
        "; server_no_context_takeover=1",
        ";",
        "; client_max_window_bits=10; client_max_window_bits=10",
    ] {
        let mut world = World::calm(echo(Compressor::Dedicated));
        let client = offering(&mut world, invalid);
        assert_eq!(answer(&client), "-", "{invalid}");

        let second = format!(
            "{invalid}, permessage-deflate; server_max_window_bits=\"11\", permessage-deflate; server_max_window_bits=12"
        );
        let mut client = offering(&mut world, &second);
        assert_eq!(answer(&client), "permessage-deflate; server_max_window_bits=11", "{second}");
        let text = text(10_000, 1);
        client.send_compressed(TEXT, text.as_bytes());
        world.settle(std::slice::from_mut(&mut client));
        assert_eq!(client.take_messages(), [Message::Text(text)]);
    }
}

#[test]
fn contract_25_final_blocks_and_empty_messages_are_messages() {
    for deflate in [Deflate::SHARED, Deflate::DEDICATED] {
        let notes = Notes::default();
        let mut world = World::calm(noting(&notes).per_message_deflate(deflate));
        let mut client = offering(&mut world, "");
        client.send_frame(FIN | RSV1 | TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        client.send_frame(FIN | RSV1 | TEXT, b"\x00");
        client.send_frame(FIN | RSV1 | TEXT, b"");
        client.send_frame(RSV1 | TEXT, b"\xf2\x48\xcd");
        client.send_frame(FIN | PING, b"?");
        client.send_frame(CONTINUATION, b"");
        client.send_frame(FIN | CONTINUATION, b"\xc9\xc9\x07\x00");
        client.send_text("plain");
        world.settle(std::slice::from_mut(&mut client));
        assert_eq!(notes.take(), ["open", "message Hello", "message ", "message ", "message Hello", "message plain"]);
    }
}

#[test]
fn contract_25_rsv1_stands_on_the_first_frame_of_a_message_only() {
    for bad in [FIN | RSV1 | PING, RSV1 | CONTINUATION, FIN | RSV1 | 0x8, FIN | 0x20 | TEXT, FIN | 0x10 | TEXT] {
        let notes = Notes::default();
        let mut world = World::calm(noting(&notes).per_message_deflate(true));
        let mut client = offering(&mut world, "");
        if bad & 0x0F == CONTINUATION {
            client.send_frame(RSV1 | TEXT, b"\xf2\x48\xcd");
        }
        client.send_frame(bad, b"\xc9\xc9\x07\x00");
        client.send_compressed(TEXT, b"never inflated");
        world.settle(std::slice::from_mut(&mut client));
        assert_eq!(client.close_frame().unwrap().code, Some(1002), "{bad:#x}");
        assert_eq!(notes.take().len(), 2, "opened and closed, and nothing between");
    }
}

#[test]
fn contract_26_a_message_that_inflates_beyond_the_limit_is_1009_and_the_last() {
    for deflate in [Deflate::SHARED, Deflate::DEDICATED] {
        for fragments in [1, 4] {
            let notes = Notes::default();
            let mut world = World::calm(noting(&notes).per_message_deflate(deflate).max_payload_length(100_000));
            let mut client = offering(&mut world, "");
            client.send_compressed(TEXT, &[b'x'; 100_000]);
            let bomb = client.compress(&[b'y'; 10_000_000]);
            for (index, piece) in bomb.chunks(bomb.len().div_ceil(fragments)).enumerate() {
                let first = if index == 0 { RSV1 | TEXT } else { CONTINUATION };
                client.send_frame(first | if index + 1 == fragments { FIN } else { 0 }, piece);
            }
            client.send_text("late");
            world.settle(std::slice::from_mut(&mut client));
            assert_eq!(client.close_frame().unwrap().code, Some(1009));
            let notes = notes.take();
            assert_eq!(notes.len(), 3, "{:?}", notes.last());
            assert_eq!(notes[2], "close 1006 message is too big");
        }
    }
}

#[test]
fn what_is_compressed_is_what_was_asked_for_and_gets_smaller() {
    let builder = upgrading()
        .open(|ws| {
            ws.subscribe("t");
        })
        .message(|ws, message| {
            let noise: Vec<u8> = Random::new(5).bytes(500);
            ws.send(&message);
            ws.send_with(&message, Compress::Yes);
            ws.send_with(&message, Compress::No);
            ws.publish("t", &message);
            ws.publish_with("t", &message, Compress::Yes);
            ws.server().publish("t", &message);
            ws.server().publish_with("t", &message, Compress::No);
            ws.send_with(noise, Compress::Yes);
        })
        .publish_to_self(true)
        .per_message_deflate(true)
        .options(|options| options.compression_threshold = 100);
    let mut world = World::calm(builder);
    let mut client = offering(&mut world, "");
    for (size, expected) in [(99, [false; 8]), (100, [false, true, false, false, true, true, false, false])] {
        client.send_text(&"a".repeat(size));
        world.settle(std::slice::from_mut(&mut client));
        let compressed: Vec<_> = client.take_frames().iter().map(|frame| frame.first & RSV1 != 0).collect();
        assert_eq!(compressed, expected, "{size}");
        assert_eq!(client.take_messages().len(), 8);
    }
}

#[test]
fn contract_21_a_publish_is_compressed_once_for_each_window() {
    let offers = ["", "; server_max_window_bits=12", "; server_max_window_bits=10"];
    for (deflate, size, forms) in [(Deflate::SHARED, 5000, 3), (Deflate::DEDICATED, 5000, 3), (Deflate::SHARED, 1024, 1)] {
        let builder = upgrading().open(|ws| {
            ws.subscribe("t");
        });
        let mut world = World::calm(builder.per_message_deflate(deflate));
        let mut clients: Vec<_> = (0..500)
            .map(|number| match number % 4 {
                3 => world.client(),
                setting => Client::open(world.peer(), &Upgrade::to("/").deflate(offers[setting])),
            })
            .collect();
        world.until(&mut clients, "500 upgrades", |clients| clients.iter().all(Client::is_open));
        let before = world.server.metrics();
        let texts = [text(size, 1), text(size, 2), text(size, 3)];
        for text in &texts {
            let server = world.server.clone();
            assert_eq!(world.workers[0].enter(|| server.publish("t", text)), SendStatus::Sent(text.len()));
        }
        world.settle(&mut clients);
        let after = world.server.metrics();
        assert_eq!(after.compressions - before.compressions, 3 * forms, "once for each form, and not for each of 375");
        assert_eq!(after.publish_copies - before.publish_copies, 3 * (forms + 1), "and once as it is");
        assert_eq!(after.messages_out_compressed - before.messages_out_compressed, 3 * 375);
        for client in &mut clients {
            assert_eq!(client.take_messages(), texts.clone().map(Message::Text));
        }
    }
}

/// The window in bits that an answer holds the server to.
fn window(answer: &str) -> u32 {
    let parameter = answer.split("server_max_window_bits=").nth(1);
    parameter.map_or(15, |value| value.split(';').next().unwrap().trim().parse().unwrap())
}

#[test]
fn contract_24_no_message_refers_farther_back_than_the_window_that_was_agreed_on() {
    for compressor in [Compressor::Shared, Compressor::Dedicated, Compressor::KB3, Compressor::KB16, Compressor::KB128] {
        let builder = upgrading()
            .open(|ws| {
                ws.subscribe("t");
            })
            .message(|ws, message| {
                ws.send_with(&message, Compress::Yes);
                ws.server().publish("t", &message);
                ws.send_with(&message, Compress::Yes);
                ws.send_with(&message, Compress::Yes);
            });
        let mut world = World::calm(builder.per_message_deflate(compressor));
        for bits in 8..=15 {
            let mut client = offering(&mut world, &format!("; server_max_window_bits={bits}"));
            let answer = answer(&client).to_owned();
            let (agreed, alone) = (1_usize << window(&answer), answer.contains("server_no_context_takeover"));
            assert!(agreed <= 1 << bits, "{answer}");
            let mut farthest = 0;
            for period in [agreed / 2, agreed * 9 / 10, agreed - 3, agreed, agreed + 1] {
                let payload = Random::new(period as u64).bytes(period).repeat(2);
                client.send_binary(&payload);
                world.settle(std::slice::from_mut(&mut client));
                assert_eq!(client.take_messages(), vec![Message::Binary(payload); 4]);
                let frames = client.take_frames();
                // A publish stands by itself, and behind one that was compressed a context begins anew.
                let restarts = if frames[1].first & RSV1 == 0 { 1..=1 } else { 1..=2 };
                for (number, frame) in frames.iter().enumerate() {
                    // What gets no smaller goes as it is, unless it has touched a context.
                    if frame.first & RSV1 == 0 {
                        continue;
                    }
                    let reach = reach(&frame.payload);
                    let of = format!("{reach:?} of {answer}, {compressor:?}, period {period}, message {number}");
                    assert!(reach.distance <= agreed, "{of}");
                    assert!(!alone && !restarts.contains(&number) || reach.before == 0, "{of}");
                    farthest = farthest.max(reach.distance);
                }
            }
            // zlib keeps 262 bytes short of its window, which is one of 512 bytes for those of 256 and of 512.
            assert!(farthest > agreed / 3 || agreed <= 512, "the window is used: {farthest} of {answer}, {compressor:?}");
        }
    }
}

#[test]
fn contract_21_a_dedicated_context_is_right_after_a_publish() {
    let builder = upgrading()
        .open(|ws| {
            ws.subscribe("t");
        })
        .message(|ws, message| {
            // Its own context, then what all get, then its own again: twice in one turn.
            for _ in 0..2 {
                ws.send_with(&message, Compress::Yes);
                ws.server().publish("t", &message);
                ws.send_with(&message, Compress::Yes);
                ws.send_with(&message, Compress::Yes);
            }
        });
    let mut world = World::calm(builder.per_message_deflate(Compressor::Dedicated));
    let mut client = offering(&mut world, "");
    for size in [200, 3000, 40_000, 100] {
        let text = text(size, size as u64);
        client.send_compressed(TEXT, text.as_bytes());
        world.settle(std::slice::from_mut(&mut client));
        assert_eq!(client.take_messages(), vec![Message::Text(text); 8]);
        let lengths: Vec<_> = client.take_frames().iter().map(|frame| frame.payload.len()).collect();
        assert!(size > 32_768 || lengths[3] < lengths[2] / 2, "the context is kept where it may be: {lengths:?}");
    }
}

#[test]
fn what_has_touched_a_context_is_sent_even_if_it_grew() {
    let mut world = World::calm(echo(Compressor::Dedicated));
    let mut client = offering(&mut world, "");
    let noise = Random::new(3).bytes(500);
    for _ in 0..3 {
        client.send_binary(&noise);
    }
    world.settle(std::slice::from_mut(&mut client));
    assert_eq!(client.take_messages(), vec![Message::Binary(noise); 3]);
    let frames: Vec<_> = client.take_frames().iter().map(|frame| (frame.first & RSV1 != 0, frame.payload.len())).collect();
    assert!(frames[0].0 && frames[0].1 > 500, "noise does not get smaller: {frames:?}");
    assert!(frames[1].1 < 20 && frames[2].1 < 20, "but it is known from then on: {frames:?}");
}

/// What a client sends to have it sent back, or published: how, by whom, the how-manieth, and more text.
struct Order {
    kind: Kind,
    body: String,
}

impl Order {
    fn draw(random: &mut Random, sender: usize, number: usize) -> Self {
        let how = random.pick(&["send", "Send", "publish", "Publish", "all", "All"]);
        let size = *random.pick(&[0, 10, 100, 500, 3000, 20_000]);
        let kind = if random.chance(0.5) { Kind::Text } else { Kind::Binary };
        Self { kind, body: format!("{how} {sender} {number} {}", text(size, random.bits() % 8)) }
    }

    /// Words with a capital ask for compression.
    fn carry_out(ws: &tidewire::Ws<()>, message: tidewire::Message<'_>) {
        let text = message.text().into_owned();
        let how = text.split(' ').next().unwrap();
        let compress = Compress::from(how.starts_with(char::is_uppercase));
        match how.to_lowercase().as_str() {
            "send" => ws.send_with(message, compress),
            "publish" => ws.publish_with("t", message, compress),
            _ => ws.server().publish_with("t", message, compress),
        };
    }

    fn is_public(&self) -> bool {
        !self.body.to_lowercase().starts_with("send")
    }

    fn message(&self) -> Message {
        match self.kind {
            Kind::Text => Message::Text(self.body.clone()),
            Kind::Binary => Message::Binary(self.body.clone().into_bytes()),
        }
    }

    fn give(&self, client: &mut Client<Peer>, random: &mut Random) {
        let opcode = if self.kind == Kind::Text { TEXT } else { 2 };
        let bytes = self.body.as_bytes();
        let compressed = client.response().unwrap().header("sec-websocket-extensions").is_some() && random.chance(0.7);
        let (first, payload) = match compressed {
            true => (RSV1 | opcode, client.compress(bytes)),
            false => (opcode, bytes.to_vec()),
        };
        if random.chance(0.5) {
            return client.send_frame(FIN | first, &payload);
        }
        let (a, b) = payload.split_at(random.within(0..=payload.len()));
        client.send_frame(first, a);
        client.ping(b"between");
        client.send_frame(FIN | CONTINUATION, b);
    }
}

/// The sender that a message names.
fn sender(message: &Message) -> usize {
    let text = match message {
        Message::Text(text) => text.clone(),
        Message::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Message::Compressed(..) => panic!("it was decompressed"),
    };
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

const DEFLATES: [Deflate; 7] = [
    Deflate::SHARED,
    Deflate::DEDICATED,
    Deflate { compress: Compressor::Shared, decompress: Compressor::Dedicated },
    Deflate { compress: Compressor::Dedicated, decompress: Compressor::Shared },
    Deflate { compress: Compressor::KB3, decompress: Compressor::KB3 },
    Deflate { compress: Compressor::KB32, decompress: Compressor::KB16 },
    Deflate { compress: Compressor::Disable, decompress: Compressor::Dedicated },
];

const OFFERS: [&str; 7] = [
    "",
    "; client_max_window_bits",
    "; server_max_window_bits=9",
    "; server_max_window_bits=8; server_no_context_takeover",
    "; client_no_context_takeover; server_max_window_bits=12",
    "; client_max_window_bits=11; server_max_window_bits=10",
    "; server_no_context_takeover; client_no_context_takeover",
];

fn room(random: &mut Random) -> Builder<()> {
    let deflate = *random.pick(&DEFLATES);
    upgrading()
        .open(|ws| {
            ws.subscribe("t");
        })
        .message(Order::carry_out)
        .publish_to_self(true)
        // A network of tiny buffers may take minutes for a message, and no ping gets past it.
        .idle_timeout(Duration::ZERO)
        .per_message_deflate(deflate)
}

/// Clients with all kinds of offers, and some without.
fn crowd(world: &mut World, random: &mut Random, count: usize) -> Vec<Client<Peer>> {
    let mut clients: Vec<_> = (0..count)
        .map(|_| match random.chance(0.2) {
            true => world.client(),
            false => Client::open(world.peer(), &Upgrade::to("/").deflate(OFFERS[random.below(OFFERS.len())])),
        })
        .collect();
    world.until(&mut clients, "the upgrades", |clients| clients.iter().all(Client::is_open));
    clients
}

/// One seed: everybody gets what concerns him, right and in the order of each sender.
fn everybody_understands(seed: u64, faults: Faults, workers: usize) {
    let mut random = Random::new(seed ^ 0x7692);
    let builder = room(&mut random).backpressure_limit(usize::MAX);
    let mut world = World::new(seed, faults, workers, builder);
    let mut clients = crowd(&mut world, &mut random, 4);
    let mut orders: Vec<Vec<Order>> = clients.iter().map(|_| Vec::new()).collect();
    for _ in 0..random.within(1..=12) {
        let who = random.below(clients.len());
        let order = Order::draw(&mut random, who, orders[who].len());
        order.give(&mut clients[who], &mut random);
        orders[who].push(order);
        if random.chance(0.3) {
            world.turn();
        }
    }
    let due = |me: usize, from: usize| orders[from].iter().filter(move |order| me == from || order.is_public());
    let counts: Vec<usize> = (0..4).map(|me| (0..4).map(|from| due(me, from).count()).sum()).collect();
    world.until(&mut clients, "all messages", |clients| {
        clients.iter().zip(&counts).all(|(client, count)| client.messages().len() >= *count)
    });
    world.settle(&mut clients);
    for (me, client) in clients.iter_mut().enumerate() {
        let got = client.take_messages();
        assert_eq!(got.len(), counts[me]);
        for from in 0..4 {
            let from_him: Vec<_> = got.iter().filter(|message| sender(message) == from).collect();
            assert!(due(me, from).map(Order::message).eq(from_him.into_iter().cloned()), "what {me} got from {from}");
        }
    }
}

#[test]
fn everybody_understands_everything_whatever_was_agreed_on() {
    for_each_seed(300, |seed| everybody_understands(seed, Faults::none(), 1));
}

#[test]
fn everybody_understands_everything_under_faults_and_with_several_workers() {
    let faults = Faults { reset: 0.0, ..Faults::rough() };
    for_each_seed(150, |seed| everybody_understands(seed, faults.clone(), 1 + seed as usize % 3));
}

#[test]
fn what_is_dropped_leaves_contexts_right() {
    // A tiny limit and buffers of a few bytes: most is dropped, and what arrives is still right.
    let mut dropped = 0;
    for_each_seed(100, |seed| {
        let mut random = Random::new(seed ^ 0xd70b);
        let faults = Faults { buffer: 64..=2048, ..Faults::none() };
        let mut world = World::new(seed, faults, 1, room(&mut random).backpressure_limit(500));
        let mut clients = crowd(&mut world, &mut random, 3);
        let mut all = Vec::new();
        for number in 0..20 {
            let who = random.below(clients.len());
            let order = Order::draw(&mut random, who, number);
            order.give(&mut clients[who], &mut random);
            all.push(order.message());
            if random.chance(0.5) {
                world.settle(&mut clients);
            }
        }
        world.settle(&mut clients);
        dropped += world.server.metrics().dropped_backpressure;
        for client in &mut clients {
            assert!(client.is_open());
            for message in client.take_messages() {
                assert!(all.contains(&message), "a message that nobody sent");
            }
        }
    });
    assert!(dropped > 100, "{dropped} were dropped");
}

/// Our client and our server on one network: gives what the client's handlers were told.
fn ours(seed: u64, client: Deflate, server: Deflate, texts: &[String]) -> Vec<String> {
    let network = Network::new(seed, Faults::rough());
    let (_server, mut workers) = echo(server).embed(vec![Box::new(network.io())]);
    let endpoint = workers[0].listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default()).unwrap();
    let (notes, sent, count) = (Notes::default(), texts.to_vec(), texts.len());
    let (message, close, error) = (notes.clone(), notes.clone(), notes.clone());
    let client = tidewire::Client::builder()
        .open(move |ws| sent.iter().for_each(|text| assert!(!ws.send_with(text, Compress::Yes).is_dropped())))
        .message(move |ws, text| {
            message.add(text.to_string());
            if message.all().len() == count {
                ws.close(1000, "").unwrap();
            }
        })
        .error(move |_, why| error.add(why.to_string()))
        .close(move |_, code, _| close.add(format!("close {code}")))
        .per_message_deflate(client)
        .at([endpoint])
        .embed(Box::new(network.io()), "ws://a/")
        .unwrap();
    workers.push(client);
    let ended = || notes.all().last().is_some_and(|note| note.starts_with("close"));
    assert!(network.run(tidewire_contract::LIMIT, || {
        workers.iter_mut().for_each(|worker| worker.turn(None).unwrap());
        ended()
    }));
    notes.take()
}

#[test]
fn our_client_and_our_server_understand_each_other_whatever_each_wants() {
    for_each_seed(100, |seed| {
        let mut random = Random::new(seed ^ 0xc11e);
        let (client, server) = (*random.pick(&DEFLATES), *random.pick(&DEFLATES));
        let texts: Vec<_> = (0..10).map(|number| text(*random.pick(&[0, 70, 900, 9000]), number % 4)).collect();
        let told = ours(seed, client, server, &texts);
        assert_eq!(told[..texts.len()], texts, "{client:?} and {server:?}");
        assert_eq!(told[texts.len()..], ["close 1000"]);
    });
}

/// A client meets a server that gives this answer and nothing more; it goes on until what the client has sent since is enough.
fn answered(client: tidewire::Client, answer: &str, mut enough: impl FnMut(&[u8]) -> bool) {
    let network = Network::new(0, Faults::none());
    let mut listener = network.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let mut worker = client.at([listener.local().clone()]).embed(Box::new(network.io()), "ws://a/").unwrap();
    let (mut peer, mut received, mut answered) = (None, Vec::new(), false);
    network.run(tidewire_contract::LIMIT, || {
        worker.turn(None).unwrap();
        let Some(peer) = &mut peer else {
            peer = listener.accept().ok();
            return false;
        };
        received.extend(peer.read());
        if !answered && received.ends_with(b"\r\n\r\n") {
            let request = String::from_utf8(std::mem::take(&mut received)).unwrap();
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let head = "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
            peer.write(format!("{head}{}\r\nSec-WebSocket-Extensions: {answer}\r\n\r\n", accept_for(key)).as_bytes());
            answered = true;
        }
        enough(if answered { &received } else { &[] })
    });
}

#[test]
fn contract_24_no_message_of_a_client_refers_farther_back_either() {
    for (bits, alone) in (8..=15).flat_map(|bits| [(bits, false), (bits, true)]) {
        let window = 1_usize << bits;
        let periods = [window / 2, window * 9 / 10, window - 3, window, window + 1];
        let payloads = periods.map(|period| Random::new(period as u64).bytes(period).repeat(2));
        let client = tidewire::Client::builder().per_message_deflate(Compressor::Dedicated).open(move |ws| {
            for payload in &payloads {
                ws.send_with(payload, Compress::Yes);
            }
        });
        let takeover = if alone { "; client_no_context_takeover" } else { "" };
        let answer = format!("permessage-deflate; client_max_window_bits={bits}{takeover}");
        answered(client, &answer, |mut received| {
            let mut frames = Vec::new();
            while let Some((frame, len)) = decode(received) {
                frames.push(frame);
                received = &received[len..];
            }
            if frames.len() < periods.len() {
                return false;
            }
            let reaches = frames.iter().filter(|frame| frame.first & RSV1 != 0).map(|frame| reach(&frame.payload));
            let reaches: Vec<_> = reaches.collect();
            assert!(reaches.iter().all(|reach| reach.distance <= window), "{reaches:?} of {answer}");
            assert!(!alone || reaches.iter().all(|reach| reach.before == 0), "{reaches:?} of {answer}");
            assert!(bits < 10 || reaches.iter().any(|reach| reach.distance > window / 3), "{reaches:?} of {answer}");
            true
        });
    }
}

#[test]
fn contract_29_a_client_refuses_an_answer_that_does_not_fit_its_offer() {
    let answers = [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; foo",
        "foo",
    ];
    for (number, answer) in answers.into_iter().chain(["permessage-deflate"]).enumerate() {
        let notes = Notes::default();
        let (open, error, close) = (notes.clone(), notes.clone(), notes.clone());
        let client = tidewire::Client::builder()
            .open(move |_| open.add("open"))
            .error(move |_, why| error.add(why.to_string()))
            .close(move |_, code, _| close.add(format!("close {code}")));
        // The last answer is right but for that nothing was offered.
        let client = if number < answers.len() { client.per_message_deflate(Compressor::Dedicated) } else { client };
        answered(client, answer, |_| notes.has("close 1006"));
        let told = notes.take();
        assert_eq!((told.len(), told.last().map(String::as_str)), (2, Some("close 1006")), "{answer}: {told:?}");
        assert!(told[0].contains("extension") || told[0].contains("permessage-deflate"), "{answer}: {told:?}");
    }
}

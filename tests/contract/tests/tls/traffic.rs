//! What flows through TLS: all of it, in order, at any split; with backpressure as in the clear; and its ends.

use std::sync::Mutex;
use std::time::Duration;

use tidewire::{SendStatus, Server, Upgrade};
use tidewire_contract::World;
use tidewire_kit::client::{self, Arrival, Ended, Message, Wire};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::tls::{TLS_1_2, TLS_1_3, Terms, Tls};
use tidewire_kit::{Random, for_each_seed};

use super::{AUTHORITY, Secured, connect, echo, localhost, rest, versions, wire};

/// Sends some messages; gives what was sent.
fn talk(client: &mut Secured, random: &mut Random) -> Vec<Message> {
    let count = random.within(0..=12);
    (0..count)
        .map(|_| {
            let size = *random.pick(&[0, 1, 20, 126, 700, 5000, 20_000]);
            // A record costs 22 bytes or more, and these networks are slow.
            let small = if size <= 20 { 1 } else { 100 };
            let piece = *random.pick(&[small, 1000, 20_000]);
            client.wire().set_piece(piece);
            let bytes = random.bytes(size);
            client.send_binary(&bytes);
            Message::Binary(bytes)
        })
        .collect()
}

fn terms(random: &mut Random) -> Terms {
    let version = *random.pick(&[TLS_1_2, TLS_1_3]);
    Terms::new(&AUTHORITY, &[version], None).records(*random.pick(&[64, 500, 16_384]))
}

#[test]
fn nothing_is_lost_or_reordered_over_many_seeds_of_faults() {
    for_each_seed(300, |seed| {
        let mut random = Random::new(seed ^ 0x715);
        // The network may hold a handshake up for longer than servers have patience.
        let builder = echo().options(|options| options.head_timeout = Duration::from_secs(600));
        let faults = Faults { buffer: 500..=8192, ..Faults::rough() };
        let mut world = World::new(seed, faults, 1 + (seed % 2) as usize * 3, builder);
        let mut clients: Vec<_> = (0..random.within(1..=4)).map(|_| connect(&world, &terms(&mut random))).collect();
        // The requests and the frames behind them are under way before the handshake is made.
        let sent: Vec<_> = clients.iter_mut().map(|client| talk(client, &mut random)).collect();
        world.until(&mut clients, "the echoes", |clients| {
            clients.iter().zip(&sent).all(|(client, sent)| client.is_open() && client.messages().len() >= sent.len())
        });
        for (client, sent) in clients.iter_mut().zip(&sent) {
            assert_eq!(&client.take_messages(), sent);
        }
        world.end_with(clients);
    });
}

#[test]
fn resets_in_every_state_leave_nothing_behind() {
    for_each_seed(300, |seed| {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, Faults { reset: 0.03, ..Faults::harsh() }, 1, echo());
        let mut clients: Vec<_> = (0..random.within(1..=5)).map(|_| connect(&world, &terms(&mut random))).collect();
        let sent: Vec<_> = clients.iter_mut().map(|client| talk(client, &mut random)).collect();
        world.settle_with(&mut clients);
        for (client, sent) in clients.iter_mut().zip(&sent) {
            let got = client.take_messages();
            assert_eq!(got, sent[..got.len()]);
            if client.is_open() {
                assert_eq!(got.len(), sent.len(), "one who was not cut off has everything");
            }
        }
        world.end_with(clients);
    });
}

/// A request for an upgrade and a message behind it, as bytes.
fn upgrade_and_frame() -> Vec<u8> {
    let mut bytes = client::Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ==");
    bytes.extend_from_slice(b"\x81\x85\x00\x00\x00\x00early");
    bytes
}

/// What comes back: the 101, and the message.
fn answered(world: &mut World, wire: &mut Tls<Peer>) -> bool {
    let mut all = Vec::new();
    world.run(|| {
        if let Arrival::Bytes(bytes) = wire.receive() {
            all.extend(bytes);
        }
        all.starts_with(b"HTTP/1.1 101 ") && all.ends_with(b"\r\n\r\n\x81\x05early")
    })
}

#[test]
fn frames_behind_the_upgrade_are_delivered_from_one_record_and_from_records_split_anywhere() {
    let bytes = upgrade_and_frame();
    for terms in versions() {
        for cut in 0..=bytes.len() {
            let mut world = World::calm(echo());
            let mut wire = wire(&world, terms);
            let (first, second) = bytes.split_at(cut);
            wire.send(first);
            wire.send(second);
            assert!(answered(&mut world, &mut wire), "cut at {cut}");
        }
    }
}

#[test]
fn a_record_may_come_in_two_parts_cut_anywhere() {
    let bytes = upgrade_and_frame();
    for terms in versions() {
        for cut in 0..bytes.len() + 22 {
            let mut world = World::calm(echo());
            let mut wire = wire(&world, terms);
            assert!(world.run(|| wire.receive() != Arrival::Nothing || wire.is_established()));
            let record = wire.seal(&bytes);
            let (first, second) = record.split_at(cut);
            wire.wire().write(first);
            rest(&mut world);
            wire.wire().write(second);
            assert!(answered(&mut world, &mut wire), "cut at {cut}");
        }
    }
}

#[test]
fn records_of_one_byte_arrive() {
    for terms in versions() {
        let mut world = World::calm(echo());
        let mut wire = wire(&world, terms);
        wire.set_piece(1);
        wire.send(&upgrade_and_frame());
        assert!(answered(&mut world, &mut wire));
        assert_eq!(world.server.metrics().opened, 1);
    }
}

#[test]
fn what_is_sent_in_a_turn_leaves_in_one_send() {
    for terms in versions() {
        let mut world = World::calm(echo());
        let mut clients = [connect(&world, terms)];
        world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
        world.settle_with(&mut clients);
        // Twenty messages in one record, twenty echoes in one record.
        let frames: Vec<u8> = (0..20).flat_map(|i| [0x82, 0x81, 0, 0, 0, 0, i]).collect();
        let before = world.network.calls();
        clients[0].send_bytes(&frames);
        world.until(&mut clients, "the echoes", |clients| clients[0].messages().len() == 20);
        assert_eq!((world.network.calls() - before).sends, 1);
        // A Close and the end of TLS as well.
        let before = world.network.calls();
        clients[0].close(1000, "");
        world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
        assert_eq!((world.network.calls() - before).sends, 1);
        assert!(clients[0].wire().is_ended(), "the end is said inside TLS");
        assert_eq!(clients[0].close_frame().map(|close| close.code), Some(Some(1000)));
    }
}

/// What handlers saw of a stall.
#[derive(Debug, Default)]
struct Stall {
    statuses: Vec<SendStatus>,
    drains: usize,
    buffered_at_drain: Vec<usize>,
}

#[test]
fn backpressure_is_told_counted_and_drained_as_in_the_clear() {
    const SIZE: usize = 10_000;
    for terms in versions() {
        static STALL: Mutex<Option<Stall>> = Mutex::new(None);
        *STALL.lock().unwrap() = Some(Stall::default());
        let builder = Server::builder().tls(localhost()).unwrap().backpressure_limit(300_000);
        let builder = builder
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .message(|ws, _| {
                // Until the peer's window, ours and the limit are full.
                loop {
                    let status = ws.send(vec![7; SIZE]);
                    STALL.lock().unwrap().as_mut().unwrap().statuses.push(status);
                    if status.is_dropped() {
                        return;
                    }
                }
            })
            .drain(|ws| {
                let mut stall = STALL.lock().unwrap();
                let stall = stall.as_mut().unwrap();
                stall.drains += 1;
                stall.buffered_at_drain.push(ws.buffered_amount());
            });
        let mut world = World::new(1, Faults { buffer: 8192..=8192, ..Faults::none() }, 1, builder);
        let mut clients = [connect(&world, terms)];
        world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
        clients[0].send_text("go");
        // The client does not read.
        rest(&mut world);
        let queued = || world.workers[0].sockets().map(|socket| socket.buffered_amount()).sum::<usize>();
        let sent = {
            let stall = STALL.lock().unwrap();
            let statuses = &stall.as_ref().unwrap().statuses;
            assert!(statuses.contains(&SendStatus::Backpressure));
            assert!(matches!(statuses.last(), Some(SendStatus::Dropped)));
            statuses.len() - 1
        };
        // After the last answer the kernel has taken one more buffer.
        assert!((300_000 - 2 * 8192..300_000 + 2 * SIZE).contains(&queued()), "{} bytes are queued", queued());
        // Now it reads, a little at a time.
        let mut last = queued();
        let (network, workers) = (world.network.clone(), &mut world.workers);
        let done = network.run(Duration::from_secs(60), || {
            workers.iter_mut().for_each(|worker| worker.turn(None).unwrap());
            let now = workers[0].sockets().map(|socket| socket.buffered_amount()).sum::<usize>();
            assert!(now <= last, "what is buffered rises from {last} to {now} while it drains");
            last = now;
            clients[0].step();
            clients[0].messages().len() == sent
        });
        assert!(done, "{} of {sent} came", clients[0].messages().len());
        world.settle_with(&mut clients);
        let stall = STALL.lock().unwrap().take().unwrap();
        assert_eq!((stall.drains, stall.buffered_at_drain), (1, vec![0]));
        world.end_with(Vec::from(clients));
    }
}

#[test]
fn large_messages_pass_in_both_directions() {
    for terms in versions() {
        let mut world = World::new(3, Faults { buffer: 4000..=4000, ..Faults::none() }, 1, echo());
        let mut clients = [connect(&world, terms)];
        let message = Random::new(1).bytes(1 << 20);
        clients[0].send_binary(&message);
        world.until(&mut clients, "the echo", |clients| !clients[0].messages().is_empty());
        assert_eq!(clients[0].take_messages(), [Message::Binary(message)]);
        world.end_with(Vec::from(clients));
    }
}

#[test]
fn keys_are_updated_on_the_way() {
    let mut world = World::calm(echo());
    let mut clients = [connect(&world, &super::CLIENT_1_3)];
    world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
    for round in 0..20 {
        clients[0].wire().update_keys();
        clients[0].send_text(&format!("{round}"));
        // Several updates before one answer as well.
        if round % 3 == 0 {
            world.settle_with(&mut clients);
        }
    }
    world.until(&mut clients, "the echoes", |clients| clients[0].messages().len() == 20);
    clients[0].wire().update_keys();
    clients[0].close(1000, "");
    world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
    assert!(clients[0].wire().is_ended());
    assert_eq!(clients[0].wire().failed(), None);
}

#[test]
fn the_end_of_a_peer_is_its_close_notify_or_the_end_of_its_stream() {
    static CLOSES: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    for terms in versions() {
        for says_so in [true, false] {
            CLOSES.lock().unwrap().clear();
            let builder = echo().close(|_, code, _| CLOSES.lock().unwrap().push(code));
            let mut world = World::calm(builder);
            let mut clients = [connect(&world, terms)];
            world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
            clients[0].send_text("last words");
            if says_so {
                clients[0].wire().close_notify();
            } else {
                clients[0].wire().wire().shutdown();
            }
            world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
            assert_eq!(clients[0].take_messages(), [Message::Text("last words".into())]);
            assert_eq!(clients[0].ended(), Some(Ended::Fin));
            assert!(clients[0].wire().is_ended(), "it is told, even if it did not tell");
            assert_eq!(*CLOSES.lock().unwrap(), [1006]);
            world.end_with(Vec::from(clients));
        }
    }
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection_and_what_was_right_is_delivered() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    for terms in versions() {
        SEEN.lock().unwrap().clear();
        let builder = Server::builder::<()>().tls(localhost()).unwrap();
        let builder = builder
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
            .message(|_, message| SEEN.lock().unwrap().push(message.text().into_owned()))
            .close(|_, code, _| SEEN.lock().unwrap().push(code.to_string()));
        let mut world = World::calm(builder);
        let mut clients = [connect(&world, terms)];
        world.until(&mut clients, "the upgrade", |clients| clients[0].is_open());
        let right = clients[0].wire().seal(b"\x81\x82\x00\x00\x00\x00ok");
        let mut wrong = clients[0].wire().seal(b"\x81\x82\x00\x00\x00\x00no");
        *wrong.last_mut().unwrap() ^= 1;
        clients[0].wire().wire().write(&[right, wrong].concat());
        world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
        assert_eq!(*SEEN.lock().unwrap(), ["ok", "1006"]);
        let failed = clients[0].wire().failed().map(ToString::to_string).unwrap_or_default();
        assert!(failed.contains("BadRecordMac"), "the client is told by an alert: {failed}");
        assert_eq!(world.server.metrics().tls_errors, 1);
        world.end_with(Vec::from(clients));
    }
}

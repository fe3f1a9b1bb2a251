//! Rows 7, 9, 21, 22 and 24: what is said at the end, peers that flood, are too many, do not read, or are not there.

use std::cell::RefCell;
use std::time::Duration;

use tidewire::{Builder, SocketError, Ws};
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_kit::client::frame::{self, FIN, Length, PING};
use tidewire_kit::client::{Client, Message, Upgrade};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    static KEPT: RefCell<Option<Ws<()>>> = const { RefCell::new(None) };
}

/// Keeps the socket that opens first.
fn keeping(builder: Builder<()>) -> Builder<()> {
    builder.open(|ws| {
        KEPT.with_borrow_mut(|kept| {
            kept.get_or_insert_with(|| ws.clone());
        })
    })
}

fn kept() -> Ws<()> {
    KEPT.with_borrow(|kept| kept.clone()).expect("a socket has opened")
}

#[test]
fn row_07_a_reason_is_text_that_fits_or_nothing_is_sent() {
    let mut world = World::calm(keeping(upgrading()));
    let mut clients = vec![world.opened()];
    let (long, wide) = ("x".repeat(124), "\u{20ac}".repeat(42));
    for reason in [&*long, &*wide] {
        let refused = kept().close(1000, reason);
        assert!(matches!(refused, Err(SocketError::Usage(_))), "{} bytes", reason.len());
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
        assert!(kept().close(code, "").is_err(), "{code}");
    }
    world.settle(&mut clients);
    assert!(clients[0].is_open() && clients[0].frames().is_empty(), "nothing was sent");
    // 123 bytes, and not one of them another: what is sent is what was given.
    let whole = "\u{20ac}".repeat(41);
    kept().close(4999, &whole).expect("it fits");
    world.settle(&mut clients);
    let close = clients[0].close_frame().expect("a Close has come");
    assert_eq!((close.code, &*close.reason), (Some(4999), &*whole));
    KEPT.take();
    world.end(clients);
}

#[test]
fn row_14_a_close_that_came_before_ours_is_found_though_open_has_closed_or_paused() {
    let masked = |first: u8, payload: &[u8]| frame::encode(first, Length::Minimal, Some([1, 2, 3, 4]), payload);
    let early = [masked(FIN | 0x1, b"early"), masked(FIN | 0x8, b"\x03\xe8bye")].concat();
    let upgrade = Upgrade::to("/").bytes("dGhlIHNhbXBsZSBub25jZQ==");
    for pauses in [false, true] {
        // All of it with the request; or cut within a frame, so that what is kept and what comes later belong together.
        for cut in 0..=early.len() {
            let builder = upgrading().message(|_, text| panic!("{text} came to a socket that is closed"));
            let mut world = World::calm(builder.open(move |ws| {
                if pauses {
                    ws.pause();
                }
                ws.close(4000, "first").expect("it may be sent");
            }));
            let mut peer = world.peer();
            peer.write(&[&upgrade, &early[..cut]].concat());
            world.settle(&mut []);
            peer.write(&early[cut..]);
            world.settle(&mut []);
            // Both have closed, so the server ends its direction, and waits for nobody's deadline.
            peer.read();
            assert!(peer.is_at_end(), "cut at {cut}, {pauses}");
            assert_eq!(world.network.now(), Duration::ZERO);
            peer.shutdown();
            world.end(Vec::new());
        }
    }
}

/// A ping that a client sends, with a number as its payload.
fn ping(number: u32) -> Vec<u8> {
    let payload = [&number.to_be_bytes()[..], &[7; 121]].concat();
    frame::encode(FIN | PING, Length::Minimal, Some([1, 2, 3, 4]), &payload)
}

#[test]
fn row_09_pongs_of_a_flood_are_coalesced_and_what_waits_is_bounded() {
    const FLOOD: u32 = 100_000;
    let builder = keeping(upgrading().options(|options| options.max_pings_per_second = u32::MAX));
    let mut world = World::calm(builder);
    let mut peer = world.opened().into_wire();
    let mut most = 0;
    for first in (0..FLOOD).step_by(1000) {
        let pings: Vec<u8> = (first..first + 1000).flat_map(ping).collect();
        peer.write(&pings);
        world.settle(&mut []);
        most = most.max(kept().buffered_amount());
    }
    assert_eq!(peer.under_way(), 0, "all of them were taken in");
    assert!(most > 0 && most <= 64 * 1024 + 127, "{most} bytes wait");
    // Once it reads, the last that it gets answers its last ping.
    let mut received = Vec::new();
    world.run(|| {
        received.extend(peer.read());
        received.ends_with(&[7; 121])
            && received.len() > most
            && received[received.len() - 125..][..4] == (FLOOD - 1).to_be_bytes()
    });
    let mut answers = Vec::new();
    let mut at = 0;
    while let Some((frame, taken)) = frame::decode(&received[at..]) {
        answers.push(u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes")));
        at += taken;
    }
    assert_eq!(answers.last(), Some(&(FLOOD - 1)));
    assert!(answers.is_sorted() && answers.len() < 2000, "{} answers", answers.len());
    KEPT.take();
    drop(peer);
    world.end(Vec::new());
}

#[test]
fn row_09_by_default_a_flood_of_pings_ends_the_connection() {
    let notes = Notes::default();
    let mut world = World::calm(noting(&notes));
    let mut client = world.opened();
    let flood: Vec<u8> = (0..100_000).flat_map(ping).collect();
    client.send_bytes(&flood);
    world.settle(&mut []);
    assert_eq!(notes.all(), ["open", "close 1006 too many pings in one second"]);
    assert_eq!(world.server.metrics().closed_pings, 1);
    drop(client);
    world.end(Vec::new());
}

#[test]
fn row_21_descriptors_that_run_out_pause_accepting_and_nobody_else_notices() {
    for_each_seed(500, |seed| {
        let mut world = World::new(seed, Faults::none(), 1 + (seed % 2) as usize * 2, noting(&Notes::default()));
        let mut clients: Vec<_> = (0..3).map(|_| world.opened()).collect();
        world.network.limit_descriptors(world.network.open_sockets());
        let late: Vec<_> = (0..5).map(|_| world.client()).collect();
        clients.extend(late);
        let start = world.network.now();
        for number in 0..20 {
            // A message in each quarter of a second: answered at once, as before.
            clients[..3].iter_mut().for_each(|client| client.ping(&[number]));
            world.settle(&mut clients);
            assert!(clients[..3].iter_mut().all(|client| client.take_frames().len() == 1), "the established do not notice");
            world.pass(SECOND / 4, &mut clients);
        }
        let seconds = (world.network.now() - start).as_secs();
        let pauses = world.server.metrics().accept_pauses;
        let workers = world.workers.len() as u64;
        assert!((1..=workers * (seconds + 2)).contains(&pauses), "{pauses} pauses in {seconds} seconds");
        assert!(clients[3..].iter().all(|client| client.response().is_none()), "nobody was let in");
        // One goes: one comes. All may come: all do.
        clients.remove(0).into_wire().reset();
        world.until(&mut clients, "room for one", |clients| clients.iter().filter(|client| client.is_open()).count() == 3);
        world.network.limit_descriptors(usize::MAX);
        world.until(&mut clients, "room for all", |clients| clients.iter().all(Client::is_open));
        assert!(world.network.now() - start <= 12 * SECOND);
        world.end(clients);
    });
}

#[test]
fn row_22_a_subscriber_that_does_not_read_holds_up_nobody_and_is_dropped_from_exactly() {
    const OTHERS: usize = 10_000;
    const LIMIT: usize = 8 * 1024;
    const PUBLISHES: u64 = 80;
    let payload = [b'p'; 200];
    let builder = upgrading().backpressure_limit(LIMIT).open(|ws| {
        ws.subscribe("all");
        KEPT.with_borrow_mut(|kept| {
            kept.get_or_insert_with(|| ws.clone());
        });
    });
    let mut world = World::new(1, Faults { buffer: 1024..=1024, ..Faults::none() }, 1, builder);
    let mut deaf = world.opened().into_wire();
    let mut others: Vec<Client<Peer>> = (0..OTHERS).map(|_| world.client()).collect();
    world.until(&mut others, "everybody", |clients| clients.iter().all(Client::is_open));

    let mut sends_per_publish = Vec::new();
    for number in 0..PUBLISHES {
        let (now, sends) = (world.network.now(), world.network.calls().sends);
        world.server.publish("all", payload);
        world.turn();
        sends_per_publish.push(world.network.calls().sends - sends);
        // In the turn of the publish itself, and in no time, all others have it.
        assert_eq!(world.network.now(), now);
        for client in &mut others {
            while client.step() {}
            let came = client.take_messages();
            assert!(matches!(&came[..], [Message::Binary(bytes)] if bytes[..] == payload), "publish {number}: {came:?}");
            client.take_frames();
        }
        let waits = kept().buffered_amount();
        assert!(waits <= LIMIT + payload.len() + 4, "{waits} bytes wait");
    }
    // The work for the others is the same, whether one is deaf or not: one call for each.
    assert!(sends_per_publish.iter().all(|sends| (OTHERS as u64..=OTHERS as u64 + 2).contains(sends)), "{sends_per_publish:?}");

    // What was dropped and what comes, once it reads again, are all that was published.
    let metrics = world.server.metrics();
    let mut received = Vec::new();
    world.run(|| {
        received.extend(deaf.read());
        kept().buffered_amount() == 0 && deaf.unread() == 0
    });
    received.extend(deaf.read());
    let (mut came, mut at) = (0, 0);
    while let Some((frame, taken)) = frame::decode(&received[at..]) {
        assert_eq!(frame.payload, payload);
        (came, at) = (came + 1, at + taken);
    }
    assert_eq!(at, received.len(), "no message came in part");
    assert!(metrics.dropped_backpressure > 0 && came >= 40);
    assert_eq!(came + metrics.dropped_backpressure, PUBLISHES);
    KEPT.take();
    drop(deaf);
    world.end(others);
}

/// The ways in which a peer can be there no more: silent, in the middle of something, with and without something that waits for it.
fn vanish(client: &mut Client<Peer>, way: usize) {
    match way {
        0 => {}
        1 => client.send_bytes(b"\x81"),
        2 => client.send_bytes(b"\x81\xfe\x01\x00\x01\x02\x03\x04abc"),
        3 => client.send_frame(0x01, b"a fragment"),
        _ => client.send_text("send me a lot"),
    }
}

#[test]
fn row_24_a_peer_that_is_not_there_is_noticed_within_the_idle_timeout_and_four_seconds() {
    for_each_seed(500, |seed| {
        let mut random = Random::new(seed);
        let idle = *random.pick(&[1, 2, 8, 9, 30, 120, 960]);
        let (way, pings) = (random.below(5), random.chance(0.5));
        let notes = Notes::default();
        let builder = noting(&notes).idle_timeout(idle * SECOND).send_pings(pings).message(|ws, _| {
            ws.send("x".repeat(500_000));
        });
        let mut world = World::new(seed, Faults { buffer: 1000..=5000, ..Faults::none() }, 1, builder);
        let mut client = world.opened();
        let lived = Duration::from_millis(random.below(900 * idle as usize) as u64);
        world.pass(lived, std::slice::from_mut(&mut client));
        vanish(&mut client, way);
        world.settle(&mut []);
        // Nothing moves any more, in either direction: no end, no reset, no answer.
        let mut gone = client.into_wire();
        gone.stall(1_000_000 * SECOND);
        let (start, timeout) = (world.network.now(), Duration::from_secs(u64::from(idle)));
        assert!(world.run(|| notes.has("close 1006 WebSocket timed out from inactivity")));
        let noticed = world.network.now() - start;
        let silent = if way == 0 { noticed + lived } else { noticed };
        assert!(silent >= timeout && noticed <= timeout + 4 * SECOND, "way {way}, pings {pings}, {timeout:?}: {noticed:?}");
        assert_eq!((world.workers[0].population(), world.network.open_sockets()), ((0, 0), 1));
        drop(gone);
        world.end(Vec::new());
    });
}

#[test]
fn row_24_a_peer_that_vanishes_before_it_is_open_or_while_it_closes_is_noticed_too() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhl";
    for bytes in [&b""[..], b"G", head] {
        let mut world = World::calm(upgrading());
        let mut peer = world.peer();
        peer.write(bytes);
        world.settle(&mut []);
        peer.stall(1_000_000 * SECOND);
        let network = world.network.clone();
        assert!(world.run(|| network.open_sockets() == 1));
        assert!(world.network.now() <= 12 * SECOND, "noticed after {:?}", world.network.now());
        drop(peer);
        world.end(Vec::new());
    }
    for closes_first in [false, true] {
        let notes = Notes::default();
        let mut world = World::calm(noting(&notes).message(|ws, _| ws.close(1000, "").expect("it may be sent")));
        let mut client = world.opened();
        if closes_first {
            client.send_close(b"");
        } else {
            client.send_text("close");
        }
        world.settle(&mut []);
        let (start, network) = (world.network.now(), world.network.clone());
        client.wire().stall(1_000_000 * SECOND);
        assert!(world.run(|| network.open_sockets() == 1));
        assert!(world.network.now() - start <= 7 * SECOND);
        assert_eq!(notes.all().len(), 2, "{:?}", notes.all());
        drop(client);
        world.end(Vec::new());
    }
}

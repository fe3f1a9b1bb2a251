//! The contract's behaviours 10 to 18: callbacks and sending. Each test has the number of its behaviour.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidewire::{Body, Builder, Response, SendStatus, SocketError, Upgrade, Ws};
use tidewire_contract::{Notes, World, noting, texts, upgrading};
use tidewire_kit::client::frame::{BINARY, CLOSE, FIN, Length, PING, PONG, TEXT, encode};
use tidewire_kit::client::{Client, Ended, Message};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

thread_local! {
    /// The one socket of this test. A test has its thread to itself.
    static SOCKET: RefCell<Option<Ws<()>>> = const { RefCell::new(None) };
}

fn keeping(builder: Builder<()>) -> Builder<()> {
    builder.open(|ws| SOCKET.set(Some(ws.clone())))
}

fn kept() -> Ws<()> {
    SOCKET.with_borrow(Clone::clone).unwrap()
}

#[test]
fn c10_open_runs_inside_upgrade_and_close_inside_close() {
    let notes = Notes::default();
    let (fetch, message) = (notes.clone(), notes.clone());
    let builder = noting(&notes)
        .fetch(move |req, server| {
            let notes = fetch.clone();
            async move {
                notes.add("before upgrade");
                let upgraded = server.upgrade(&req, Upgrade::new(()));
                notes.add("after upgrade");
                upgraded
            }
        })
        .message(move |ws, _| {
            message.add("before close");
            ws.close(4321, "done").unwrap();
            message.add("after close");
        });
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    clients[0].send_text("close");
    world.settle(&mut clients);
    let expected = ["before upgrade", "open", "after upgrade", "before close", "close 4321 done", "after close"];
    assert_eq!(notes.all(), expected);
    world.end(clients);
}

#[test]
fn c11_after_its_close_a_handler_gets_nothing_whatever_the_network_does() {
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let inner = notes.clone();
        let mut world = World::new(
            seed,
            Faults::rough(),
            1,
            noting(&notes).message(move |ws, text| {
                inner.add(format!("message {text}"));
                if text.text() == "end" {
                    if seed % 2 == 0 { ws.terminate() } else { ws.close(1000, "").unwrap() }
                }
            }),
        );
        let before = Random::new(seed).below(10);
        let mut clients = vec![world.client()];
        (0..before).for_each(|i| clients[0].send_text(&i.to_string()));
        clients[0].send_text("end");
        (0..10).for_each(|_| {
            clients[0].send_text("late");
            clients[0].ping(b"late");
        });
        world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
        let mut expected: Vec<String> = (0..before).map(|i| format!("message {i}")).collect();
        expected.insert(0, "open".into());
        expected.extend(["message end".into(), if seed % 2 == 0 { "close 1006" } else { "close 1000" }.into()]);
        assert_eq!(notes.all(), expected);
        world.end(clients);
    });
}

#[test]
fn c12_what_met_backpressure_arrives_and_drain_follows_once_per_stall() {
    let stalls = Cell::new(0);
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let inner = notes.clone();
        // Every batch is sent inside the drain of the one before: a stall there must get its drain too.
        let batch = move |ws: &Ws<()>, notes: &Notes| {
            let mut stalled = false;
            for _ in 0..3 {
                let number = notes.all().iter().filter(|note| note.starts_with("sent")).count();
                let status = ws.send(format!("{number} {}", "x".repeat(9000)));
                assert!(!status.is_dropped());
                stalled |= status == SendStatus::Backpressure;
                notes.add(format!("sent {number}"));
            }
            notes.add(if stalled { "stalled" } else { "took all" });
        };
        let first = notes.clone();
        let builder = upgrading().message(move |ws, _| batch(ws, &first)).drain(move |ws| {
            inner.add("drain");
            if inner.count("drain") < 5 {
                batch(ws, &inner);
            }
        });
        let mut world = World::new(seed, Faults { buffer: 500..=40_000, ..Faults::rough() }, 1, builder);
        let mut clients = vec![world.opened()];
        clients[0].send_text("go");
        world.settle(&mut clients);
        let notes = notes.all();
        let sent = notes.iter().filter(|note| note.starts_with("sent")).count();
        let numbers: Vec<usize> = clients[0].take_messages().iter().map(number).collect();
        assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "everything arrived, in order");
        let told: Vec<_> = notes.iter().filter(|note| !note.starts_with("sent")).map(String::as_str).collect();
        for pair in told.chunks(2) {
            match pair {
                ["stalled", "drain"] | ["took all"] | ["drain"] => {}
                other => panic!("a stall has one drain, and nothing else has one: {other:?} of {told:?}"),
            }
        }
        let count = |what: &str| told.iter().filter(|note| **note == what).count();
        assert_eq!(count("drain"), count("stalled"));
        stalls.set(stalls.get() + count("stalled"));
        world.end(clients);
    });
    assert!(stalls.get() > 100 || std::env::var_os("TIDEWIRE_SEED").is_some(), "{} stalls", stalls.get());
}

fn number(message: &Message) -> usize {
    let Message::Text(text) = message else { panic!("text was sent") };
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn c12_over_the_limit_a_send_is_dropped_and_what_was_admitted_arrives() {
    let mut world =
        World::new(7, Faults { buffer: 1000..=1000, ..Faults::none() }, 1, keeping(upgrading()).backpressure_limit(5000));
    let mut clients = vec![world.opened()];
    let ws = kept();
    let statuses: Vec<_> = (0..20).map(|i| ws.send(format!("{i} {}", "x".repeat(996)))).collect();
    world.turn();
    let admitted: Vec<usize> = (0..20).filter(|&i| !statuses[i].is_dropped()).collect();
    assert!(admitted.len() > 5 && admitted.len() < 12, "{statuses:?}");
    assert_eq!(world.server.metrics().dropped_backpressure, 20 - admitted.len() as u64);
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages().iter().map(number).collect::<Vec<_>>(), admitted);
    // One message larger than the limit still goes.
    assert!(!ws.send("y".repeat(50_000)).is_dropped());
    assert!(ws.send("after it").is_dropped());
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages(), texts(["y".repeat(50_000)]));
    SOCKET.take();
    drop(ws);
    world.end(clients);
}

#[test]
fn c12_close_on_backpressure_limit_cuts_the_peer_off() {
    let notes = Notes::default();
    let builder = noting(&notes)
        .message(|ws, _| {
            (0..20).for_each(|_| {
                ws.send("x".repeat(1000));
            });
        })
        .backpressure_limit(5000)
        .close_on_backpressure_limit(true);
    let mut world = World::new(7, Faults { buffer: 1000..=1000, ..Faults::none() }, 1, builder);
    let mut clients = vec![world.opened()];
    clients[0].send_text("go");
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["open", "close 1006"]);
    assert!(clients[0].ended().is_some());
    assert_eq!(world.server.metrics().closed_backpressure, 1);
    world.end(clients);
}

#[test]
fn c13_the_buffered_amount_is_exact_and_never_rises_while_draining() {
    for_each_seed(1000, |seed| {
        // A client that takes longer than the idle timeout to read this all has said nothing meanwhile.
        let builder = keeping(upgrading()).idle_timeout(Duration::ZERO);
        let mut world = World::new(seed, Faults { buffer: 200..=3000, ..Faults::rough() }, 1, builder);
        let mut client = world.opened();
        world.settle(std::slice::from_mut(&mut client));
        let ws = kept();
        assert_eq!(ws.buffered_amount(), 0);
        let mut random = Random::new(seed);
        let (before, mut framed, mut refused) = (world.network.calls().bytes_sent, 0, false);
        for _ in 0..20 {
            let size = *random.pick(&[0, 1, 125, 126, 1000, 9000, 66_000]);
            refused |= ws.send(vec![1; size]) == SendStatus::Backpressure;
            framed += match size {
                0..126 => 2 + size,
                126..65536 => 4 + size,
                _ => 10 + size,
            };
            let taken = (world.network.calls().bytes_sent - before) as usize;
            // As in Bun, what the kernel has not been offered does not count.
            let expected = if refused { framed - taken } else { 0 };
            assert_eq!(ws.buffered_amount(), expected, "frame heads included, and only what the kernel has refused");
        }
        ws.flush();
        let mut last = ws.buffered_amount();
        let (network, workers) = (&world.network, &mut world.workers);
        network.settle(|| {
            workers[0].turn(None).unwrap();
            client.step();
            let now = ws.buffered_amount();
            assert!(now <= last, "{now} after {last}");
            assert_eq!(now, framed - (network.calls().bytes_sent - before) as usize);
            last = now;
        });
        assert_eq!((last, client.messages().len()), (0, 20));
        SOCKET.take();
        drop(ws);
        world.end(vec![client]);
    });
}

#[test]
fn c14_a_protocol_failure_is_said_on_the_wire_and_told_as_1006_with_its_reason() {
    let masked = |first: u8, payload: &[u8]| encode(first, Length::Minimal, Some([1, 2, 3, 4]), payload);
    let cases = [
        (1002, encode(FIN | TEXT, Length::Minimal, None, b"unmasked")),
        (1002, masked(FIN | 0x3, b"reserved opcode")),
        (1002, masked(FIN | 0x40 | TEXT, b"reserved bit")),
        (1002, masked(FIN, b"a continuation of nothing")),
        (1002, masked(PING, b"a fragmented ping")),
        (1002, masked(FIN | PING, &[0; 126])),
        (1002, masked(FIN | CLOSE, b"\x03")),
        (1002, masked(FIN | CLOSE, b"\x03\xee")), // 1006 is never on the wire
        (1007, masked(FIN | TEXT, b"\xff\xfe")),
        (1007, masked(FIN | CLOSE, b"\x03\xe8\xff")),
        (1009, masked(FIN | BINARY, &[0; 2000])),
        (1009, encode(FIN | BINARY, Length::Claimed(1 << 40), Some([0; 4]), b"")),
    ];
    for (code, bytes) in cases {
        let notes = Notes::default();
        let mut world = World::calm(noting(&notes).max_payload_length(1000));
        let mut clients = vec![world.opened()];
        clients[0].send_text("before");
        clients[0].send_bytes(&bytes);
        clients[0].send_text("after");
        world.settle(&mut clients);
        let close = clients[0].close_frame().cloned().unwrap_or_else(|| panic!("no close frame for {bytes:?}"));
        assert_eq!(close.code, Some(code), "{bytes:?}");
        assert!(!close.reason.is_empty());
        assert_eq!(notes.all(), ["open", "message before", &*format!("close 1006 {}", close.reason)]);
        assert_eq!(world.server.metrics().peer_errors, 1);
        world.end(clients);
    }
}

#[test]
fn c15_closes_are_answered_as_they_came() {
    let reason = "geschlossen: 終";
    let cases: [(Vec<u8>, Option<u16>, String); 7] = [
        (Vec::new(), None, "close 1005".into()),
        (1000_u16.to_be_bytes().into(), Some(1000), "close 1000".into()),
        ([&1001_u16.to_be_bytes(), reason.as_bytes()].concat(), Some(1001), format!("close 1001 {reason}")),
        (1011_u16.to_be_bytes().into(), Some(1011), "close 1011".into()),
        (3000_u16.to_be_bytes().into(), Some(3000), "close 3000".into()),
        (4999_u16.to_be_bytes().into(), Some(4999), "close 4999".into()),
        ([&4000_u16.to_be_bytes(), "x".repeat(123).as_bytes()].concat(), Some(4000), format!("close 4000 {}", "x".repeat(123))),
    ];
    for_each_seed(1000, |seed| {
        for (payload, answer, told) in &cases {
            let notes = Notes::default();
            let mut world = World::new(seed, Faults::rough(), 1, noting(&notes));
            let mut clients = vec![world.opened()];
            clients[0].send_close(payload);
            world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
            assert_eq!(clients[0].ended(), Some(Ended::Fin));
            let close = clients[0].close_frame().unwrap();
            assert_eq!(close.code, *answer, "an empty one is answered empty, a code by itself");
            if let Some(code) = close.code {
                assert_eq!(format!("close {code} {}", close.reason).trim_end(), told, "a reason by itself");
            }
            assert_eq!(notes.all(), ["open", told]);
            world.end(clients);
        }
    });
}

#[test]
fn c16_close_refuses_what_may_not_be_sent_and_sends_nothing() {
    let notes = Notes::default();
    let mut world = World::calm(keeping(noting(&notes)));
    let mut clients = vec![world.opened()];
    let ws = kept();
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        assert!(matches!(ws.close(code, ""), Err(SocketError::Usage(_))), "{code}");
    }
    assert!(ws.close(1000, &"x".repeat(124)).is_err());
    assert!(ws.close(1000, &"é".repeat(62)).is_err(), "124 bytes in 62 characters");
    assert!(ws.ping(&[0; 126]).is_err());
    assert!(ws.pong(&[0; 126]).is_err());
    let before = world.network.calls().sends;
    world.settle(&mut clients);
    assert_eq!(world.network.calls().sends, before);
    assert!(clients[0].is_open());
    assert_eq!(notes.all(), [""; 0]);
    ws.close(4999, &"x".repeat(123)).unwrap();
    world.settle(&mut clients);
    assert_eq!(clients[0].close_frame().unwrap().code, Some(4999));
    SOCKET.take();
    drop(ws);
    world.end(clients);
}

/// The payloads of the pongs that a client got.
fn pongs(client: &mut Client<Peer>) -> Vec<Vec<u8>> {
    client.take_frames().into_iter().filter(|frame| frame.opcode() == PONG).map(|frame| frame.payload).collect()
}

#[test]
fn c17_pings_are_answered_and_handlers_see_the_data() {
    let notes = Notes::default();
    let (pings, got) = (notes.clone(), notes.clone());
    let builder = upgrading()
        .ping(move |ws, data| {
            pings.add(format!("ping {data:?}"));
            ws.ping(b"and you?").unwrap();
        })
        .pong(move |_, data| got.add(format!("pong {}", String::from_utf8_lossy(data))));
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    clients[0].ping(b"\x00\xff");
    world.settle(&mut clients);
    assert_eq!(pongs(&mut clients[0]), [b"\x00\xff"]);
    assert_eq!(notes.all(), ["ping [0, 255]", "pong and you?"]);
    world.end(clients);
}

#[test]
fn c17_a_flood_of_pings_from_a_peer_that_does_not_read_stays_bounded() {
    for_each_seed(100, |seed| {
        let mut world = World::new(seed, Faults { buffer: 500..=1000, ..Faults::rough() }, 1, keeping(upgrading()));
        let mut client = world.opened();
        let ws = kept();
        for i in 0..2000_u32 {
            client.ping(&i.to_be_bytes().repeat(25));
            if i % 50 == 0 {
                world.settle(&mut []);
                assert!(ws.buffered_amount() <= 2 * 64 * 1024, "{} bytes wait", ws.buffered_amount());
            }
        }
        world.settle(&mut []);
        assert!(ws.buffered_amount() > 0, "the peer does not read");
        let mut clients = vec![client];
        world.settle(&mut clients);
        let pongs = pongs(&mut clients[0]);
        assert!(pongs.len() < 1500, "{} pongs: behind the stall only the latest is answered", pongs.len());
        assert_eq!(pongs.last().unwrap(), &1999_u32.to_be_bytes().repeat(25));
        SOCKET.take();
        drop(ws);
        world.end(clients);
    });
}

#[test]
fn c17_a_pong_that_waits_goes_before_the_close_and_never_after_it() {
    // Fast enough for the closing deadline.
    let faults = Faults { buffer: 2000..=8000, delay: Duration::ZERO..=Duration::from_millis(1), stall: 0.0, ..Faults::rough() };
    for_each_seed(1000, |seed| {
        let mut world = World::new(seed, faults.clone(), 1, keeping(upgrading()));
        let mut client = world.opened();
        let ws = kept();
        while ws.send("x".repeat(100)) != SendStatus::Backpressure {}
        client.ping(b"are you there?");
        world.settle(&mut []);
        ws.close(1000, "").unwrap();
        let mut clients = vec![client];
        // The client refuses any frame after a Close by itself.
        world.until(&mut clients, "the end", |clients| clients[0].ended().is_some());
        assert_eq!(pongs(&mut clients[0]), [b"are you there?"]);
        SOCKET.take();
        drop(ws);
        world.end(clients);
    });
}

/// One that behaves, beside one whose handlers panic; all of `panicking`'s panics end there.
fn with_a_bystander(builder: Builder<()>, provoke: impl FnOnce(&mut World, &mut Vec<Client<Peer>>)) {
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    provoke(&mut world, &mut clients);
    clients[0].send_text("still here?");
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages(), texts(["still here?"]), "the bystander has not noticed");
    world.end(clients);
}

/// Echoes; what is asked for at `/fail` fails there.
fn fragile() -> Builder<()> {
    upgrading().message(|ws, text| {
        assert!(text.text() != "fail", "on purpose");
        ws.send(text);
    })
}

#[test]
fn c18_a_handler_that_panics_is_closed_with_1011_or_asks_the_error_handler() {
    with_a_bystander(fragile(), |world, clients| {
        clients.push(world.opened());
        clients[1].send_text("fail");
        world.settle(clients);
        assert_eq!(clients[1].close_frame().unwrap().code, Some(1011));
        assert_eq!(world.server.metrics().panics, 1);
    });
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = fragile().error(move |ws, panic| {
        inner.add(panic.message());
        ws.send("sorry");
    });
    with_a_bystander(builder, |world, clients| {
        clients.push(world.opened());
        clients[1].send_text("fail");
        clients[1].send_text("go on");
        world.settle(clients);
        assert_eq!(clients[1].take_messages(), texts(["sorry", "go on"]), "the error handler decides");
    });
    assert_eq!(notes.all(), ["on purpose"]);
}

#[test]
fn c18_an_error_handler_that_panics_too_cuts_its_own_socket_off() {
    with_a_bystander(fragile().error(|_, _| panic!("twice")), |world, clients| {
        clients.push(world.opened());
        clients[1].send_text("fail");
        world.settle(clients);
        assert_eq!((clients[1].ended(), clients[1].close_frame()), (Some(Ended::Fin), None));
    });
}

#[test]
fn c18_panics_of_open_close_ping_and_drain_end_at_their_socket() {
    let builder = fragile()
        .open(|ws| assert!(ws.server().metrics().opened == 1, "on purpose"))
        .close(|_, code, _| assert!(code == 1001, "on purpose"))
        .ping(|_, _| panic!("on purpose"));
    with_a_bystander(builder, |world, clients| {
        clients.push(world.client());
        world.settle(clients);
        assert_eq!(clients[1].close_frame().unwrap().code, Some(1011));
        // `open` panicked, and the `close` that followed it.
        assert_eq!(world.server.metrics().panics, 2);
    });
}

/// Refuses everything but `/`, each in its own way.
fn failing_fetch() -> Builder<()> {
    fragile().fetch(|req, server| async move {
        match req.uri().path() {
            "/" => Ok(server.upgrade(&req, Upgrade::new(()))),
            "/panic" => panic!("on purpose"),
            _ => Err(tidewire::server::FetchError::from("failed")),
        }
    })
}

#[test]
fn c18_a_fetch_that_panics_or_fails_is_answered_500_without_detail() {
    with_a_bystander(failing_fetch(), |world, _| {
        for path in ["/panic", "/error"] {
            let response = world.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            assert_eq!(response.status, 500);
            assert!(!response.text().contains("on purpose") && !response.text().contains("failed"), "{}", response.text());
        }
    });
    let builder = failing_fetch().fetch_error(|error| Response::new(Body::from(format!("sorry: {error}"))));
    with_a_bystander(builder, |world, _| {
        let response = world.ask(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((response.status, response.text()), (200, "sorry: a handler panicked: on purpose"));
    });
}

#[test]
fn c18_an_error_handler_of_fetch_that_panics_is_answered_500() {
    with_a_bystander(failing_fetch().fetch_error(|_| panic!("twice")), |world, _| {
        assert_eq!(world.ask(b"GET /error HTTP/1.1\r\nHost: a\r\n\r\n").status, 500);
    });
}

#[test]
fn c18_a_spawned_future_that_panics_ends_alone() {
    let builder = fragile().open(|ws| ws.spawn(async { panic!("on purpose") }));
    with_a_bystander(builder, |world, clients| {
        clients.push(world.opened());
        clients[1].send_text("me too");
        world.settle(clients);
        assert_eq!(clients[1].take_messages(), texts(["me too"]));
    });
}

#[test]
fn c18_a_body_whose_stream_panics_ends_its_response_alone() {
    struct Failing(bool);
    impl http_body::Body for Failing {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            assert!(!std::mem::replace(&mut self.0, true), "on purpose");
            Poll::Ready(Some(Ok(http_body::Frame::data("begun".into()))))
        }
    }
    let builder = fragile().fetch(|req, server| async move {
        if req.uri().path() == "/" {
            return Ok(server.upgrade(&req, Upgrade::new(())));
        }
        Err(Response::new(Body::stream(Failing(false))))
    });
    with_a_bystander(builder, |world, _| {
        let mut peer = world.peer();
        peer.write(b"GET /body HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut received = Vec::new();
        assert!(world.run(|| {
            received.extend(peer.read());
            peer.is_at_end() || peer.is_reset()
        }));
        let received = String::from_utf8(received).unwrap();
        assert!(!received.ends_with("0\r\n\r\n"), "it is not passed off as whole: {received:?}");
    });
}

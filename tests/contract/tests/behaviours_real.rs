//! The main behaviours once more on real sockets, with one worker and with four: the kernel agrees with the simulator.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use tidewire::sys::{Endpoint, ListenOptions, Readiness};
use tidewire::{SendStatus, Server, Upgrade, Ws};
use tidewire_contract::{Notes, noting, texts, upgrading, with_workers};
use tidewire_kit::client::{Ended, Upgrade as Offer, Wire};
use tidewire_kit::real::{Client, Connection, request, wait_until};

#[test]
fn c02_c03_c09_a_handshake_is_judged_and_answered() {
    let build =
        || Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(()).header("x-mine", "1")) });
    with_workers(build, |address, _| {
        let ask = |version: &str, key: &str| {
            let head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
            request(address, format!("{head}Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n\r\n").as_bytes())
        };
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!((ask("13", key).status, ask("13", "short").status, ask("8", key).status), (101, 400, 426));
        assert_eq!(ask("13", key).header("x-mine"), Some("1"));
    });
}

#[test]
fn c07_c08_the_protocol_is_chosen_and_early_frames_come_after_open() {
    let notes = Notes::default();
    with_workers(
        || noting(&notes),
        |address, _| {
            notes.take();
            let offer = Offer::to("/").header("Sec-WebSocket-Protocol", "a, b");
            let mut client = Client::open(Connection::tcp(address).unwrap(), &offer);
            client.send_text("early");
            client.wait_until("the upgrade", |client| client.response().is_some());
            assert_eq!(client.response().unwrap().header("sec-websocket-protocol"), Some("a"));
            wait_until("the early frame", || notes.has("message early"));
            assert_eq!(notes.all(), ["open", "message early"]);
        },
    );
}

#[test]
fn c11_a_handler_that_closes_its_socket_gets_nothing_more() {
    let notes = Notes::default();
    let build = || {
        let inner = notes.clone();
        noting(&notes).message(move |ws, text| {
            inner.add(format!("message {text}"));
            ws.close(4000, "enough").unwrap();
        })
    };
    with_workers(build, |address, _| {
        notes.take();
        let mut client = Client::connect(address);
        (0..10).for_each(|i| client.send_text(&i.to_string()));
        assert_eq!(client.wait_ended().and_then(|close| close.code), Some(4000));
        assert_eq!(client.ended(), Some(Ended::Fin));
        assert_eq!(notes.all(), ["open", "message 0", "close 4000 enough"]);
    });
}

#[test]
fn c12_what_met_backpressure_arrives_and_is_drained_once() {
    let notes = Notes::default();
    let build = || {
        let inner = notes.clone();
        upgrading()
            .message(|ws, _| {
                // More than any socket's buffers take at once, in pieces of a number each.
                let mut number = 0_u32;
                let mut payload = vec![0; 100_000];
                while ws.send(&payload) != SendStatus::Backpressure {
                    number += 1;
                    payload[..4].copy_from_slice(&number.to_be_bytes());
                    assert!(number < 1000, "the kernel takes 100 MB");
                }
                ws.send("the end");
            })
            .drain(move |ws| {
                inner.add("drain");
                ws.send("drained");
            })
            .backpressure_limit(10_000_000)
    };
    with_workers(build, |address, _| {
        notes.take();
        let mut client = Client::connect(address);
        client.send_text("go");
        client.wait_until("the drain", |client| client.messages().last() == Some(&texts(["drained"])[0]));
        let mut messages = client.take_messages();
        assert_eq!(messages.split_off(messages.len() - 2), texts(["the end", "drained"]));
        for (number, message) in messages.iter().enumerate() {
            let tidewire_kit::client::Message::Binary(bytes) = message else { panic!("binary was sent") };
            assert_eq!((bytes.len(), &bytes[..4]), (100_000, &(number as u32).to_be_bytes()[..]));
        }
        assert_eq!(notes.all(), ["drain"]);
    });
}

#[test]
fn c14_c15_c17_failures_closes_and_pings_are_answered() {
    let notes = Notes::default();
    with_workers(
        || noting(&notes),
        |address, _| {
            notes.take();
            let mut broken = Client::connect(address);
            broken.send_bytes(b"\x81\x01x");
            let close = broken.wait_ended().unwrap();
            assert_eq!(close.code, Some(1002));
            wait_until("the close", || notes.has(&format!("close 1006 {}", close.reason)));

            let mut polite = Client::connect(address);
            polite.ping(b"are you there?");
            polite.wait_until("the pong", |client| client.frames().iter().any(|frame| frame.payload == b"are you there?"));
            polite.send_close(b"");
            assert_eq!(polite.wait_ended().unwrap().code, None);
            wait_until("the close", || notes.has("close 1005"));
        },
    );
}

#[test]
fn c18_a_panic_ends_at_its_socket() {
    let build = || {
        upgrading().message(|ws, text| {
            assert!(text.text() != "fail", "on purpose");
            ws.send(text);
        })
    };
    with_workers(build, |address, _| {
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
        clients[0].send_text("fail");
        assert_eq!(clients[0].wait_ended().and_then(|close| close.code), Some(1011));
        for client in &mut clients[1..] {
            client.send_text("still here?");
            assert_eq!([client.next_message()], *texts(["still here?"]));
        }
    });
}

#[test]
fn c19_c20_c22_topics_reach_everybody_in_order_and_are_counted() {
    let build = || {
        upgrading()
            .open(|ws| {
                ws.subscribe("room");
                ws.send("welcome");
            })
            .message(|ws, text| {
                ws.publish("room", text);
            })
    };
    with_workers(build, |address, server| {
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
        clients.iter_mut().for_each(|client| assert_eq!([client.next_message()], *texts(["welcome"])));
        assert_eq!(server.subscriber_count("room"), 8);
        (0..200).for_each(|i| clients[0].send_text(&i.to_string()));
        for client in &mut clients[1..] {
            assert_eq!(client.next_messages(200), texts((0..200).map(|i| i.to_string())));
        }
        // From a thread of nobody's, to all workers.
        assert_eq!(server.publish("room", "to all"), SendStatus::Sent(6));
        for client in &mut clients {
            assert_eq!([client.next_message()], *texts(["to all"]), "and the sender had none of its own");
        }
        for left in (0..8).rev() {
            drop(clients.pop());
            wait_until("the count", || server.subscriber_count("room") == left);
        }
    });
}

#[test]
fn c27_stop_says_1001_and_the_port_is_free_again() {
    for workers in [1, 4] {
        let server = upgrading().workers(workers).bind("127.0.0.1:0").unwrap().start().unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], server.port().unwrap()).into();
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
        server.stop();
        for client in &mut clients {
            assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1001));
        }
        drop(clients);
        server.join().unwrap();
        assert!(Connection::tcp(address).is_err(), "nobody listens");
        let again = upgrading().workers(workers).bind(address).unwrap().start().unwrap();
        let _ = Client::connect(address);
        again.stop_within(Duration::ZERO);
        again.join().unwrap();
    }
}

#[test]
fn c27_reload_changes_the_handlers_of_open_sockets_on_all_workers() {
    let build = || {
        upgrading().message(|ws, _| {
            ws.send("old");
        })
    };
    with_workers(build, |address, server| {
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.send_text("who?");
            assert_eq!([client.next_message()], *texts(["old"]));
        }
        server.reload(upgrading().message(|ws, _| {
            ws.send("new");
        }));
        // A reload comes by each worker's mailbox, before anything that is sent there later.
        for client in &mut clients {
            client.send_text("who?");
            client.wait_until("an answer", |client| !client.messages().is_empty());
            while client.next_message() != texts(["new"])[0] {
                client.send_text("who?");
            }
        }
    });
}

#[test]
fn c28_a_client_that_ends_its_direction_while_fetch_waits_costs_nothing() {
    let build = || Server::builder::<()>().fetch(|_, _| std::future::pending::<&str>());
    with_workers(build, |address, server| {
        let mut connection = Connection::tcp(address).unwrap();
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.shutdown().unwrap();
        wait_until("the request", || server.metrics().requests == 1);
        assert_eq!(server.metrics().closed, 0);
    });
}

#[test]
fn what_is_sent_outside_a_turn_leaves_before_the_worker_sleeps() {
    thread_local! {
        static SOCKET: RefCell<Option<Ws<()>>> = const { RefCell::new(None) };
    }
    let builder = upgrading().open(|ws| SOCKET.set(Some(ws.clone())));
    let (_server, mut workers) = builder.embed(vec![Box::new(Readiness::new().unwrap())]);
    let worker = &mut workers[0];
    let Endpoint::Tcp(address) = worker.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default()).unwrap()
    else {
        panic!("a TCP address was asked for")
    };
    let client = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        client.next_message()
    });
    while SOCKET.with_borrow(Option::is_none) {
        worker.turn(None).unwrap();
    }
    // Nothing else wakes the worker: the client is silent until it has this, or has lost its patience.
    SOCKET.take().unwrap().send("outside");
    while worker.population().0 > 0 {
        worker.turn(None).unwrap();
    }
    assert_eq!([client.join().unwrap()], *texts(["outside"]));
}

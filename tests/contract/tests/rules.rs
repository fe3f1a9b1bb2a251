//! The rules of re-entrancy and flushing: what handlers may do while they run, and when what they send leaves.
//!
//! One rule has no test of its own: a handler cannot run a turn of its own worker. `Worker::turn` takes `&mut self`, and the
//! caller of the turn under way holds that borrow for as long as any handler runs, so safe code has no way to the call that
//! [`tidewire::engine::WorkerError::Turning`] refuses; a worker in a `RefCell` panics at the borrow instead. It is reached
//! from a face in another language. What safe code can do is turn *another* worker, and that works.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use tidewire::engine::Worker;
use tidewire::{Builder, ReadyState, SendStatus, Server, Upgrade, UpgradeError, Ws};
use tidewire_contract::{Notes, World, noting, texts, upgrading};
use tidewire_kit::client::frame::{FIN, Length, TEXT, encode};
use tidewire_kit::client::{Client, Ended, Message};
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Peer};

thread_local! {
    /// The open sockets of this test. A test has its thread to itself.
    static SOCKETS: RefCell<Vec<Ws<()>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps every socket that opens.
fn keeping(builder: Builder<()>) -> Builder<()> {
    builder.open(|ws| SOCKETS.with_borrow_mut(|sockets| sockets.push(ws.clone())))
}

fn kept() -> Vec<Ws<()>> {
    SOCKETS.with_borrow(Clone::clone)
}

/// Text frames that arrive in one piece.
fn send_together(client: &mut Client<Peer>, texts: &[&str]) {
    let frames: Vec<u8> =
        texts.iter().flat_map(|text| encode(FIN | TEXT, Length::Minimal, Some([7; 4]), text.as_bytes())).collect();
    client.send_bytes(&frames);
}

// What a handler does to its own socket, and to others.

#[test]
fn a_handler_that_closes_its_socket_gets_nothing_more_not_even_from_the_same_read() {
    for terminate in [false, true] {
        let notes = Notes::default();
        let inner = notes.clone();
        let mut world = World::calm(noting(&notes).message(move |ws, text| {
            inner.add(format!("message {text}"));
            if text.text() == "end" {
                ws.send("sent before");
                if terminate {
                    ws.terminate()
                } else {
                    ws.close(1000, "enough").unwrap()
                }
                inner.add("returned");
            }
        }));
        let mut client = world.opened();
        let received = world.network.calls().recvs;
        send_together(&mut client, &["first", "end", "late", "later"]);
        world.turn();
        assert_eq!(world.network.calls().recvs, received + 1, "they came in one read");
        let close = if terminate { "close 1006" } else { "close 1000 enough" };
        // The close handler runs inside the call.
        assert_eq!(notes.all(), ["open", "message first", "message end", close, "returned"]);
        let mut clients = vec![client];
        world.settle(&mut clients);
        assert_eq!(clients[0].ended(), Some(Ended::Fin));
        assert_eq!(clients[0].close_frame().is_some(), !terminate);
        assert_eq!(clients[0].take_messages(), texts(["sent before"]));
        assert_eq!(notes.all().len(), 5);
        world.end(clients);
    }
}

#[test]
fn a_socket_that_another_of_the_same_batch_cuts_off_gets_nothing_more() {
    let notes = Notes::default();
    let inner = notes.clone();
    let mut world = World::calm(keeping(noting(&notes)).message(move |ws, text| {
        inner.add(format!("message {text}"));
        kept().iter().filter(|other| other.id() != ws.id()).for_each(|other| other.terminate());
    }));
    let mut clients: Vec<_> = (0..5).map(|_| world.opened()).collect();
    for client in &mut clients {
        send_together(client, &["one", "two"]);
    }
    let before = world.network.calls();
    world.turn();
    let calls = world.network.calls() - before;
    assert_eq!((calls.waits, calls.events), (1, 5), "all five were told of at once");
    // Whoever came first cut the others off before it got its second message.
    assert_eq!(notes.take(), ["message one", "close 1006", "close 1006", "close 1006", "close 1006", "message two"]);
    world.settle(&mut clients);
    assert_eq!(clients.iter().filter(|client| client.is_open()).count(), 1);
    SOCKETS.take();
    world.end(clients);
}

#[test]
fn sockets_that_cut_each_other_off_are_never_called_after_their_close() {
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let (opens, messages, closes) = (notes.clone(), notes.clone(), notes.clone());
        let builder = upgrading()
            .open(move |ws| {
                opens.add(format!("open {:?}", ws.id()));
                SOCKETS.with_borrow_mut(|sockets| sockets.push(ws.clone()));
            })
            .message(move |ws, _| {
                messages.add(format!("message {:?}", ws.id()));
                kept().iter().filter(|other| other.id() != ws.id()).for_each(|other| other.terminate());
            })
            .close(move |ws, _, _| closes.add(format!("close {:?}", ws.id())));
        let mut world = World::new(seed, Faults::rough(), 1, builder);
        let mut clients: Vec<_> = (0..6).map(|_| world.client()).collect();
        for client in &mut clients {
            send_together(client, &["one", "two", "three"]);
        }
        world.settle(&mut clients);
        SOCKETS.take();
        world.end(clients);
        let notes = notes.all();
        for (at, note) in notes.iter().enumerate() {
            if let Some(id) = note.strip_prefix("close ") {
                assert!(notes[at + 1..].iter().all(|later| !later.ends_with(id)), "{id} was called after its close: {notes:?}");
            }
        }
    });
}

#[test]
fn close_and_terminate_inside_close_do_nothing_more() {
    let notes = Notes::default();
    let inner = notes.clone();
    let mut world = World::calm(noting(&notes).close(move |ws, code, reason| {
        inner.add(format!("close {code} {reason}"));
        ws.close(4000, "again").unwrap();
        ws.terminate();
        assert_eq!(ws.send("too late"), SendStatus::Dropped);
        inner.add(format!("{:?}", ws.ready_state()));
    }));
    let mut clients = vec![world.opened()];
    clients[0].close(3000, "theirs");
    world.settle(&mut clients);
    assert_eq!(notes.all()[1], "close 3000 theirs");
    assert_eq!(notes.all().len(), 3, "{:?}", notes.all());
    world.end(clients);
}

#[test]
fn a_handler_that_pauses_its_socket_gets_the_rest_of_the_read_after_resume() {
    let notes = Notes::default();
    let inner = notes.clone();
    let mut world = World::calm(keeping(noting(&notes)).message(move |ws, text| {
        inner.add(format!("message {text}"));
        ws.pause();
    }));
    let mut clients = vec![world.opened()];
    send_together(&mut clients[0], &["1", "2", "3"]);
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["message 1"]);
    for so_far in 2..=3 {
        kept()[0].resume();
        world.settle(&mut clients);
        assert_eq!(notes.all().len(), so_far);
    }
    assert_eq!(notes.all(), ["message 1", "message 2", "message 3"]);
    SOCKETS.take();
    world.end(clients);
}

#[test]
fn a_destructor_of_a_sockets_data_may_use_the_server() {
    struct Farewell(Server);
    impl Drop for Farewell {
        fn drop(&mut self) {
            self.0.publish("room", "somebody is gone");
        }
    }
    let builder = Server::builder()
        .fetch(|req, server| async move {
            let data = Farewell((*server).clone());
            server.upgrade(&req, Upgrade::new(data))
        })
        .open(|ws| {
            ws.subscribe("room");
        })
        .message(|ws, _| ws.terminate());
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened(), world.opened()];
    clients[0].send_text("cut me off");
    world.settle(&mut clients);
    assert_eq!(clients[1].take_messages(), texts(["somebody is gone"]));
    world.end(clients);
}

// Stop and reload from handlers.

#[test]
fn stop_works_from_every_handler() {
    type Install = fn(Builder<()>, Duration) -> Builder<()>;
    let install: [(&str, Install); 5] = [
        ("open", |builder, patience| builder.open(move |ws| ws.server().stop_within(patience))),
        ("message", |builder, patience| builder.message(move |ws, _| ws.server().stop_within(patience))),
        ("ping", |builder, patience| builder.ping(move |ws, _| ws.server().stop_within(patience))),
        ("pong", |builder, patience| builder.pong(move |ws, _| ws.server().stop_within(patience))),
        ("close", |builder, patience| builder.close(move |ws, _, _| ws.server().stop_within(patience))),
    ];
    for_each_seed(1000, |seed| {
        for patience in [Duration::ZERO, Duration::from_secs(10)] {
            for (name, install) in install {
                let mut world = World::new(seed, Faults::rough(), 1, install(upgrading(), patience));
                let mut clients: Vec<_> = (0..3).map(|_| world.client()).collect();
                clients[0].send_text("hello");
                clients[0].ping(b"ping");
                clients[0].pong(b"pong");
                clients[0].send_close(b"");
                let workers = &mut world.workers;
                let finished = world.network.run(Duration::from_secs(60), || {
                    workers[0].turn(None).unwrap();
                    clients.iter_mut().for_each(|client| while client.step() {});
                    workers[0].is_finished()
                });
                assert!(finished, "stop from {name} with {patience:?}");
                let metrics = world.server.metrics();
                assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "{metrics:?}");
            }
        }
    });
}

#[test]
fn after_reload_from_a_handler_the_new_handlers_get_the_next_message() {
    let notes = Notes::default();
    let (old, new) = (notes.clone(), notes.clone());
    let mut world = World::calm(noting(&notes).message(move |ws, text| {
        old.add(format!("old {text}"));
        let new = new.clone();
        ws.server().reload(upgrading().message(move |_, text| new.add(format!("new {text}"))).max_payload_length(100));
        // Whoever reloads finishes as it is, with everything that it holds.
        old.add(format!("old still {text}"));
    }));
    let mut clients = vec![world.opened()];
    clients[0].send_text("1");
    world.settle(&mut clients);
    clients[0].send_text("2");
    world.settle(&mut clients);
    assert_eq!(notes.take(), ["open", "old 1", "old still 1", "new 2"]);
    // The limits are new too, for the open socket.
    clients[0].send_text(&"x".repeat(101));
    world.settle(&mut clients);
    assert_eq!(clients[0].close_frame().and_then(|close| close.code), Some(1009));
    assert_eq!(notes.all(), [""; 0], "the old close handler is gone");
    world.end(clients);
}

// Turns inside handlers.

#[test]
fn a_handler_may_turn_another_worker() {
    thread_local! {
        static OTHER: RefCell<Option<Worker>> = const { RefCell::new(None) };
    }
    let builder = upgrading()
        .open(|ws| {
            ws.subscribe("room");
        })
        .message(|ws, text| {
            // Taken out, because the handlers that it runs come here too.
            if let Some(mut other) = OTHER.take() {
                (0..3).for_each(|_| other.turn(Some(Duration::ZERO)).unwrap());
                OTHER.set(Some(other));
            }
            // The worker of this handler is the current one again: its subscribers get this in order with what it sends.
            ws.send(&*format!("1 {text}"));
            ws.server().publish("room", "2");
            ws.send("3");
        });
    let mut world = World::new(0, Faults::none(), 2, builder);
    // Which worker a connection goes to is the network's choice: take one of each.
    let mut clients = Vec::new();
    while world.workers.iter().any(|worker| worker.population().1 == 0) {
        clients.push(world.client());
        world.settle(&mut clients);
        assert!(clients.len() < 100, "the network spreads connections");
    }
    OTHER.set(world.workers.pop());
    for client in &mut clients {
        client.send_text("hello");
    }
    world.turn();
    clients.iter_mut().for_each(|client| while client.step() {});
    let own = Message::Text("1 hello".into());
    let answered = clients.iter().filter(|client| client.messages().contains(&own)).count();
    assert_eq!(answered, clients.len(), "what both workers' handlers sent left in the turn of one");
    world.workers.extend(OTHER.take());
    world.settle(&mut clients);
    let everybody = clients.len();
    for client in &mut clients {
        let messages = client.take_messages();
        let at = messages.iter().position(|message| *message == own).unwrap();
        assert_eq!(messages[at..at + 3], texts(["1 hello", "2", "3"]));
        let published = messages.iter().filter(|message| **message == Message::Text("2".into())).count();
        assert_eq!(published, everybody, "each handler's publish reaches everybody");
        assert_eq!(messages.len(), 2 + published);
    }
    world.end(clients);
}

// Upgrades.

#[test]
fn a_fetch_that_stops_the_server_from_open_is_dropped_only_after_its_poll() {
    struct Guard(Notes);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    for stays in [false, true] {
        let notes = Notes::default();
        let (inner, closes) = (notes.clone(), notes.clone());
        let builder = Server::builder()
            .fetch(move |req, server| {
                let notes = inner.clone();
                async move {
                    let _guard = Guard(notes.clone());
                    let upgraded = server.upgrade(&req, Upgrade::new(()));
                    notes.add("upgraded");
                    poll_fn(|context| {
                        context.waker().wake_by_ref();
                        Poll::Ready(())
                    })
                    .await;
                    notes.add("polled to its end");
                    if stays {
                        pending::<()>().await;
                    }
                    upgraded
                }
            })
            .open(|ws| {
                ws.server().stop_within(Duration::ZERO);
                assert_eq!(ws.ready_state(), ReadyState::Open);
            })
            .close(move |_, code, _| closes.add(format!("close {code}")));
        let mut world = World::calm(builder);
        let mut clients = vec![world.client()];
        let workers = &mut world.workers;
        let finished = world.network.run(Duration::from_secs(1), || {
            workers[0].turn(None).unwrap();
            workers[0].is_finished()
        });
        assert!(finished);
        while clients[0].step() {}
        if stays {
            assert_eq!(notes.all(), ["upgraded", "polled to its end", "close 1001"], "it waits for as long as its worker lives");
        }
        world.end(clients);
        let mut notes = notes.all();
        notes.retain(|note| note != "close 1001");
        assert_eq!(notes, ["upgraded", "polled to its end", "dropped"]);
    }
}

#[test]
fn an_upgrade_on_another_thread_is_refused_and_leaves_the_request_as_it_is() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = noting(&notes).fetch(move |req, server| {
        let notes = inner.clone();
        async move {
            let mut elsewhere = http::Request::new(());
            *elsewhere.headers_mut() = req.headers().clone();
            *elsewhere.extensions_mut() = req.extensions().clone();
            let upgrader = server.clone();
            let answer = std::thread::spawn(move || upgrader.upgrade(&elsewhere, Upgrade::new(()))).join().unwrap();
            assert_eq!(answer, Err(UpgradeError::WrongThread));
            notes.add("refused");
            server.upgrade(&req, Upgrade::new(()))
        }
    });
    let mut world = World::calm(builder);
    let clients = vec![world.opened()];
    assert_eq!(notes.all(), ["refused", "open"]);
    world.end(clients);
}

#[test]
fn a_request_of_another_worker_is_refused_as_on_another_thread() {
    let notes = Notes::default();
    let inner = notes.clone();
    thread_local! {
        static PARKED: RefCell<Option<tidewire::Request>> = const { RefCell::new(None) };
    }
    let builder = noting(&notes).fetch(move |req, server| {
        let notes = inner.clone();
        async move {
            if req.uri().path() == "/park" {
                PARKED.set(Some(req));
                pending::<()>().await;
                return None;
            }
            if let Some(other) = PARKED.take() {
                notes.add(format!("{:?}", server.upgrade(&other, Upgrade::new(())).unwrap_err()));
            }
            Some("answered")
        }
    });
    let mut world = World::new(0, Faults::none(), 2, builder);
    let mut peers = vec![world.peer()];
    peers[0].write(b"GET /park HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    world.settle(&mut []);
    let parking = world.workers.iter().position(|worker| worker.population().0 == 1).unwrap();
    while world.workers[1 - parking].population().0 == 0 {
        peers.push(world.peer());
        world.settle(&mut []);
        assert!(peers.len() < 100, "the network spreads connections");
    }
    // Only the other worker is asked: each peer that went there brings a request.
    peers[1..].iter_mut().for_each(|peer| peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    for _ in 0..3 {
        world.workers[1 - parking].turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(notes.all(), ["WrongThread"]);
    drop(peers);
    world.end(Vec::new());
}

#[test]
fn a_second_upgrade_finds_the_request_gone() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = noting(&notes).fetch(move |req, server| {
        let notes = inner.clone();
        async move {
            let first = server.upgrade(&req, Upgrade::new(()));
            let second = server.upgrade(&req, Upgrade::new(()));
            notes.add(format!("second {:?}", second.unwrap_err()));
            first
        }
    });
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    assert_eq!(notes.all(), ["open", "second Gone"]);
    clients[0].send_text("still whole");
    world.settle(&mut clients);
    assert_eq!(notes.all()[2..], ["message still whole"]);
    world.end(clients);
}

#[test]
fn an_upgrade_works_after_awaits_also_of_other_threads() {
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let builder = noting(&notes).fetch(|req, server| async move {
            for elsewhere in [false, true, false] {
                let mut woken = false;
                poll_fn(|context| {
                    if std::mem::replace(&mut woken, true) {
                        return Poll::Ready(());
                    }
                    let waker = context.waker().clone();
                    if elsewhere {
                        // Joined, so that the run repeats: what counts is the thread that wakes.
                        std::thread::spawn(move || waker.wake()).join().unwrap();
                    } else {
                        waker.wake();
                    }
                    Poll::Pending
                })
                .await;
            }
            server.upgrade(&req, Upgrade::new(()))
        });
        let mut world = World::new(seed, Faults::rough(), 1, builder);
        let mut clients = vec![world.client()];
        send_together(&mut clients[0], &["early"]);
        world.until(&mut clients, "the upgrade and the early frame", |_| notes.has("message early"));
        assert_eq!(notes.all(), ["open", "message early"]);
        world.end(clients);
    });
}

// Flushing.

#[test]
fn what_is_sent_in_one_turn_leaves_in_one_call() {
    let mut world = World::calm(upgrading().message(|ws, text| {
        (0..10).for_each(|i| {
            ws.send(&*format!("{text} {i}"));
        });
    }));
    let mut clients = vec![world.opened()];
    let before = world.network.calls().sends;
    // Five messages in one read, ten answers to each.
    send_together(&mut clients[0], &["a", "b", "c", "d", "e"]);
    world.turn();
    assert_eq!(world.network.calls().sends - before, 1);
    world.settle(&mut clients);
    let expected: Vec<_> =
        ["a", "b", "c", "d", "e"].iter().flat_map(|text| (0..10).map(move |i| format!("{text} {i}"))).collect();
    assert_eq!(clients[0].take_messages(), expected.into_iter().map(Message::Text).collect::<Vec<_>>());
    world.end(clients);
}

#[test]
fn the_upgrade_leaves_in_one_call_with_what_open_sends() {
    let mut world = World::calm(upgrading().open(|ws| {
        ws.send("welcome");
        ws.send("to you");
    }));
    let mut clients = vec![world.client()];
    world.settle(&mut clients);
    assert_eq!(world.network.calls().sends, 1);
    assert_eq!(clients[0].take_messages(), texts(["welcome", "to you"]));
    world.end(clients);
}

#[test]
fn what_is_sent_outside_a_turn_leaves_with_flush_or_with_the_next_turn() {
    let mut world = World::calm(keeping(upgrading()));
    let mut clients = vec![world.opened()];
    let ws = kept().remove(0);
    let before = world.network.calls();
    assert_eq!(ws.send("one"), SendStatus::Sent(3));
    ws.send("two");
    assert_eq!((world.network.calls() - before).sends, 0);
    world.workers[0].flush();
    let calls = world.network.calls() - before;
    assert_eq!((calls.sends, calls.waits), (1, 0), "flushed, and no turn was needed");
    while clients[0].step() {}
    assert_eq!(clients[0].take_messages(), texts(["one", "two"]));
    // Without a flush, the next turn does it: before it sleeps, as the same test on real sockets shows.
    ws.send("three");
    world.turn();
    while clients[0].step() {}
    assert_eq!(clients[0].take_messages(), texts(["three"]));
    drop(ws);
    SOCKETS.take();
    world.end(clients);
}

#[test]
fn a_handle_of_another_thread_wakes_the_worker_and_is_flushed_by_its_turn() {
    let mut world = World::calm(keeping(upgrading()));
    let mut clients = vec![world.opened()];
    let handle = kept()[0].handle();
    std::thread::spawn(move || (0..3).for_each(|i| assert!(handle.send(&*i.to_string())))).join().unwrap();
    assert!(!world.network.is_idle(), "the worker was woken");
    let before = world.network.calls().sends;
    world.turn();
    assert_eq!(world.network.calls().sends - before, 1);
    world.settle(&mut clients);
    assert_eq!(clients[0].take_messages(), texts(["0", "1", "2"]));
    SOCKETS.take();
    world.end(clients);
}

#[test]
fn cork_gives_its_value_passes_panics_on_and_runs_on_a_closed_socket_too() {
    let notes = Notes::default();
    let inner = notes.clone();
    let mut world = World::calm(noting(&notes).message(move |ws, _| {
        let value = ws.cork(|ws| {
            ws.send("1");
            ws.send("2");
            42
        });
        inner.add(format!("value {value}"));
        let passed = catch_unwind(AssertUnwindSafe(|| ws.cork(|_| std::panic::panic_any("mine")))).unwrap_err();
        inner.add(format!("panic {:?}", passed.downcast_ref::<&str>().unwrap()));
        ws.send("3");
        ws.close(1000, "").unwrap();
        inner.add(format!("{:?}", ws.cork(|ws| ws.send("4"))));
    }));
    let mut clients = vec![world.opened()];
    let before = world.network.calls().sends;
    clients[0].send_text("go");
    world.turn();
    assert_eq!(world.network.calls().sends - before, 1);
    world.settle(&mut clients);
    assert_eq!(notes.all()[1..], ["value 42", "panic \"mine\"", "close 1000", "Dropped"]);
    assert_eq!(clients[0].take_messages(), texts(["1", "2", "3"]));
    world.end(clients);
}

#[test]
fn sends_and_publishes_of_a_turn_keep_their_order() {
    let mut world = World::calm(
        upgrading()
            .open(|ws| {
                ws.subscribe("room");
            })
            .message(|ws, _| {
                for round in 0..20 {
                    ws.send(&*format!("send {round}"));
                    ws.server().publish("room", &*format!("publish {round}"));
                }
            }),
    );
    let mut clients = vec![world.opened(), world.opened()];
    clients[0].send_text("go");
    world.settle(&mut clients);
    let published = (0..20).map(|round| format!("publish {round}"));
    let both = (0..20).flat_map(|round| [format!("send {round}"), format!("publish {round}")]);
    assert_eq!(clients[0].take_messages(), both.map(Message::Text).collect::<Vec<_>>());
    assert_eq!(clients[1].take_messages(), published.map(Message::Text).collect::<Vec<_>>());
    world.end(clients);
}

#[test]
fn a_publish_to_500_subscribers_copies_its_payload_once() {
    let mut world = World::calm(
        upgrading()
            .open(|ws| {
                ws.subscribe("room");
            })
            .message(|ws, text| {
                for _ in 0..text.text().parse().unwrap() {
                    ws.server().publish("room", "x".repeat(1000).as_str());
                }
            }),
    );
    let mut clients: Vec<_> = (0..500).map(|_| world.client()).collect();
    world.until(&mut clients, "500 upgrades", |clients| clients.iter().all(Client::is_open));
    assert_eq!(world.server.subscriber_count("room"), 500);
    // One publish, then fifty in one turn, which fit into one chunk of the log.
    for publishes in [1_u64, 50] {
        let (metrics, calls) = (world.server.metrics(), world.network.calls());
        clients[7].send_text(&publishes.to_string());
        world.turn();
        let (after, cost) = (world.server.metrics(), world.network.calls() - calls);
        assert_eq!(after.published - metrics.published, publishes);
        assert_eq!(after.publish_copies - metrics.publish_copies, publishes, "one copy per publish");
        assert_eq!(after.messages_out - metrics.messages_out, publishes * 500);
        assert_eq!(cost.sends, 500, "one call per subscriber and turn");
        assert!(cost.slices <= 1000, "ranges of the log that touch are one slice; a chunk's end makes two: {}", cost.slices);
        world.settle(&mut clients);
        for client in &mut clients {
            let messages = client.take_messages();
            assert_eq!(messages.len() as u64, publishes);
            assert!(messages.iter().all(|message| *message == Message::Text("x".repeat(1000))));
        }
    }
    world.end(clients);
}

// After the end.

#[test]
fn a_socket_that_outlives_its_connection_and_its_worker_is_harmless() {
    fn check(ws: &Ws<()>) {
        assert_eq!(ws.ready_state(), ReadyState::Closed);
        assert_eq!(ws.send("x"), SendStatus::Dropped);
        assert_eq!(ws.send("x").to_number(), 0);
        assert_eq!(ws.publish("room", "x"), SendStatus::Dropped);
        assert!(!ws.subscribe("room") && !ws.is_subscribed("room") && !ws.unsubscribe("room"));
        assert!(ws.subscriptions().is_empty());
        assert_eq!(ws.ping(b"x"), Ok(SendStatus::Dropped));
        assert_eq!(ws.close(1000, ""), Ok(()));
        ws.terminate();
        ws.pause();
        ws.resume();
        ws.flush();
        assert_eq!((ws.buffered_amount(), ws.peer_address()), (0, None));
        assert_eq!(ws.cork(|_| 7), 7);
    }
    let notes = Notes::default();
    let mut world = World::calm(keeping(noting(&notes)));
    let mut clients = vec![world.opened()];
    kept()[0].subscribe("room");
    clients.remove(0).into_wire().reset();
    world.settle(&mut []);
    let ws = kept().remove(0);
    check(&ws);
    // Its place in the table is taken by another connection, which must not be mistaken for it.
    let clients = vec![world.opened()];
    check(&ws);
    assert!(clients[0].is_open());
    world.end(clients);
    check(&ws);
    assert_eq!(notes.all(), ["close 1006", "close 1001"]);
    SOCKETS.take();
}

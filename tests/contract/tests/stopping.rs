//! Stopping, more closely: from wherever user code runs, at any moment, and with requests still to come (the contract's
//! behaviours 27 and 28).

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tidewire::engine::Worker;
use tidewire::server::FetchError;
use tidewire::{Body, Builder, ReadyState, Response, SendStatus, Server, Upgrade, UpgradeError};
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_kit::client::{Client, Ended};
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

const SECOND: Duration = Duration::from_secs(1);

/// Runs until every worker has ended, and checks that each did so in time and for good.
fn finish(world: World, mut clients: Vec<Client<Peer>>, most: Duration, what: &str) {
    let World { network, mut workers, server, .. } = world;
    let finished = network.run(60 * SECOND, || {
        workers.iter_mut().for_each(|worker| worker.turn(None).unwrap());
        clients.iter_mut().for_each(|client| while client.step() {});
        workers.iter().all(Worker::is_finished)
    });
    assert!(finished, "{what}: it never ends");
    assert!(network.now() < most, "{what}: it took {:?}", network.now());
    ended_for_good(&network, workers, &server, what);
}

fn ended_for_good(network: &tidewire_kit::sim::Network, workers: Vec<Worker>, server: &Server, what: &str) {
    drop(workers);
    let metrics = server.metrics();
    assert_eq!((metrics.opened, metrics.accepted), (metrics.ended, metrics.closed), "{what}: {metrics:?}");
    assert_eq!((network.open_sockets(), network.buffers_lent()), (0, 0), "{what}");
}

/// A place where user code runs, and a server that stops itself there.
type Place = (&'static str, fn(Duration) -> Builder<()>);

const PLACES: [Place; 6] = [
    ("fetch, which then answers", |patience| {
        Server::builder().fetch(move |req, server| async move {
            if req.uri().path() == "/" {
                return Ok(server.upgrade(&req, Upgrade::new(())));
            }
            server.stop_within(patience);
            Err("the last answer")
        })
    }),
    ("fetch, which then upgrades", |patience| {
        Server::builder().fetch(move |req, server| async move {
            server.stop_within(patience);
            server.upgrade(&req, Upgrade::new(()))
        })
    }),
    ("drain", |patience| {
        upgrading()
            .open(|ws| while ws.send("x".repeat(1000)) != SendStatus::Backpressure {})
            .drain(move |ws| ws.server().stop_within(patience))
    }),
    ("error", |patience| upgrading().message(|_, _| panic!("on purpose")).error(move |ws, _| ws.server().stop_within(patience))),
    ("a spawned future", |patience| {
        upgrading().open(move |ws| {
            let own = ws.clone();
            ws.spawn(async move {
                own.server().stop_within(patience);
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    Poll::Ready(())
                })
                .await;
                own.send("is anybody there?");
            });
        })
    }),
    ("close, because the peer was cut off", |patience| {
        upgrading().open(|ws| ws.terminate()).close(move |ws, _, _| ws.server().stop_within(patience))
    }),
];

#[test]
fn a_server_may_be_stopped_wherever_its_code_runs() {
    // Without the stalls that would cost a peer its closing handshake.
    let faults = Faults { stall: 0.0, no_descriptors: 0.0, ..Faults::rough() };
    for_each_seed(300, |seed| {
        for patience in [Duration::ZERO, Duration::from_secs(10)] {
            for (what, stopping) in PLACES {
                let workers = 1 + (seed % 2) as usize * 3;
                let world = World::new(seed, faults.clone(), workers, stopping(patience));
                let mut clients: Vec<_> = (0..3).map(|_| world.client()).collect();
                clients.push(world.client_at("/answered"));
                clients.iter_mut().for_each(|client| client.send_text("hello"));
                finish(world, clients, 20 * SECOND, what);
            }
        }
    });
}

#[test]
fn a_server_may_be_stopped_by_the_handler_of_a_failed_fetch_and_by_a_destructor() {
    struct Stops(Server);
    impl Drop for Stops {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    thread_local! {
        static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
    }
    for_each_seed(20, |seed| {
        let builder =
            Server::builder::<()>().fetch(|_, _| async { Err::<&str, FetchError>("failed".into()) }).fetch_error(|_| {
                SERVER.with_borrow(|server| server.as_ref().unwrap().stop());
                Response::new(Body::from("stopped"))
            });
        let mut world = World::new(seed, Faults::none(), 1, builder);
        SERVER.set(Some(world.server.clone()));
        assert_eq!(world.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "stopped");
        SERVER.take();
        finish(world, Vec::new(), SECOND, "fetch_error");

        let builder = Server::builder()
            .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(Stops((*server).clone()))) })
            .message(|ws, _| ws.terminate());
        let world = World::new(seed, Faults::none(), 1, builder);
        let mut clients = vec![world.client(), world.client()];
        clients[0].send_text("cut me off");
        finish(world, clients, 8 * SECOND, "a destructor");
    });
}

#[test]
fn c27_a_request_that_is_upgraded_after_the_stop_is_closed_with_1001_right_after_open() {
    thread_local! {
        static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    }
    let notes = Notes::default();
    let builder = noting(&notes).fetch(|req, server| async move {
        let mut woken = false;
        poll_fn(|context| {
            if std::mem::replace(&mut woken, true) {
                return Poll::Ready(());
            }
            WAITING.with_borrow_mut(|waiting| waiting.push(context.waker().clone()));
            Poll::Pending
        })
        .await;
        server.upgrade(&req, Upgrade::new(()))
    });
    let mut world = World::calm(builder);
    let mut clients = vec![world.client()];
    clients[0].send_text("early");
    world.settle(&mut clients);
    world.server.stop();
    world.settle(&mut clients);
    assert!(!world.workers[0].is_finished(), "a request is under way");
    WAITING.take().into_iter().for_each(Waker::wake);
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["open", "close 1001"]);
    assert_eq!(clients[0].close_frame().and_then(|close| close.code), Some(1001));
    assert_eq!(clients[0].ended(), Some(Ended::Fin));
    // The client keeps its end open: the closing deadline ends that, well before the patience of the stop.
    finish(world, clients, 8 * SECOND, "a late upgrade");
}

#[test]
fn c27_the_shorter_patience_counts() {
    for (first, second) in [(30, 3), (3, 30)] {
        let builder =
            Server::builder::<()>().fetch(|_, _| pending::<&str>()).options(|options| options.http_idle_timeout = Duration::ZERO);
        let mut world = World::calm(builder);
        let mut peer = world.peer();
        peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        world.settle(&mut []);
        world.server.stop_within(Duration::from_secs(first));
        world.server.stop_within(Duration::from_secs(second));
        let start = world.network.now();
        assert!(world.run(|| peer.is_reset()));
        let took = world.network.now() - start;
        assert!(took >= 3 * SECOND && took < 5 * SECOND, "{took:?}");
        world.end(Vec::new());
    }
}

/// What a socket carries, to be counted.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn c28_workers_that_are_dropped_at_any_moment_end_everything() {
    for_each_seed(1000, |seed| {
        let (living, notes) = (Arc::new(AtomicUsize::new(0)), Notes::default());
        let (counted, opens, closes) = (living.clone(), notes.clone(), notes.clone());
        let builder = Server::builder()
            .fetch(move |req, server| {
                counted.fetch_add(1, Ordering::Relaxed);
                let data = Counted(counted.clone());
                async move { server.upgrade(&req, Upgrade::new(data)) }
            })
            .open(move |ws| {
                opens.add("open");
                ws.subscribe("room");
            })
            .message(|ws, text| {
                ws.send(text);
                ws.publish("room", "x".repeat(500));
            })
            .close(move |ws, code, _| {
                assert_ne!(ws.ready_state(), ReadyState::Open);
                closes.add(if code == 1006 { "cut off" } else { "closed" });
            });
        let mut random = Random::new(seed);
        let mut world = World::new(seed, Faults::harsh(), 1 + (seed % 3) as usize, builder);
        let mut clients: Vec<_> = (0..random.within(1..=6)).map(|_| world.client()).collect();
        let steps = random.below(120);
        for _ in 0..steps {
            world.turn();
            world.network.advance(Duration::from_millis(random.below(60) as u64));
            let client = random.below(clients.len());
            clients[client].step();
            match random.below(20) {
                0 => clients[client].close(1000, ""),
                1..=5 => clients[client].send_text("hello"),
                6 => world.server.stop(),
                7 => drop(world.server.publish("room", "to all")),
                _ => {}
            }
        }
        let World { network, workers, server, .. } = world;
        ended_for_good(&network, workers, &server, "dropped");
        assert_eq!(notes.count("open"), notes.count("cut off") + notes.count("closed"));
        assert_eq!(server.subscriber_count("room"), 0);
        drop(server);
        assert_eq!(living.load(Ordering::Relaxed), 0, "what sockets and requests carried is dropped");
    });
}

#[test]
fn c27_an_upgrade_after_the_worker_has_ended_is_refused() {
    thread_local! {
        static KEPT: RefCell<Option<(tidewire::Request, tidewire::Upgrader<()>)>> = const { RefCell::new(None) };
    }
    let builder = Server::builder::<()>().fetch(|req, server| {
        KEPT.set(Some((req, server)));
        pending::<&str>()
    });
    let mut world = World::calm(builder);
    let mut clients = vec![world.client()];
    world.settle(&mut clients);
    world.server.stop_within(Duration::ZERO);
    world.settle(&mut clients);
    let (request, upgrader) = KEPT.take().unwrap();
    let upgrade = || upgrader.upgrade(&request, Upgrade::new(()));
    assert_eq!(world.workers[0].enter(upgrade), Err(UpgradeError::Gone), "its connection is cut off");
    assert_eq!(upgrade(), Err(UpgradeError::WrongThread), "no worker runs");
    world.workers.clear();
    assert_eq!(upgrade(), Err(UpgradeError::WrongThread));
    world.end(clients);
}

//! Destructors of what an application gives: one that panics ends where it is, and takes no worker and no other socket with it.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Mutex, Once};
use std::task::{Context, Poll};

use http_body::Frame;
use tidewire::{Body, Builder, IntoReply, Response, Server, Upgrade, Ws};
use tidewire_contract::{World, texts};
use tidewire_kit::client::Client;
use tidewire_kit::for_each_seed;
use tidewire_kit::sim::{Faults, Peer};

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// The panics of this test are many, and meant.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&"on purpose") {
                usual(info);
            }
        }));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        PANICS.set(PANICS.get() + 1);
        panic!("on purpose");
    }
}

/// A body that goes on until it is dropped, and panics then.
struct Endless(Bomb);

impl http_body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(bytes::Bytes::from_static(&[7; 1000])))))
    }
}

/// Sockets with bombs, unless they ask for none; messages say how they end.
fn mined() -> Builder<Option<Bomb>> {
    Server::builder()
        .fetch(|req, server| async move {
            match req.uri().path() {
                "/body" => Response::new(Body::stream(Endless(Bomb))).into_reply(),
                "/future" => {
                    let _bomb = Bomb;
                    "the future is dropped with it".into_reply()
                }
                path => server.upgrade(&req, Upgrade::new((path != "/harmless").then(|| Bomb))).into_reply(),
            }
        })
        .message(|ws, message| match &*message.text() {
            "close" => ws.close(1000, "").unwrap(),
            "terminate" => ws.terminate(),
            "keep" => {
                // The last holder is a future, which outlives the socket.
                let own: Ws<_> = ws.clone();
                ws.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(own);
                });
                ws.terminate();
            }
            "panic" => panic!("on purpose"),
            text => drop(ws.send(text)),
        })
}

fn works(world: &mut World, harmless: &mut [Client<Peer>]) {
    harmless[0].send_text("alive");
    world.until(harmless, "an echo", |clients| !clients[0].messages().is_empty());
    assert_eq!(harmless[0].take_messages(), texts(["alive"]));
}

#[test]
fn a_destructor_of_a_sockets_data_that_panics_takes_no_worker_with_it() {
    quietly();
    for_each_seed(300, |seed| {
        let mut world = World::new(seed, Faults::rough(), 1, mined());
        let before = PANICS.get();
        let mut harmless = vec![world.client_at("/harmless")];
        world.until(&mut harmless, "an upgrade", |clients| clients[0].is_open());
        for end in ["close", "terminate", "panic", "garbage", "reset", "fin", "keep"] {
            let mut client = [world.client()];
            world.until(&mut client, "an upgrade", |clients| clients[0].is_open());
            let [mut client] = client;
            match end {
                "garbage" => client.send_bytes(b"\xff\xff"),
                "reset" => client.into_wire().reset(),
                "fin" => client.wire().shutdown(),
                end => client.send_text(end),
            }
            world.settle(&mut harmless);
        }
        let reached = world.run(|| PANICS.get() - before >= 6);
        assert!(reached, "only {} of the bombs went off", PANICS.get() - before);
        works(&mut world, &mut harmless);
        let metrics = world.server.metrics();
        // And one handler.
        assert_eq!(metrics.panics, 7, "{metrics:?}");
        world.end(harmless);
        assert_eq!(PANICS.get() - before, 7, "the one that a future kept goes with the worker");
    });
}

#[test]
fn a_body_and_a_future_whose_destructors_panic_take_no_worker_with_them() {
    quietly();
    for_each_seed(200, |seed| {
        let mut world = World::new(seed, Faults::rough(), 1, mined());
        let before = PANICS.get();
        let mut harmless = vec![world.client_at("/harmless")];
        world.until(&mut harmless, "an upgrade", |clients| clients[0].is_open());
        for (path, bytes) in [("/body", 5000), ("/future", 0), ("/body", 0)] {
            let mut peer = world.peer();
            peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let mut received = 0;
            assert!(world.run(|| {
                received += peer.read().len();
                received >= bytes
            }));
            if path == "/future" {
                assert!(world.run(|| peer.is_at_end() || peer.unread() > 0), "it is answered");
            }
            peer.reset();
            world.settle(&mut harmless);
        }
        works(&mut world, &mut harmless);
        world.end(harmless);
        assert!(PANICS.get() > before);
    });
}

#[test]
fn handlers_whose_destructors_panic_are_replaced_and_the_worker_goes_on() {
    quietly();
    let mut world = World::calm(mined());
    let mut harmless = vec![world.client_at("/harmless")];
    world.until(&mut harmless, "an upgrade", |clients| clients[0].is_open());
    let bomb = Mutex::new(Bomb);
    world.server.reload(mined().close(move |_, _, _| drop(bomb.lock())));
    works(&mut world, &mut harmless);
    let before = PANICS.get();
    world.server.reload(mined());
    works(&mut world, &mut harmless);
    assert_eq!((PANICS.get() - before, world.server.metrics().panics), (1, 1));
    world.end(harmless);
}

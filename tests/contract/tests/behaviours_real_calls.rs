//! More of the behaviours on real sockets, with one worker and with four: what handlers call, what the handshake takes, and the
//! timeouts on the real clock.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use tidewire::{SendStatus, Server, SocketError, Upgrade, UpgradeError, Upgrader};
use tidewire_contract::{Notes, noting, texts, upgrading, with_workers};
use tidewire_kit::client::{Message, Upgrade as Offer, Wire};
use tidewire_kit::real::{Client, Connection, PATIENCE, request, wait_until};

#[test]
fn c01_upgrade_and_connection_are_lists_of_tokens_in_any_case() {
    with_workers(upgrading, |address, server| {
        let ask = |connection: &str, upgrade: &str| {
            let rest = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\n{rest}");
            request(address, head.as_bytes()).status
        };
        assert_eq!((ask("keep-alive, UPGRADE", "h2c, WebSocket"), ask("upgrade", "websocket")), (101, 101));
        assert_eq!((ask("keep-alive", "websocket"), ask("upgraded", "websocket"), ask("upgrade", "h2c")), (400, 400, 400));
        assert_eq!(server.metrics().opened, 2);
    });
}

#[test]
fn c04_c05_an_upgrade_after_an_await_of_another_thread_works_and_the_request_stays_readable() {
    let notes = Notes::default();
    // A thread that is nobody's wakes whoever waits, when the test says so.
    let (waiting, woken) = mpsc::channel::<Waker>();
    let build = || {
        let (notes, waiting) = (notes.clone(), waiting.clone());
        noting(&notes.clone()).fetch(move |req, server| {
            let (notes, waiting) = (notes.clone(), waiting.clone());
            async move {
                let mut asked = false;
                poll_fn(|context| {
                    if std::mem::replace(&mut asked, true) {
                        return Poll::Ready(());
                    }
                    waiting.send(context.waker().clone()).unwrap();
                    Poll::Pending
                })
                .await;
                let upgraded = server.upgrade(&req, Upgrade::new(()));
                notes.add(format!("{} {:?}", req.uri(), req.headers()["x-name"]));
                upgraded
            }
        })
    };
    with_workers(build, |address, server| {
        notes.take();
        let offer = Offer::to("/room?name=N").header("X-Name", "Ada");
        let mut client = Client::open(Connection::tcp(address).unwrap(), &offer);
        client.send_text("early");
        let waker = woken.recv_timeout(PATIENCE).unwrap();
        assert_eq!((server.pending_requests(), server.metrics().opened), (1, 0));
        thread::scope(|scope| scope.spawn(|| waker.wake()).join().unwrap());
        client.wait_until("the upgrade", |client| client.is_open());
        wait_until("the early frame", || notes.has("message early"));
        assert_eq!(notes.all(), ["open", "/room?name=N \"Ada\"", "message early"]);
    });
}

thread_local! {
    /// The last request of this worker's thread, kept with its upgrader.
    static KEPT: RefCell<Option<(http::Request<()>, Upgrader<()>)>> = const { RefCell::new(None) };
}

fn keep(request: &tidewire::Request, upgrader: &Upgrader<()>) {
    let mut copy = http::Request::new(());
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    KEPT.set(Some((copy, upgrader.clone())));
}

fn upgrade_kept() -> Option<Result<(), UpgradeError>> {
    KEPT.with_borrow(|kept| kept.as_ref().map(|(request, upgrader)| upgrader.upgrade(request, Upgrade::new(())).map(drop)))
}

#[test]
fn c04_c06_an_upgrade_after_the_response_or_inside_the_upgrade_is_refused() {
    let notes = Notes::default();
    let build = || {
        let inner = notes.clone();
        upgrading()
            .fetch(|req, server| async move {
                keep(&req, &server);
                if req.uri().path() == "/answered" { Err("answered") } else { Ok(server.upgrade(&req, Upgrade::new(()))) }
            })
            .open(move |_| inner.add(format!("inside {:?}", upgrade_kept())))
            .message(|ws, _| {
                ws.send(format!("{:?}", upgrade_kept()));
            })
    };
    with_workers(build, |address, server| {
        notes.take();
        let mut client = Client::connect(address);
        assert_eq!(notes.all(), ["inside Some(Err(Gone))"]);
        // Other workers answer some of these: the one of the client's worker leaves its request where the client's handler looks.
        let answered: Vec<_> = (0..20).map(|_| request(address, b"GET /answered HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        assert!(answered.iter().all(|response| response.text() == "answered"));
        client.send_text("try");
        assert_eq!([client.next_message()], *texts(["Some(Err(Gone))"]));
        assert_eq!(server.metrics().opened, 1);
    });
}

#[test]
fn c10_open_runs_inside_upgrade_and_close_inside_close() {
    let notes = Notes::default();
    let build = || {
        let (fetch, message) = (notes.clone(), notes.clone());
        noting(&notes)
            .fetch(move |req, server| {
                let notes = fetch.clone();
                async move {
                    let upgraded = server.upgrade(&req, Upgrade::new(()));
                    notes.add("after upgrade");
                    upgraded
                }
            })
            .message(move |ws, _| {
                ws.close(4321, "done").unwrap();
                message.add("after close");
            })
    };
    with_workers(build, |address, _| {
        notes.take();
        let mut client = Client::connect(address);
        client.send_text("close");
        assert_eq!(client.wait_ended().and_then(|close| close.code), Some(4321));
        assert_eq!(notes.all(), ["open", "after upgrade", "close 4321 done", "after close"]);
    });
}

#[test]
fn c13_the_buffered_amount_never_rises_while_draining() {
    thread_local! {
        /// What waited when it was last asked; 0 when nothing is to be drained.
        static QUEUED: Cell<usize> = const { Cell::new(0) };
    }
    let notes = Notes::default();
    let build = || {
        let (ping, drain) = (notes.clone(), notes.clone());
        upgrading()
            .backpressure_limit(50_000_000)
            .message(|ws, _| {
                let mut sent = 0;
                while ws.send(vec![7; 100_000]) != SendStatus::Backpressure {
                    sent += 1;
                    assert!(sent < 1000, "the kernel takes 100 MB");
                }
                (0..200).for_each(|_| assert_eq!(ws.send(vec![7; 100_000]), SendStatus::Backpressure));
                QUEUED.set(ws.buffered_amount());
            })
            .ping(move |ws, _| {
                let (before, now) = (QUEUED.get(), ws.buffered_amount());
                // Less than a message is no rest of it, but the pongs of this turn.
                if before > 0 && now > 100_000 {
                    ping.add(if now <= before { "fell" } else { "rose" });
                    QUEUED.set(now);
                }
            })
            .drain(move |ws| {
                drain.add(format!("drain {}", ws.buffered_amount()));
                QUEUED.set(0);
                ws.send("drained");
            })
    };
    with_workers(build, |address, server| {
        notes.take();
        let mut client = Client::connect(address);
        client.send_text("go");
        // It is asked while the client reads, a piece at a time.
        client.wait_until("the first piece", |client| !client.messages().is_empty());
        while client.messages().last() != Some(&texts(["drained"])[0]) {
            client.ping(b"");
            let before = client.messages().len();
            client.wait_until("another piece", |client| client.messages().len() > before);
        }
        assert!(notes.count("rose") == 0 && notes.count("fell") > 0, "{:?}", notes.all());
        assert_eq!(notes.count("drain 0"), 1, "{:?}", notes.all());
        let sent = client.messages().iter().filter(|message| matches!(message, Message::Binary(_))).count();
        assert_eq!(server.metrics().messages_out, sent as u64 + 1);
    });
}

#[test]
fn c16_close_refuses_what_may_not_be_sent_and_sends_nothing() {
    let build = || {
        upgrading().message(|ws, text| {
            for code in [0, 999, 1005, 1006, 1015, 2999, 5000] {
                assert!(matches!(ws.close(code, ""), Err(SocketError::Usage(_))), "{code}");
            }
            assert!(ws.close(1000, &"x".repeat(124)).is_err() && ws.ping(&[0; 126]).is_err());
            ws.send(text);
        })
    };
    with_workers(build, |address, server| {
        let mut client = Client::connect(address);
        client.send_text("still open");
        assert_eq!([client.next_message()], *texts(["still open"]));
        assert_eq!(server.metrics().panics, 0);
    });
}

#[test]
fn the_timeouts_end_who_is_silent() {
    let notes = Notes::default();
    let build = || {
        let closing = notes.clone();
        Server::builder()
            .fetch(|req, server| async move {
                if req.uri().path() == "/never" {
                    pending::<()>().await;
                }
                server.upgrade(&req, Upgrade::new(()))
            })
            .message(|ws, _| ws.close(4000, "").unwrap())
            .close(move |_, code, _| closing.add(format!("close {code}")))
            .idle_timeout(Duration::from_secs(1))
            .options(|options| {
                options.close_timeout = Duration::from_secs(1);
                options.head_timeout = Duration::from_secs(1);
                options.http_idle_timeout = Duration::from_secs(1);
            })
    };
    with_workers(build, |address, server| {
        notes.take();
        let begin = |bytes: &[u8]| {
            let mut connection = Connection::tcp(address).unwrap();
            connection.send(bytes);
            connection
        };
        let (silent, head, never) =
            (begin(b""), begin(b"GET / HTTP/1.1\r\nHos"), begin(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (mut idle, mut closing) = (Client::connect(address), Client::connect(address));
        idle.answer_nothing();
        closing.answer_nothing();
        closing.send_text("close");
        for mut connection in [silent, head, never] {
            assert_eq!(connection.read_to_end(), b"", "no answer");
        }
        // One does not answer a Close, the other no ping.
        closing.wait_ended();
        idle.wait_ended();
        assert_eq!(closing.close_frame().and_then(|close| close.code), Some(4000));
        assert!(idle.close_frame().is_none());
        wait_until("both closes", || notes.has("close 4000") && notes.has("close 1006"));
        assert_eq!((server.metrics().closed_idle, server.metrics().pings_sent), (1, 1));
    });
}

//! The application of the target `engine`: it does whatever a message tells it to, and keeps account of each socket's life.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidewire::{Builder, Compress, Compressor, Deflate, Message, Reply, Request, SendStatus, Server, Upgrade, Upgrader, Ws};
use tidewire::{IntoReply, ReadyState};

/// What `open` and `close` and all between them were told of a socket.
#[derive(Debug, Default)]
struct Life {
    opened: u32,
    closed: u32,
    drains: u32,
}

/// The lives of all sockets, each known by its number. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Lives(Arc<Mutex<Vec<Life>>>);

impl Lives {
    fn all(&self) -> MutexGuard<'_, Vec<Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> usize {
        let mut all = self.all();
        all.push(Life::default());
        all.len() - 1
    }

    fn open(&self, number: usize) {
        let mut all = self.all();
        all[number].opened += 1;
        assert_eq!((all[number].opened, all[number].closed), (1, 0), "a socket opens once, and first");
    }

    /// Something that only an open socket is told.
    fn hear(&self, number: usize) {
        let life = &self.all()[number];
        assert_eq!((life.opened, life.closed), (1, 0), "an event is between open and close");
    }

    fn close(&self, number: usize) {
        let mut all = self.all();
        all[number].closed += 1;
        assert_eq!((all[number].opened, all[number].closed), (1, 1), "a socket closes once, and last");
    }

    /// How often a socket has drained, this time included.
    fn drain(&self, number: usize) -> u32 {
        self.hear(number);
        let mut all = self.all();
        all[number].drains += 1;
        all[number].drains
    }

    /// Sockets that have opened.
    pub fn count(&self) -> u64 {
        self.all().iter().map(|life| u64::from(life.opened)).sum()
    }

    /// Looks whether all that has opened has closed.
    pub fn check(&self) {
        for life in self.all().iter() {
            assert_eq!(life.opened, life.closed, "every open has exactly one close");
        }
    }
}

/// A server with limits that a peer reaches soon.
pub fn builder(lives: &Lives, options: u16) -> Builder<usize> {
    let bit = |place: u16| options >> place & 1 != 0;
    let on_fetch = lives.clone();
    let (open, message, drain, close, control) = (lives.clone(), lives.clone(), lives.clone(), lives.clone(), lives.clone());
    let compressor =
        [Compressor::Shared, Compressor::Dedicated, Compressor::KB4, Compressor::Disable][usize::from(options >> 1 & 3)];
    Server::builder()
        .fetch(move |req, server| fetch(req, server, on_fetch.clone()))
        .open(move |ws| {
            open.open(*ws.data());
            greet(ws);
        })
        .message(move |ws, text| {
            message.hear(*ws.data());
            obey(ws, &text);
        })
        .drain(move |ws| {
            if drain.drain(*ws.data()) < 5 {
                ws.send(vec![b'd'; 10_000]);
            }
        })
        .ping(move |ws, data| {
            control.hear(*ws.data());
            assert!(data.len() <= 125);
        })
        .close(move |ws, code, reason| {
            close.close(*ws.data());
            assert!(code == 1006 || code == 1005 || (1000..5000).contains(&code), "{code} {reason}");
            assert_eq!(ws.send("too late"), SendStatus::Dropped);
            assert!(!ws.subscribe("room"), "a closed socket is subscribed to nothing");
            ws.publish("room", "somebody left");
            ws.terminate();
        })
        .per_message_deflate(if bit(3) { Deflate::OFF } else { Deflate { compress: compressor, decompress: compressor } })
        .max_payload_length(16 * 1024)
        .backpressure_limit(8 * 1024)
        .close_on_backpressure_limit(bit(4))
        .publish_to_self(bit(5))
        .send_pings(bit(6))
        .idle_timeout(Duration::from_secs(if bit(7) { 0 } else { 12 }))
        .max_connections(if bit(8) { 2 } else { 100 })
        .options(move |options| {
            options.compression_threshold = 8;
            options.max_fragments = 10;
            options.max_subscriptions = 2;
            options.max_request_body = 1000;
            options.max_headers = 20;
            options.max_head_size = 2000;
        })
}

async fn fetch(req: Request, server: Upgrader<usize>, lives: Lives) -> Reply {
    let upgrade = |number: usize| Upgrade::new(number).header("X-Number", number.to_string());
    match req.uri().path() {
        "/later" => {
            for _ in 0..3 {
                yield_now().await;
            }
            server.upgrade(&req, upgrade(lives.begin())).into_reply()
        }
        "/twice" => {
            let first = server.upgrade(&req, upgrade(lives.begin()));
            assert!(server.upgrade(&req, upgrade(lives.begin())).is_err(), "there is one upgrade");
            first.into_reply()
        }
        "/page" => "a page".into_reply(),
        "/body" => match req.into_body().bytes().await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned().into_reply(),
            Err(error) => error.to_string().into_reply(),
        },
        _ => server.upgrade(&req, upgrade(lives.begin())).into_reply(),
    }
}

/// Gives way once.
async fn yield_now() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Some sockets begin in their own way.
fn greet(ws: &Ws<usize>) {
    match ws.data() % 4 {
        0 => drop(ws.subscribe("room")),
        1 => drop(ws.send("welcome")),
        2 => drop(ws.publish("room", "somebody came")),
        _ => {}
    }
}

/// The first byte of a message says what is done with the rest.
fn obey(ws: &Ws<usize>, message: &Message<'_>) {
    let text = message.text().into_owned();
    let rest = text.get(1..).unwrap_or_default();
    let closing = ws.ready_state() != ReadyState::Open;
    assert!(!closing, "whoever closes hears no more messages");
    match text.as_bytes().first() {
        Some(b'c') => {
            drop(ws.close(1000 + u16::from(rest.bytes().next().unwrap_or_default()), rest.get(1..).unwrap_or_default()))
        }
        Some(b't') => ws.terminate(),
        Some(b's') => drop(ws.subscribe("room")),
        Some(b'o') => drop(ws.try_subscribe(rest)),
        Some(b'u') => drop(ws.unsubscribe("room")),
        Some(b'p') => drop(ws.publish("room", rest)),
        Some(b'P') => drop(ws.publish_with("room", rest.repeat(4), Compress::Yes)),
        Some(b'x') => drop(ws.server().publish("room", rest)),
        Some(b'b') => drop(ws.send(vec![b'b'; 20_000])),
        Some(b'B') => drop(ws.send_with(rest.repeat(100), Compress::Yes)),
        Some(b'g') => drop(ws.ping(rest.as_bytes())),
        Some(b'h') => drop(ws.handle().send(rest)),
        Some(b'H') => drop(ws.handle().close(1001, "from afar")),
        Some(b'z') => ws.pause(),
        Some(b'f') => ws.flush(),
        Some(b'a') => {
            let (socket, rest) = (ws.clone(), rest.to_owned());
            ws.spawn(async move {
                yield_now().await;
                socket.send(rest);
                socket.resume();
            });
        }
        Some(b'q') => ws.server().stop(),
        _ => drop(ws.send_with(&text[..], Compress::Yes)),
    }
}

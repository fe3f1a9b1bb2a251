//! The contract's behaviours 1 to 9: the handshake of a server. Each test has the number of its behaviour.

#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tidewire::{Builder, Server, Upgrade, UpgradeError, Upgrader};
use tidewire_contract::{Notes, World, noting, upgrading};
use tidewire_kit::client::{Client, Upgrade as Offer};
use tidewire_kit::http::Response;
use tidewire_kit::sim::{Faults, Peer};
use tidewire_kit::{Random, for_each_seed};

/// The headers of a handshake as it should be.
const HANDSHAKE: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Sends a handshake in which one header is replaced, by no line or by several.
fn shake(world: &mut World, name: &str, values: &[&str]) -> Response {
    let mut request = "GET / HTTP/1.1\r\n".to_owned();
    for (known, value) in HANDSHAKE.into_iter().filter(|(known, _)| *known != name) {
        request += &format!("{known}: {value}\r\n");
    }
    for value in values {
        request += &format!("{name}: {value}\r\n");
    }
    world.ask((request + "\r\n").as_bytes())
}

fn count(response: &Response, name: &str) -> usize {
    response.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count()
}

/// The answer to an upgrade that offers these subprotocols and gets this upgrade.
fn negotiate(offered: &[&str], upgrade: fn() -> Upgrade<()>) -> Response {
    let builder = Server::builder().fetch(move |req, server| async move { server.upgrade(&req, upgrade()) });
    let mut world = World::calm(builder);
    let response = shake(&mut world, "Sec-WebSocket-Protocol", offered);
    world.end(Vec::new());
    response
}

#[test]
fn c01_upgrade_and_connection_are_lists_of_tokens_in_any_case() {
    let mut world = World::calm(upgrading());
    let accepted: [(&str, &[&str]); 8] = [
        ("Upgrade", &["WebSocket"]),
        ("Upgrade", &["h2c, websocket"]),
        ("Upgrade", &["h2c", "WEBSOCKET"]),
        ("Upgrade", &[" ,websocket ,"]),
        ("Connection", &["keep-alive, Upgrade"]),
        ("Connection", &["UPGRADE"]),
        ("Connection", &["keep-alive", "upgrade"]),
        ("Connection", &["upgrade,keep-alive"]),
    ];
    for (name, values) in accepted {
        assert_eq!(shake(&mut world, name, values).status, 101, "{name}: {values:?}");
    }
    let refused: [(&str, &[&str]); 7] = [
        ("Upgrade", &[]),
        ("Upgrade", &["websockets"]),
        ("Upgrade", &["web socket"]),
        ("Upgrade", &["h2c"]),
        ("Connection", &[]),
        ("Connection", &["keep-alive"]),
        ("Connection", &["upgraded"]),
    ];
    for (name, values) in refused {
        assert_eq!(shake(&mut world, name, values).status, 400, "{name}: {values:?}");
    }
    assert_eq!(world.server.metrics().opened, accepted.len() as u64);
    world.end(Vec::new());
}

#[test]
fn c01_h2c_is_never_switched_to() {
    let mut world = World::calm(Server::builder::<()>().fetch(|_, _| async { "still HTTP/1.1" }));
    let request =
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let response = world.ask(request);
    assert_eq!((response.status, response.text()), (200, "still HTTP/1.1"));
    assert_eq!(response.header("upgrade"), None);
    world.end(Vec::new());
}

#[test]
fn c02_a_key_is_base64_of_16_bytes() {
    let mut world = World::calm(upgrading());
    let refused: [&[&str]; 8] = [
        &[],
        &[""],
        &["c2hvcnQ="],
        &["AAAAAAAAAAAAAAAAAAAA"],                                 // 15 bytes
        &["AAAAAAAAAAAAAAAAAAAAAAA="],                             // 17 bytes
        &["AAAAAAAAAAAAAAAAAAAAAA"],                               // no padding
        &["!!!!!!!!!!!!!!!!!!!!!!=="],                             // no base64
        &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], // twice
    ];
    for keys in refused {
        assert_eq!(shake(&mut world, "Sec-WebSocket-Key", keys).status, 400, "{keys:?}");
    }
    assert_eq!(world.server.metrics().opened, 0);
    let response = shake(&mut world, "Sec-WebSocket-Key", &["  dGhlIHNhbXBsZSBub25jZQ==  "]);
    // The example of RFC 6455, section 1.3.
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    world.end(Vec::new());
}

#[test]
fn c03_another_version_is_answered_with_426_and_the_one_that_is_spoken() {
    let mut world = World::calm(upgrading());
    let refused: [&[&str]; 7] = [&[], &[""], &["8"], &["014"], &["13, 8"], &["13", "13"], &["130"]];
    for versions in refused {
        let response = shake(&mut world, "Sec-WebSocket-Version", versions);
        assert_eq!(response.status, 426, "{versions:?}");
        assert_eq!(response.header("sec-websocket-version"), Some("13"));
        assert_eq!(count(&response, "sec-websocket-version"), 1);
    }
    assert_eq!(world.server.metrics().opened, 0);
    world.end(Vec::new());
}

thread_local! {
    /// A request that was answered, kept with its upgrader. A test has its thread to itself.
    static ANSWERED: RefCell<Option<(http::Request<()>, Upgrader<()>)>> = const { RefCell::new(None) };
}

/// What upgrading the kept request gives.
fn upgrade_answered() -> Option<Result<tidewire::Upgraded, UpgradeError>> {
    ANSWERED.with_borrow(|kept| kept.as_ref().map(|(request, upgrader)| upgrader.upgrade(request, Upgrade::new(()))))
}

/// Keeps what is needed to upgrade a request later.
fn keep(request: &tidewire::Request, upgrader: &Upgrader<()>) {
    let mut copy = http::Request::new(());
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    ANSWERED.set(Some((copy, upgrader.clone())));
}

#[test]
fn c04_an_upgrade_after_the_response_has_started_is_refused_and_leaves_it_intact() {
    // Fast enough for the closing deadline, and slow enough to be caught on the way.
    let faults = Faults { buffer: 2000..=8000, delay: Duration::ZERO..=Duration::from_millis(5), stall: 0.0, ..Faults::rough() };
    for_each_seed(1000, |seed| {
        let notes = Notes::default();
        let inner = notes.clone();
        let builder = noting(&notes)
            .fetch(|req, server| async move {
                if req.uri().path() == "/" {
                    return Ok(server.upgrade(&req, Upgrade::new(())));
                }
                keep(&req, &server);
                Err("y".repeat(300_000))
            })
            .message(move |_, _| inner.add(format!("{:?}", upgrade_answered())));
        let mut world = World::new(seed, faults.clone(), 1, builder);
        let mut clients = vec![world.opened(), world.client_at("/answered")];
        for part in [1, 50_000, 150_000] {
            world.until(&mut clients, "a part of the response", |clients| clients[1].unparsed().len() >= part);
            clients[0].send_text("try");
            let attempts = notes.all().len();
            world.until(&mut clients, "an attempt", |_| notes.all().len() > attempts);
            assert!(clients[1].response().is_none(), "it was on its way");
        }
        world.until(&mut clients, "the whole response", |clients| clients[1].response().is_some());
        assert_eq!(clients[1].response().unwrap().text(), "y".repeat(300_000));
        clients[0].send_text("try again");
        world.settle(&mut clients);
        assert_eq!(notes.all()[1..], ["Some(Err(Gone))"; 4]);
        assert_eq!(world.server.metrics().opened, 1);
        ANSWERED.take();
        world.end(clients);
    });
}

#[test]
fn c05_the_request_stays_readable_after_the_upgrade() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = noting(&notes).fetch(move |req, server| {
        let notes = inner.clone();
        async move {
            let upgraded = server.upgrade(&req, Upgrade::new(()));
            notes.add(format!("{} {} {:?}", req.method(), req.uri(), req.headers()["x-name"]));
            upgraded
        }
    });
    let mut world = World::calm(builder);
    let mut clients = vec![Client::open(world.peer(), &Offer::to("/room?name=N").header("X-Name", "Ada"))];
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["open", "GET /room?name=N \"Ada\""]);
    world.end(clients);
}

#[test]
fn c06_an_upgrade_inside_the_upgrade_answers_gone_and_there_is_one_open() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = noting(&notes)
        .fetch(|req, server| async move {
            keep(&req, &server);
            server.upgrade(&req, Upgrade::new(()))
        })
        .open(move |_| inner.add(format!("open, inside {:?}", upgrade_answered())));
    let mut world = World::calm(builder);
    let mut clients = vec![world.opened()];
    clients[0].send_text("one");
    world.settle(&mut clients);
    assert_eq!(notes.all(), ["open, inside Some(Err(Gone))", "message one"]);
    ANSWERED.take();
    world.end(clients);
}

#[test]
fn c07_there_is_one_subprotocol_or_none() {
    let plain = || Upgrade::new(());
    let two = || Upgrade::new(()).header("sec-websocket-protocol", "x, y").header("Sec-WebSocket-Protocol", "z");
    type Choice = fn() -> Upgrade<()>;
    let cases: [(&[&str], Choice, Option<&str>); 8] = [
        (&[], plain, None),
        (&["a, b"], plain, Some("a")),
        (&["a", "b"], plain, Some("a")),
        (&["a, b"], || Upgrade::new(()).protocol("b"), Some("b")),
        (&["a, b"], || Upgrade::new(()).protocol(""), None),
        (&["a, b"], || Upgrade::new(()).protocol("a").protocol("b"), Some("b")),
        (&["a, b"], two, Some("x")),
        (&["a"], || Upgrade::new(()).header("sec-websocket-protocol", ""), None),
    ];
    for (offered, upgrade, expected) in cases {
        let response = negotiate(offered, upgrade);
        assert_eq!(response.status, 101);
        assert_eq!(response.header("sec-websocket-protocol"), expected, "{offered:?}");
        assert_eq!(count(&response, "sec-websocket-protocol"), usize::from(expected.is_some()));
    }
    // What is no token cannot be sent, and is the application's mistake.
    let response = negotiate(&["a"], || Upgrade::new(()).protocol("not a token"));
    assert_eq!(response.status, 500);
}

/// Awaits so many times before it upgrades; each client says in its path who it is.
fn slow(notes: &Notes, polls: usize) -> Builder<String> {
    let (opens, messages) = (notes.clone(), notes.clone());
    Server::builder()
        .fetch(move |req, server| async move {
            let mut left = polls;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                left = left.saturating_sub(1);
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            server.upgrade(&req, Upgrade::new(req.uri().path().to_owned()))
        })
        .open(move |ws| opens.add(format!("{} open", ws.data())))
        .message(move |ws, text| messages.add(format!("{} {text}", ws.data())))
}

#[test]
fn c08_frames_with_the_request_or_while_fetch_awaits_come_after_open_in_order() {
    for_each_seed(1000, |seed| {
        let mut random = Random::new(seed ^ 0xc08);
        let notes = Notes::default();
        let mut world = World::new(seed, Faults::rough(), 1 + (seed % 2) as usize, slow(&notes, random.below(40)));
        let mut clients: Vec<Client<Peer>> = (0..3).map(|i| world.client_at(&format!("/{i}"))).collect();
        for round in 0..8 {
            for client in &mut clients {
                client.send_text(&format!("{round}{}", "x".repeat(random.below(200))));
            }
            if random.chance(0.5) {
                world.turn();
            }
        }
        world.until(&mut clients, "every frame", |_| notes.all().len() == 3 * 9);
        for client in 0..3 {
            let prefix = format!("/{client} ");
            let own: Vec<String> = notes
                .all()
                .iter()
                .filter_map(|note| note.strip_prefix(&prefix).map(|note| note.trim_end_matches('x').to_owned()))
                .collect();
            assert_eq!(own, ["open", "0", "1", "2", "3", "4", "5", "6", "7"]);
        }
        world.end(clients);
    });
}

#[test]
fn c08_frames_in_one_piece_with_the_request_need_nothing_after_them() {
    let notes = Notes::default();
    let mut world = World::calm(noting(&notes));
    let mut client = world.client();
    // The request is on its way already; the network delivers both at once, and nothing else ever comes.
    client.send_text("first");
    client.send_text("second");
    world.settle(&mut []);
    assert_eq!(notes.all(), ["open", "message first", "message second"]);
    world.end(vec![client]);
}

#[test]
fn c08_what_follows_a_refused_upgrade_is_no_request() {
    let notes = Notes::default();
    let inner = notes.clone();
    let builder = upgrading().fetch(move |req, server| {
        inner.add(req.uri().path());
        async move { server.upgrade(&req, Upgrade::new(())) }
    });
    let mut world = World::calm(builder);
    let response =
        world.ask(b"GET /refused HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /frames HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((response.status, response.header("connection")), (426, Some("close")));
    world.settle(&mut []);
    assert_eq!(notes.all(), ["/refused"]);
    world.end(Vec::new());
}

#[test]
fn c09_headers_of_the_handshake_from_the_application_are_ignored() {
    let response = negotiate(&[], || {
        Upgrade::new(())
            .header("Content-Length", "5")
            .header("Transfer-Encoding", "chunked")
            .header("Sec-WebSocket-Accept", "mine")
            .header("Sec-WebSocket-Extensions", "permessage-deflate")
            .header("Sec-WebSocket-Version", "8")
            .header("Connection", "close")
            .header("Upgrade", "h2c")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
    });
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((response.header("connection"), response.header("upgrade")), (Some("Upgrade"), Some("websocket")));
    for gone in ["content-length", "transfer-encoding", "sec-websocket-extensions", "sec-websocket-version"] {
        assert_eq!(count(&response, gone), 0, "{gone}");
    }
    for once in ["sec-websocket-accept", "connection", "upgrade"] {
        assert_eq!(count(&response, once), 1, "{once}");
    }
    let cookies: Vec<_> =
        response.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[test]
fn c09_a_header_that_no_header_can_be_fails_the_upgrade_and_sends_nothing_of_it() {
    for (name, value) in [("x-bad", "a\r\nSet-Cookie: stolen=1"), ("x bad", "a"), ("x-bad", "a\0")] {
        let builder =
            Server::builder().fetch(move |req, server| async move { server.upgrade(&req, Upgrade::new(()).header(name, value)) });
        let mut world = World::calm(builder);
        let response = shake(&mut world, "Origin", &[]);
        assert_eq!(response.status, 500, "{name}: {value:?}");
        assert_eq!(count(&response, "set-cookie"), 0);
        world.end(Vec::new());
    }
}

//! Rows 1, 10, 11 and 19: heads that cost, that never end, that smuggle, and pages that may not connect.

use std::time::Duration;

use ::http::StatusCode;
use allocation_counter::{AllocationInfo, measure};
use tidewire::{Builder, IntoReply, Server, Upgrade as Upgraded};
use tidewire_contract::{Notes, World, noting};
use tidewire_kit::client::Upgrade;
use tidewire_kit::http::{self, Response};
use tidewire_kit::sim::Faults;
use tidewire_kit::{Random, for_each_seed};

/// Reads every request, and answers with its path.
fn paths() -> Builder<()> {
    Server::builder().fetch(|req, _| async move {
        let path = req.uri().path().to_owned();
        match req.into_body().bytes().await {
            Ok(_) => path.into_reply(),
            Err(_) => (StatusCode::BAD_REQUEST, "broken").into_reply(),
        }
    })
}

/// Sends bytes in pieces of a size on a connection of their own; all responses until it ends, or until there are so many.
fn ask(world: &mut World, bytes: &[u8], size: usize, most: usize) -> Vec<Response> {
    let mut peer = world.peer();
    for piece in bytes.chunks(size) {
        peer.write(piece);
        world.settle(&mut []);
    }
    let (mut received, mut responses) = (Vec::new(), Vec::new());
    assert!(world.run(|| {
        received.extend(peer.read());
        let ended = peer.is_at_end() || peer.is_reset();
        while let Some((response, taken)) = http::parse(&received, ended) {
            received.drain(..taken);
            responses.push(response);
        }
        ended || responses.len() == most
    }));
    responses
}

fn statuses(responses: &[Response]) -> Vec<u16> {
    responses.iter().map(|response| response.status).collect()
}

#[test]
fn row_01_heads_over_a_cap_are_431_and_the_process_lives() {
    let many: String = (0..2000).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(64 * 1024));
    let line = "y".repeat(64 * 1024);
    let requests = [
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), usize::MAX),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n"), usize::MAX),
        (format!("GET /{line} HTTP/1.1\r\nHost: a\r\n\r\n"), usize::MAX),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 1),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n"), 1),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 1000),
    ];
    for (request, size) in requests {
        let mut world = World::calm(paths());
        let answers = ask(&mut world, request.as_bytes(), size, 1);
        assert!(matches!(statuses(&answers)[..], [431 | 414]), "{} bytes by {size}: {answers:?}", request.len());
        let metrics = world.server.metrics();
        assert_eq!((metrics.requests, metrics.refused_heads, metrics.malformed_heads), (0, 1, 0));
        assert_eq!(statuses(&ask(&mut world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 1)), [200], "it lives");
        world.end(Vec::new());
    }
}

#[test]
fn row_01_the_cap_is_where_it_is_said_to_be_however_the_head_comes() {
    for size in [1, 7, usize::MAX] {
        for (length, status) in [(10_000, 200), (16_000, 200), (17_000, 431), (40_000, 431)] {
            let mut world = World::calm(paths());
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "y".repeat(length - 38));
            assert_eq!(statuses(&ask(&mut world, request.as_bytes(), size, 1)), [status], "{length} bytes by {size}");
            world.end(Vec::new());
        }
        for (count, status) in [(99, 200), (101, 431)] {
            let mut world = World::calm(paths());
            let headers = "X: y\r\n".repeat(count - 1);
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            assert_eq!(statuses(&ask(&mut world, request.as_bytes(), size, 1)), [status], "{count} headers by {size}");
            world.end(Vec::new());
        }
    }
}

#[test]
fn row_01_a_head_in_one_byte_writes_costs_what_its_bytes_do() {
    // What a head of so many bytes costs, byte by byte: the network's own part is the same for each.
    let cost = |length: usize| -> AllocationInfo {
        let mut world = World::calm(paths());
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "y".repeat(length));
        let mut peer = world.peer();
        world.settle(&mut []);
        let cost = measure(|| {
            for byte in request.as_bytes() {
                peer.write(&[*byte]);
                world.turn();
            }
        });
        assert_eq!(world.server.metrics().requests, 1);
        peer.shutdown();
        cost
    };
    cost(1000); // whatever is made once
    let (small, large) = (cost(2000), cost(14_000));
    assert!(large.count_total <= 8 * small.count_total, "seven times the bytes: {small:?}, {large:?}");
    assert!(large.bytes_total <= 8 * small.bytes_total, "seven times the bytes: {small:?}, {large:?}");
}

#[test]
fn row_11_a_head_that_trickles_ends_by_a_total_deadline() {
    const STEP: Duration = Duration::from_secs(5);
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    // Nothing; a part and then nothing; one byte in five seconds; and the same behind a request that was served.
    for (before, first, each) in [(&b""[..], 0, 0), (b"", 20, 0), (b"", 1, 1), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 1)] {
        let mut world = World::calm(paths());
        let mut peer = world.peer();
        peer.write(before);
        world.settle(&mut []);
        peer.read();
        peer.write(&head[..first]);
        let (mut at, start) = (first, world.network.now());
        while !peer.is_at_end() && !peer.is_reset() {
            world.pass(STEP, &mut []);
            peer.read();
            peer.write(&head[at..at + each]);
            at += each;
            assert!(at < head.len(), "it never ends");
        }
        let took = world.network.now() - start;
        assert!(took >= 2 * STEP && took <= 3 * STEP, "it ended after {took:?}");
        assert_eq!(world.server.metrics().closed_head, 1);
        world.end(Vec::new());
    }
}

/// What is to be refused, and what is behind it.
const AMBIGUOUS: [&str; 14] = [
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\n\tX-A: b\r\n\r\n",
    "GET /x HTTP/1.1\nHost: a\n\n",
    "GET /x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n",
];

#[test]
fn row_19_what_can_be_read_in_two_ways_is_400_and_nothing_behind_it_is_served() {
    for request in AMBIGUOUS {
        for size in [1, 2, 3, 10, 50, usize::MAX] {
            let mut world = World::calm(paths());
            let bytes = format!("{request}GET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
            let answers = ask(&mut world, bytes.as_bytes(), size, usize::MAX);
            assert_eq!(statuses(&answers), [400], "{request:?} by {size}");
            assert_eq!(answers[0].header("connection"), Some("close"));
            let metrics = world.server.metrics();
            assert_eq!((metrics.requests, metrics.malformed_heads), (0, 1), "{request:?} by {size}: {metrics:?}");
            world.end(Vec::new());
        }
    }
}

#[test]
fn row_19_responses_that_are_due_come_first() {
    for_each_seed(500, |seed| {
        let bad = AMBIGUOUS[seed as usize % AMBIGUOUS.len()];
        let mut world = World::new(seed, Faults::rough(), 1, paths());
        let bytes = format!(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n a\
             POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\n a\r\n0\r\n\r\n{bad}GET /4 HTTP/1.1\r\n\r\n"
        );
        let answers = ask(&mut world, bytes.as_bytes(), 1 + seed as usize % 97, usize::MAX);
        assert_eq!(statuses(&answers), [200, 200, 200, 400], "{bad:?}");
        assert_eq!(answers.iter().take(3).map(Response::text).collect::<Vec<_>>(), ["/1", "/2", "/3"]);
        world.end(Vec::new());
    });
}

/// A request that is right, whose body may look like anything.
fn well_formed(random: &mut Random, path: usize) -> Vec<u8> {
    const LOOKS: [&[u8]; 6] =
        [b"\n", b"\r\n\r\n", b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b" folded", b"Content-Length: 3\r\n"];
    let mut body: Vec<u8> = (0..random.below(5)).flat_map(|_| random.pick(&LOOKS).to_vec()).collect();
    if random.chance(0.1) {
        let size = random.below(5000);
        body.extend(random.bytes(size));
    }
    let empty_lines = "\r\n".repeat(random.below(2));
    let mut request = format!("{empty_lines}POST /{path} HTTP/1.1\r\nHost: a\r\nX-A: b:c\r\n").into_bytes();
    match random.below(3) {
        0 if body.is_empty() => request.extend(b"\r\n"),
        0 | 1 => {
            let again = if random.chance(0.2) { format!("content-length:{} \r\n", body.len()) } else { String::new() };
            request.extend(format!("Content-Length: {}\r\n{again}\r\n", body.len()).bytes());
            request.extend(&body);
        }
        _ => {
            request.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(1 + random.below(40)) {
                let extension = *random.pick(&["", "", ";a=b", ";a=\"b;c\"", " "]);
                request.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(*random.pick(&[&b"0\r\n\r\n"[..], b"000\r\n\r\n", b"0\r\nX-Trailer: 5\r\n\r\n"]));
        }
    }
    request
}

#[test]
fn row_19_what_is_well_formed_is_served_whatever_its_bodies_look_like() {
    for_each_seed(2000, |seed| {
        let mut random = Random::new(seed);
        let mut world = World::calm(paths());
        let count = random.within(1..=6);
        let mut bytes: Vec<u8> = (0..count).flat_map(|path| well_formed(&mut random, path)).collect();
        let refused = random.chance(0.5);
        if refused {
            bytes.extend(random.pick(&AMBIGUOUS).bytes());
        }
        let size = if random.chance(0.3) { 1 + random.below(10) } else { 1 + random.below(bytes.len()) };
        let answers = ask(&mut world, &bytes, size, count + usize::from(refused));
        let served: Vec<_> = answers[..count].iter().map(|answer| (answer.status, answer.text().to_owned())).collect();
        assert_eq!(served, (0..count).map(|path| (200, format!("/{path}"))).collect::<Vec<_>>());
        assert_eq!(answers.get(count).map(|answer| answer.status), refused.then_some(400));
        assert_eq!(world.server.metrics().requests, count as u64);
        world.end(Vec::new());
    });
}

#[test]
fn row_19_chunks_that_can_be_read_in_two_ways_end_the_connection() {
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3x\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
    ] {
        for size in [1, 5, usize::MAX] {
            let mut world = World::calm(paths());
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let bytes = format!("{head}{chunks}GET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
            let answers = ask(&mut world, bytes.as_bytes(), size, usize::MAX);
            assert!(matches!(statuses(&answers)[..], [] | [400]), "{chunks:?} by {size}: {answers:?}");
            assert_eq!(world.server.metrics().requests, 1);
            world.end(Vec::new());
        }
    }
}

#[test]
fn row_19_a_request_behind_a_rejected_upgrade_is_not_served() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrades = [
        // The application refuses; the handshake is none; the version is another.
        (
            format!(
                "GET /no HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}Sec-WebSocket-Version: 13\r\n\r\n"
            ),
            403,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}Sec-WebSocket-Version: 8\r\n\r\n"
            ),
            426,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}Sec-WebSocket-Version: 13\r\n\r\n"
            ),
            400,
        ),
    ];
    for (upgrade, status) in upgrades {
        for cut in (0..upgrade.len() + 10).step_by(7) {
            let notes = Notes::default();
            let builder = noting(&notes).fetch(|req, server| async move {
                match req.uri().path() {
                    "/no" => (StatusCode::FORBIDDEN, "no").into_reply(),
                    _ => server.upgrade(&req, Upgraded::new(())).into_reply(),
                }
            });
            let mut world = World::calm(builder);
            let bytes = format!("{upgrade}GET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut peer = world.peer();
            peer.write(&bytes.as_bytes()[..cut]);
            world.settle(&mut []);
            peer.write(&bytes.as_bytes()[cut..]);
            let mut received = Vec::new();
            assert!(world.run(|| {
                received.extend(peer.read());
                peer.is_at_end() || peer.is_reset()
            }));
            let (response, taken) = http::parse(&received, true).expect("a response");
            assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{upgrade:?}");
            assert_eq!((received.len(), world.server.metrics().requests), (taken, 1), "nothing else is served");
            assert_eq!(notes.all(), [""; 0]);
            world.end(Vec::new());
        }
    }
}

#[test]
fn row_10_a_foreign_origin_is_403_and_never_open() {
    let notes = Notes::default();
    let origins = ["https://example.com", "http://localhost:8080/"];
    let mut world = World::calm(noting(&notes).origins(origins));
    let bad: [&[&str]; 14] = [
        &["https://evil.example"],
        &["http://example.com"],
        &["https://example.com:444"],
        &["https://example.com.evil.example"],
        &["https://evil.example/https://example.com"],
        &["https://sub.example.com"],
        &["https://user@example.com"],
        &["null"],
        &[""],
        &["example.com"],
        &["https://example.com https://evil.example"],
        &["https://example.com", "https://evil.example"],
        &["https://example.com", "https://example.com"],
        &["https://ex\u{e4}mple.com"],
    ];
    for values in bad {
        let upgrade = values.iter().fold(Upgrade::to("/"), |upgrade, value| upgrade.header("Origin", value));
        let answers = ask(&mut world, &upgrade.bytes("dGhlIHNhbXBsZSBub25jZQ=="), usize::MAX, 1);
        assert_eq!(statuses(&answers), [403], "{values:?}");
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    assert_eq!((notes.all(), world.server.metrics().refused_origins), (vec![], bad.len() as u64));
    let good = ["https://example.com", "https://EXAMPLE.com", "http://localhost:8080"];
    for origin in good.map(Some).into_iter().chain([None]) {
        let upgrade = origin.into_iter().fold(Upgrade::to("/"), |upgrade, origin| upgrade.header("Origin", origin));
        let answers = ask(&mut world, &upgrade.bytes("dGhlIHNhbXBsZSBub25jZQ=="), usize::MAX, 1);
        assert_eq!(statuses(&answers), [101], "{origin:?}");
    }
    assert_eq!(notes.count("open"), good.len() + 1);
    world.end(Vec::new());
}

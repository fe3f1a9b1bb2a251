//! Rows 4 to 8 and 12 to 17 for the client's role: what a server may do to a client, and an application to a server through it,
//! over a network that cuts everything anywhere. Row 20 is among those about TLS.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidewire::client::Proxy;
use tidewire::engine::{LocalSocket, SocketError};
use tidewire::sys::Endpoint;
use tidewire::{Client, Compressor};
use tidewire_hardening::deflate::zlib;
use tidewire_hardening::text::BY_HAND;
use tidewire_hardening::{frame, head_as};
use tidewire_kit::client::accept_for;
use tidewire_kit::sim::{Faults, Network};
use tidewire_kit::{Random, for_each_seed};
use tidewire_proto::Role;

const LIMIT: Duration = Duration::from_secs(600);
const SEEDS: u64 = 1000;

/// What the client was told after `open`, and the code of the Close that the server got.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    told: Vec<String>,
    close: Option<u16>,
}

/// A frame of a server.
fn from_server(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(Role::Client, first, payload)
}

/// Runs a client against a server that answers the handshake, with this line among its headers, and then says `frames`.
fn meet(seed: u64, agreed: &str, compressor: Compressor, frames: &[u8]) -> Outcome {
    let (told, received) = opening(seed, agreed, compressor, frames, |_| {});
    Outcome { told, close: close_frame(&received).map(|(code, _)| code) }
}

/// As [`meet`], with what the client does in its `open`; what it was told, and the bytes that the server got behind the request.
fn opening(
    seed: u64,
    agreed: &str,
    compressor: Compressor,
    frames: &[u8],
    then: impl Fn(&LocalSocket) + 'static,
) -> (Vec<String>, Vec<u8>) {
    let network = Network::new(seed, Faults::rough());
    let mut listener = network.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let told = Rc::new(RefCell::new(Vec::new()));
    let note = || {
        let told = told.clone();
        move |line: String| told.borrow_mut().push(line.trim_end().to_owned())
    };
    let (open, message, close, error, ping) = (note(), note(), note(), note(), note());
    let client = Client::builder()
        .per_message_deflate(compressor)
        .options(|options| options.max_payload_length = 64 * 1024)
        .open(move |ws| {
            open("open".into());
            then(ws);
        })
        .message(move |_, text| message(format!("message {} {text:.20}", text.len())))
        .ping(move |_, data| ping(format!("ping {}", data.len())))
        .close(move |_, code, _| close(format!("close {code}")))
        .error(move |_, why| error(format!("error {why}")))
        .at([listener.local().clone()]);
    let mut worker = client.embed(Box::new(network.io()), "ws://a/").unwrap();
    let (mut peer, mut received, mut answered) = (None, Vec::new(), None);
    let ended = network.run(LIMIT, || {
        worker.turn(None).unwrap();
        peer = peer.take().or_else(|| listener.accept().ok());
        if let Some(peer) = &mut peer {
            received.extend(peer.read());
            if answered.is_none() && received.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8(std::mem::take(&mut received)).unwrap();
                let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                let accept = accept_for(key);
                let answer = format!("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{agreed}\r\n");
                peer.write(&[answer.as_bytes(), frames].concat());
                peer.shutdown();
                answered = Some(());
            }
        }
        worker.population().0 == 0 && peer.as_ref().is_some_and(|peer| peer.is_at_end() || peer.is_reset())
    });
    assert!(ended, "seed {seed}: {:?}", told.borrow());
    drop(worker);
    assert_eq!((network.open_sockets(), network.abandoned(), network.buffers_lent()), (0, 0, 0), "seed {seed}");
    (told.take(), received)
}

/// The code and the reason of the Close among masked control frames.
fn close_frame(mut frames: &[u8]) -> Option<(u16, Vec<u8>)> {
    while let [first, length, rest @ ..] = frames {
        let payload = rest.get(4..4 + usize::from(length & 0x7f))?;
        if *first == 0x88 && payload.len() >= 2 {
            let payload: Vec<u8> = payload.iter().zip(rest[..4].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            return Some((u16::from_be_bytes([payload[0], payload[1]]), payload[2..].to_vec()));
        }
        frames = &rest[4 + payload.len()..];
    }
    None
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// A good message, then these frames, then one that must not be seen: the client is told of the first, and that the server failed.
#[track_caller]
fn fails(seed: u64, what: &str, frames: &[u8], code: u16) {
    let bytes = [&from_server(0x81, b"good"), frames, &from_server(0x81, b"late"), &from_server(0x89, b"late")].concat();
    let outcome = meet(seed, "", Compressor::Disable, &bytes);
    let told = ["open".to_owned(), "message 4 good".to_owned(), format!("close {code}")];
    assert_eq!(outcome, Outcome { told: told.to_vec(), close: Some(code) }, "{what}, seed {seed}");
}

#[test]
fn row_05_lengths_that_cannot_be() {
    for_each_seed(SEEDS, |seed| {
        for (length, code) in [(1_u64 << 63, 1002), (u64::MAX, 1002), ((1 << 63) - 1, 1009), (65_537, 1009)] {
            fails(seed, "a length", &head_as(Role::Client, 0x82, 127, &length.to_be_bytes()), code);
        }
        fails(seed, "not minimal", &head_as(Role::Client, 0x82, 126, &[0, 125]), 1002);
        fails(seed, "not minimal", &head_as(Role::Client, 0x82, 127, &65_535_u64.to_be_bytes()), 1002);
    });
}

#[test]
fn row_06_what_a_server_may_not_answer_to_an_offer() {
    for_each_seed(SEEDS, |seed| {
        for bits in ["0", "7", "16", "99", "", "\"\"", "8;server_max_window_bits=8", "x", "08", "-1"] {
            for name in ["server_max_window_bits", "client_max_window_bits"] {
                let agreed = format!("Sec-WebSocket-Extensions: permessage-deflate;{name}={bits}\r\n");
                let outcome = meet(seed, &agreed, Compressor::Shared, &from_server(0x81, b"late"));
                assert_eq!((outcome.told.len(), &*outcome.told[1]), (2, "close 1006"), "{name}={bits}: {outcome:?}");
                assert!(outcome.told[0].starts_with("error"), "{outcome:?}");
            }
        }
        let twice = format!("{DEFLATE}{DEFLATE}");
        assert!(meet(seed, &twice, Compressor::Shared, &[]).told[0].starts_with("error"));
        assert!(meet(seed, DEFLATE, Compressor::Disable, &[]).told[0].starts_with("error"), "it was not offered");
    });
}

#[test]
fn row_12_text_that_is_none_in_one_frame_and_in_many() {
    for_each_seed(SEEDS, |seed| {
        for (bytes, why) in BY_HAND {
            let text = [b"so far so good ", *bytes].concat();
            let cut = seed as usize % text.len();
            fails(seed, why, &from_server(0x81, &text), 1007);
            fails(seed, why, &[from_server(0x01, &text[..cut]), from_server(0x80, &text[cut..])].concat(), 1007);
        }
    });
}

#[test]
fn row_13_a_server_that_masks() {
    for_each_seed(SEEDS, |seed| {
        for first in [0x81, 0x82, 0x88, 0x89, 0x8a] {
            fails(seed, "a mask", &frame(Role::Server, first, b"abc"), 1002);
        }
    });
}

#[test]
fn row_14_closes_that_are_none_and_what_comes_behind_one() {
    for_each_seed(SEEDS, |seed| {
        fails(seed, "one byte", &from_server(0x88, b"\x03"), 1002);
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535] {
            fails(seed, "a code", &from_server(0x88, &code.to_be_bytes()), 1002);
        }
        fails(seed, "a long one", &from_server(0x88, &[b"\x03\xe8", &[b'x'; 124][..]].concat()), 1002);
        fails(seed, "a reason", &from_server(0x88, b"\x03\xe8\xff"), 1007);
        let bytes = [from_server(0x88, b"\x0f\xa0bye"), from_server(0x81, b"late"), vec![0xff; 9]].concat();
        let told = vec!["open".to_owned(), "close 4000".to_owned()];
        assert_eq!(meet(seed, "", Compressor::Disable, &bytes), Outcome { told, close: Some(4000) }, "seed {seed}");
    });
}

#[test]
fn row_15_control_frames_and_opcodes() {
    for_each_seed(SEEDS, |seed| {
        for opcode in [0x8_u8, 0x9, 0xa] {
            fails(seed, "FIN = 0", &from_server(opcode, b""), 1002);
            fails(seed, "126 bytes", &from_server(0x80 | opcode, &[0; 126]), 1002);
            fails(seed, "RSV", &from_server(0xa0 | opcode, b""), 1002);
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            fails(seed, "an opcode", &from_server(0x80 | opcode, b"ab"), 1002);
        }
        fails(seed, "nothing to continue", &from_server(0x80, b"ab"), 1002);
        fails(seed, "another message", &[from_server(0x01, b"a"), from_server(0x81, b"b")].concat(), 1002);
        let parts =
            [from_server(0x01, b"he"), from_server(0x89, &[7; 125]), from_server(0x80, b"llo"), from_server(0x88, b"\x03\xe8")];
        let told = ["open", "ping 125", "message 5 hello", "close 1000"].map(str::to_owned).to_vec();
        assert_eq!(meet(seed, "", Compressor::Disable, &parts.concat()), Outcome { told, close: Some(1000) }, "seed {seed}");
    });
}

/// The ways in which both sides may have agreed on compression, as the client's option and the server's answer.
const AGREED: [(Compressor, &str); 2] = [
    (
        Compressor::Shared,
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
    ),
    (Compressor::Dedicated, DEFLATE),
];

/// As [`fails`], where compression was agreed on, in every way.
#[track_caller]
fn fails_compressed(seed: u64, what: &str, frames: &[u8], code: u16) {
    let good = from_server(0xc1, &zlib(6, b"good"));
    for (compressor, agreed) in AGREED {
        let outcome = meet(seed, agreed, compressor, &[&good, frames, &good].concat());
        let told = ["open".to_owned(), "message 4 good".to_owned(), format!("close {code}")];
        assert_eq!(outcome, Outcome { told: told.to_vec(), close: Some(code) }, "{what}, {compressor:?}, seed {seed}");
    }
}

/// A megabyte of zeroes: sixteen times what the client takes.
fn bomb() -> Vec<u8> {
    let bomb = zlib(9, &vec![0; 1 << 20]);
    assert!(bomb.len() < 2048);
    bomb
}

#[test]
fn row_04_a_bomb_of_a_servers() {
    let bomb = bomb();
    for_each_seed(SEEDS, |seed| {
        fails_compressed(seed, "a bomb", &from_server(0xc2, &bomb), 1009);
        fails_compressed(seed, "half of it", &from_server(0xc2, &bomb[..bomb.len() / 2]), 1009);
        let cut = 1 + seed as usize % (bomb.len() - 1);
        let pieces = [from_server(0x42, &bomb[..cut]), from_server(0x80, &bomb[cut..])].concat();
        fails_compressed(seed, "a bomb in pieces", &pieces, 1009);
    });
}

#[test]
fn row_07_a_reason_of_the_clients_is_sent_as_it_is_or_not_at_all() {
    for_each_seed(SEEDS, |seed| {
        let mut random = Random::new(seed);
        let letters = ["a", "\u{e9}", "\u{20ac}", "\u{1f600}", "\0", "\r\n"];
        let mut reason = String::new();
        while reason.len() < random.below(140) {
            let letter: &&str = random.pick(&letters);
            reason += letter;
        }
        let (fits, given) = (reason.len() <= 123, reason.clone());
        let bye = from_server(0x88, b"\x03\xe8");
        let (told, received) = opening(seed, "", Compressor::Disable, &bye, move |ws| {
            for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
                assert!(matches!(ws.close(code, &given), Err(SocketError::Usage(_))), "{code}");
            }
            let closed = ws.close(4999, &given);
            assert_eq!(closed.is_ok(), fits, "{closed:?} of {} bytes", given.len());
        });
        assert_eq!(told, ["open", "close 1000"]);
        // Refused: then the only Close is the answer to the server's.
        let expected = if fits { (4999, reason.into_bytes()) } else { (1000, Vec::new()) };
        assert_eq!(close_frame(&received), Some(expected), "seed {seed}");
    });
}

#[test]
fn row_08_what_would_break_a_line_of_the_handshake_is_refused_and_nobody_is_connected_to() {
    let network = Network::new(1, Faults::none());
    let mut listener = network.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let refused = |what: &str, url: &str, change: &dyn Fn(Client) -> Client| {
        let client = change(Client::builder().at([listener.local().clone()])).open(|_| panic!("it is open"));
        let embedded = client.embed(Box::new(network.io()), url);
        assert!(embedded.is_err(), "{what}");
        assert_eq!(network.open_sockets(), 0, "{what}");
    };
    for bad in ["\r", "\n", "\0", "\r\nX-Theirs: yes", "\r\n\r\nGET / HTTP/1.1\r\n\r\n"] {
        for text in [format!("{bad}b"), format!("a{bad}b"), format!("a{bad}")] {
            refused(&format!("a value: {text:?}"), "ws://a/", &|client| client.header("x", &text));
            refused(&format!("a name: {text:?}"), "ws://a/", &|client| client.header(&text, "x"));
            refused(&format!("a Host: {text:?}"), "ws://a/", &|client| client.header("Host", &text));
            refused(&format!("a subprotocol: {text:?}"), "ws://a/", &|client| client.protocol(&text));
            refused(&format!("a path: {text:?}"), &format!("ws://a/{text}/c"), &|client| client);
            refused(&format!("a query: {text:?}"), &format!("ws://a/?{text}=c"), &|client| client);
            refused(&format!("a host: {text:?}"), &format!("ws://{text}.example/"), &|client| client);
            let through = |proxy: Proxy| move |client: Client| client.proxy(proxy.clone());
            let proxy = || Proxy::at("http://p/").unwrap();
            refused(&format!("a proxy's value: {text:?}"), "ws://a/", &through(proxy().header("x", &text)));
            refused(&format!("a proxy's name: {text:?}"), "ws://a/", &through(proxy().header(&text, "x")));
            assert!(Proxy::at(&format!("http://{text}.example/")).is_err(), "a proxy: {text:?}");
        }
    }
    assert!(listener.accept().is_err());
}

#[test]
fn row_12_compressed_text_that_is_none_in_one_frame_and_in_many() {
    for_each_seed(SEEDS, |seed| {
        // Behind what fills the chunks that are inflated at once, or not.
        let before = *Random::new(seed).pick(&[5, 16_381, 16_383, 16_384, 32_766]);
        for (bytes, why) in BY_HAND {
            let text = [&vec![b'a'; before][..], bytes, b"b"].concat();
            let message = zlib(6, &text);
            let cut = 1 + seed as usize % (message.len() - 1);
            fails_compressed(seed, why, &from_server(0xc1, &message), 1007);
            let pieces = [from_server(0x41, &message[..cut]), from_server(0x80, &message[cut..])].concat();
            fails_compressed(seed, why, &pieces, 1007);
        }
    });
}

#[test]
fn row_16_reserved_bits_of_a_servers() {
    let good = zlib(6, b"good");
    for_each_seed(SEEDS, |seed| {
        fails(seed, "not agreed on", &from_server(0xc1, &good), 1002);
        for bits in [0x10, 0x20, 0x30, 0x60, 0x70] {
            fails(seed, "nobody's bits", &from_server(0x81 | bits, &good), 1002);
            fails_compressed(seed, "nobody's bits", &from_server(0x81 | bits, &good), 1002);
        }
        for first in [0xc8, 0xc9, 0xca] {
            fails_compressed(seed, "a control frame", &from_server(first, b""), 1002);
        }
        let pieces = [from_server(0x41, &good[..2]), from_server(0xc0, &good[2..])].concat();
        fails_compressed(seed, "a continuation", &pieces, 1002);
    });
}

#[test]
fn row_17_what_is_no_deflate_and_what_is_though_it_looks_odd() {
    for_each_seed(SEEDS, |seed| {
        fails_compressed(seed, "garbage", &from_server(0xc1, b"\xff\xff\xff\xff"), 1007);
        fails_compressed(seed, "cut off", &from_server(0xc2, &zlib(6, b"a message that is cut off")[..9]), 1007);
        fails_compressed(seed, "a stored block with a wrong length", &from_server(0xc1, b"\x00\x05\x00\x00\x00hello"), 1007);
        fails_compressed(seed, "text that is none", &from_server(0xc1, &zlib(6, b"ok so far\xff")), 1007);
        // A final block, and nothing at all: both are messages.
        let last = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
        let bytes = [from_server(0xc1, last), from_server(0xc1, b"\x00"), from_server(0x81, b"plain"), from_server(0x88, b"")];
        let told = ["open", "message 5 Hello", "message 0", "message 5 plain", "close 1005"].map(str::to_owned).to_vec();
        for (compressor, agreed) in AGREED {
            assert_eq!(meet(seed, agreed, compressor, &bytes.concat()).told, told, "{compressor:?}, seed {seed}");
        }
    });
}

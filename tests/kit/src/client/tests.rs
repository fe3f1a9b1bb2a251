//! The client against a server that the test plays by hand, simulated and real.

use super::*;
use crate::real;
use crate::sim::{Faults, Network, PeerListener};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use tidewire_sys::Endpoint;

/// A client and the other end of its connection.
struct Pair {
    client: Client<Peer>,
    server: Peer,
    _listener: PeerListener,
}

fn accept_head(request: &str, extra: &str) -> String {
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let accept = accept_for(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    )
}

impl Pair {
    fn new() -> Self {
        let network = Network::new(1, Faults::none());
        let mut listener = network.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let client = Client::open(network.connect(listener.local()), &Upgrade::to("/chat").header("X-Name", "N").seed(5));
        let server = listener.accept().unwrap();
        Self { client, server, _listener: listener }
    }

    /// A pair with the handshake behind it.
    fn upgraded(extra: &str) -> Self {
        let mut pair = Self::new();
        let request = String::from_utf8(pair.server.read()).unwrap();
        assert!(request.starts_with("GET /chat HTTP/1.1\r\nHost: localhost\r\n"), "{request}");
        assert!(request.ends_with("\r\nX-Name: N\r\n\r\n"));
        pair.server.write(accept_head(&request, extra).as_bytes());
        pair.settle();
        assert!(pair.client.is_open());
        pair
    }

    fn settle(&mut self) {
        while self.client.step() {}
    }

    /// What the client does with these bytes of the server: nothing, or a complaint.
    fn complaint(bytes: &[u8]) -> Option<String> {
        let mut pair = Self::upgraded("");
        pair.server.write(bytes);
        let outcome = catch_unwind(AssertUnwindSafe(|| pair.settle()));
        outcome.err().map(|panic| {
            panic.downcast_ref::<String>().cloned().unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).into())
        })
    }
}

#[test]
fn messages_come_whole_however_they_are_cut() {
    let mut pair = Pair::upgraded("");
    let bytes = [&b"\x81\x05hello\x01\x02a\xc3\x89\x04ping\x80\x01\xa4\x82\x7e\x01\x00"[..], &[7; 256]].concat();
    for byte in &bytes {
        pair.server.write(&[*byte]);
        pair.settle();
    }
    let expected = [Message::Text("hello".into()), Message::Text("aä".into()), Message::Binary(vec![7; 256])];
    assert_eq!(pair.client.messages(), expected);
    assert_eq!(pair.client.take_messages().len(), 3);
    assert!(pair.client.messages().is_empty());
    let opcodes: Vec<u8> = pair.client.take_frames().iter().map(Frame::opcode).collect();
    assert_eq!(opcodes, [TEXT, TEXT, PING, CONTINUATION, BINARY]);
    let (pong, _) = frame::decode(&pair.server.read()).unwrap();
    assert_eq!((pong.first, pong.masked, pong.payload), (FIN | PONG, true, b"ping".to_vec()));
}

#[test]
fn what_is_sent_is_masked_and_in_order() {
    let mut pair = Pair::upgraded("");
    pair.client.send_text("text");
    pair.client.send_binary(&[1, 2]);
    pair.client.send_fragments(TEXT, &[b"in", b" ", b"three"]);
    pair.client.ping(b"?");
    pair.client.close(1000, "done");
    let mut bytes = pair.server.read();
    let mut seen = Vec::new();
    while let Some((frame, taken)) = frame::decode(&bytes) {
        assert!(frame.masked);
        seen.push((frame.first, frame.payload));
        bytes.drain(..taken);
    }
    let expected: [(u8, &[u8]); 7] =
        [(0x81, b"text"), (0x82, &[1, 2]), (0x01, b"in"), (0x00, b" "), (0x80, b"three"), (0x89, b"?"), (0x88, b"\x03\xe8done")];
    assert_eq!(seen, expected.map(|(first, payload)| (first, payload.to_vec())));
}

#[test]
fn a_close_frame_is_echoed_once_and_the_end_is_told() {
    let mut pair = Pair::upgraded("");
    pair.server.write(b"\x88\x05\x03\xe9bye");
    pair.settle();
    assert!(!pair.client.is_open());
    assert_eq!(pair.client.close_frame(), Some(&CloseFrame { code: Some(1001), reason: "bye".into() }));
    let (echo, _) = frame::decode(&pair.server.read()).unwrap();
    assert_eq!((echo.opcode(), &echo.payload[..]), (CLOSE, &b"\x03\xe9bye"[..]));
    assert_eq!(pair.client.ended(), None);
    pair.server.shutdown();
    pair.settle();
    assert_eq!(pair.client.ended(), Some(Ended::Fin));
}

#[test]
fn a_client_can_be_told_to_answer_nothing() {
    let mut pair = Pair::upgraded("");
    pair.client.answer_nothing();
    pair.server.write(b"\x89\x00\x88\x00");
    pair.settle();
    assert_eq!(pair.client.close_frame().unwrap().code, None);
    assert_eq!(pair.server.read(), b"");
}

#[test]
fn a_reset_is_told() {
    let mut pair = Pair::upgraded("");
    pair.server.write(b"\x81\x01x");
    pair.server.reset();
    while pair.client.step() {}
    assert_eq!(pair.client.messages().len(), 1);
    assert_eq!(pair.client.ended(), Some(Ended::Reset));
}

#[test]
fn a_refusal_has_its_body() {
    let mut pair = Pair::new();
    pair.server.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nnot you");
    pair.server.shutdown();
    pair.settle();
    let response = pair.client.response().unwrap();
    assert_eq!((response.status, response.text()), (403, "not you"));
    assert!(!pair.client.is_open());
}

#[test]
fn a_wrong_answer_to_the_key_is_refused() {
    let mut pair = Pair::new();
    let head = accept_head("Sec-WebSocket-Key: another\r\n", "");
    pair.server.write(head.as_bytes());
    let complaint = catch_unwind(AssertUnwindSafe(|| pair.settle())).unwrap_err();
    assert!(complaint.downcast_ref::<String>().unwrap().contains("Sec-WebSocket-Accept"));
}

#[test]
fn every_breach_of_the_rfc_is_named() {
    let breaches: [(&[u8], &str); 16] = [
        (b"\x81\x81\0\0\0\0x", "5.1: a server must not mask"),
        (b"\x81\x7e\0\x01x", "5.2: the length"),
        (b"\x82\x7f\0\0\0\0\0\0\0\x01x", "5.2: the length"),
        (b"\xc1\x01x", "5.2: a reserved bit"),
        (b"\x99\x00", "5.2: a reserved bit"),
        (b"\x83\x00", "5.2: opcode 3"),
        (b"\x8b\x00", "5.2: opcode 11"),
        (b"\x80\x01x", "5.4: a continuation of nothing"),
        (b"\x01\x01x\x81\x01y", "5.4: a new message"),
        (b"\x09\x00", "5.5: a control frame must not be fragmented"),
        (&[&b"\x89\x7e\0\x7e"[..], &[0; 126]].concat(), "5.5: a control frame has at most 125"),
        (b"\x88\x00\x81\x01x", "5.5.1: a frame after the close"),
        (b"\x88\x01\x03", "5.5.1: a close frame of one byte"),
        (b"\x88\x03\x03\xe8\xff", "5.5.1: a reason must be UTF-8"),
        (b"\x88\x02\x03\xee", "7.4: Some(1006) must not be sent"),
        (b"\x81\x01\xff", "8.1: text must be UTF-8"),
    ];
    for (bytes, rule) in breaches {
        let complaint = Pair::complaint(bytes).unwrap_or_else(|| panic!("{rule}: {bytes:?} was accepted"));
        assert!(complaint.contains(&format!("section {rule}")), "{complaint:?} for {rule}");
    }
    assert_eq!(Pair::complaint(b"\x01\x00\x00\x00\x80\x00\x89\x00\x88\x02\x13\x87"), None, "and what is right is right");
}

#[test]
fn compressed_messages_are_handed_over_as_they_are() {
    let mut pair = Pair::upgraded("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    pair.server.write(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x01x");
    pair.settle();
    let compressed = Message::Compressed(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec());
    assert_eq!(pair.client.take_messages(), [compressed, Message::Text("x".into())]);
}

/// A real server that upgrades one connection, waits for as many bytes of frames as it is told to, sends its own, and waits
/// for the client's end. Gives all frames of the client.
fn serve(greeting: usize, bytes: &'static [u8]) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(real::PATIENCE)).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let head = accept_head(&String::from_utf8(request).unwrap(), "");
        stream.write_all(head.as_bytes()).unwrap();
        let mut frames = vec![0; greeting];
        stream.read_exact(&mut frames).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_end(&mut frames).unwrap();
        frames
    });
    (address, server)
}

#[test]
fn the_same_client_works_on_a_real_connection() {
    let (address, server) = serve(11, b"\x81\x03one\x81\x03two\x88\x02\x03\xe8");
    let mut client = real::Client::connect(address);
    client.send_text("hello");
    assert_eq!(client.next_message(), Message::Text("one".into()));
    assert_eq!(client.next_message(), Message::Text("two".into()));
    assert_eq!(client.wait_ended(), Some(CloseFrame { code: Some(1000), reason: String::new() }));
    drop(client);
    let sent = server.join().unwrap();
    let (greeting, taken) = frame::decode(&sent).unwrap();
    assert_eq!((greeting.opcode(), &greeting.payload[..]), (TEXT, &b"hello"[..]));
    let (echo, _) = frame::decode(&sent[taken..]).unwrap();
    assert_eq!((echo.opcode(), &echo.payload[..]), (CLOSE, &b"\x03\xe8"[..]));
}

#[test]
fn a_connection_that_ends_too_early_is_said() {
    let (address, server) = serve(0, b"");
    let mut client = real::Client::connect(address);
    let failure = catch_unwind(AssertUnwindSafe(|| client.next_message())).unwrap_err();
    assert!(failure.downcast_ref::<String>().unwrap().contains("the connection ended before"));
    drop(client);
    server.join().unwrap();
}

#[test]
fn responses_are_read_one_after_the_other() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 404 No\r\n\r\nthe rest").unwrap();
    });
    let mut connection = real::Connection::tcp(address).unwrap();
    assert_eq!(connection.read_response().text(), "one");
    assert_eq!(connection.read_response().text(), "the rest");
    server.join().unwrap();
}

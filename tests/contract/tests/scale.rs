//! Many at once on real sockets: 9,000 that are silent and 100 that are not, among them some that are cut off and some that do not read.
//! Nothing is lost for the others, and descriptors and memory come back.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidewire::{Server, Upgrade};
use tidewire_kit::Random;
use tidewire_kit::client::Message;
use tidewire_kit::process::{open_descriptors, resident_bytes};
use tidewire_kit::real::{Client, wait_until};

const IDLE: usize = 9_000;
const STEADY: usize = 70;
const CUT: usize = 15;
const SLOW: usize = 15;
const ROUNDS: usize = 100;

/// Both ends of each connection are ours.
const DESCRIPTORS: u64 = 2 * (IDLE + STEADY + CUT + SLOW) as u64 + 500;

fn raise_the_limit_of_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|most| most >= DESCRIPTORS),
        "this test needs {DESCRIPTORS} descriptors, and the system allows {:?}: raise it with `ulimit -Hn`",
        limit.maximum
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: limit.maximum }).unwrap();
}

/// A socket that is upgraded and then left alone.
fn idle(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
        .write_all(
            b"GET /idle HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Talks and listens; everything must come back, in order.
fn steady(address: SocketAddr, name: usize) {
    let mut client = Client::connect(address);
    let mut random = Random::new(name as u64);
    for round in 0..ROUNDS {
        let text = format!("{name} {round} {}", "x".repeat(random.below(2000)));
        client.send_text(&text);
        assert_eq!(client.next_message(), Message::Text(text));
    }
    client.close(1000, "");
    assert_eq!(client.wait_ended().and_then(|close| close.code), Some(1000));
}

/// Is cut off in the middle of things, again and again.
fn cut(address: SocketAddr, name: usize) {
    let mut random = Random::new(1_000 + name as u64);
    for _ in 0..20 {
        let mut stream = idle(address);
        let frame = [0x81, 0xfe, 0x01, 0x00, 0, 0, 0, 0, b'a', b'b'];
        stream.write_all(&frame[..random.within(0..=frame.len())]).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
    }
}

/// Publishes to those who do not read until everybody else is done and drops have begun, so for as long as it takes to fill the
/// kernel's buffers, and never far ahead of the workers: what waits in their mailboxes is memory too.
fn flood(server: &Server, over: &AtomicBool) {
    const AHEAD: u64 = 100;
    for published in 0..50_000 {
        let dealt_with = || {
            let metrics = server.metrics();
            (metrics.messages_out + metrics.dropped_backpressure) / SLOW as u64
        };
        wait_until("the workers to keep up", || dealt_with() + AHEAD > published);
        if over.load(Ordering::Relaxed) && server.metrics().dropped_backpressure > 0 {
            return;
        }
        server.publish("flood", vec![7; 16 * 1024]);
    }
    panic!("those who do not read never met their limit");
}

#[test]
fn nine_thousand_idle_and_a_hundred_active_leave_nothing_behind() {
    raise_the_limit_of_descriptors();
    let server = Server::builder()
        .workers(2)
        .backpressure_limit(256 * 1024)
        .fetch(|req, server| async move {
            let slow = req.uri().path() == "/slow";
            server.upgrade(&req, Upgrade::new(slow))
        })
        .open(|ws| {
            if *ws.data() {
                ws.subscribe("flood");
            }
        })
        .message(|ws, message| {
            ws.send(message);
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], server.port().unwrap()).into();
    let descriptors = open_descriptors().unwrap();

    let sleeping: Vec<_> = (0..IDLE).map(|_| idle(address)).collect();
    let resident = resident_bytes().unwrap();
    let slow: Vec<_> = (0..SLOW).map(|_| Client::connect_with(address, &tidewire_kit::client::Upgrade::to("/slow"))).collect();
    wait_until("the slow readers' subscriptions", || server.subscriber_count("flood") == SLOW);
    assert_eq!(server.pending_web_sockets(), (IDLE + SLOW) as u64);

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&server, &over));
        let steady: Vec<_> = (0..STEADY).map(|name| scope.spawn(move || steady(address, name))).collect();
        let cut: Vec<_> = (0..CUT).map(|name| scope.spawn(move || cut(address, name))).collect();
        // All are joined before anything is judged, so that the flood always ends.
        let results: Vec<_> = steady.into_iter().chain(cut).map(|client| client.join()).collect();
        over.store(true, Ordering::Relaxed);
        flood.join().unwrap();
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert!(server.metrics().dropped_backpressure > 0, "drops for those who do not read");
    let grown = resident_bytes().unwrap().saturating_sub(resident);
    assert!(grown < 64 * 1024 * 1024, "what is held for slow readers is bounded: {grown} bytes");

    drop(slow);
    drop(sleeping);
    wait_until("every socket's end", || server.pending_web_sockets() == 0);
    wait_until("the descriptors", || open_descriptors().unwrap() <= descriptors);
    let metrics = server.metrics();
    assert_eq!(metrics.opened, metrics.ended);
    assert_eq!(metrics.opened, (IDLE + SLOW + STEADY + CUT * 20) as u64);
    assert_eq!(server.subscriber_count("flood"), 0);
    let left = resident_bytes().unwrap().saturating_sub(resident);
    assert!(left < 24 * 1024 * 1024, "{left} bytes more than with 9,000 idle sockets");
    server.stop();
    server.join().unwrap();
}

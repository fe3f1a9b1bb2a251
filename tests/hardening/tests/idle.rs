//! What an idle connection costs the server in live memory, to the byte: what it keeps when its handshake is over, what a crowd holds
//! that comes at once, and that all of it is given back. (What is resident is more or less by what an allocator makes of it; `cargo
//! xtask bench compare --rows idle` shows that.)

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test from end to end: what goes wrong has to be loud")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure, opt_out};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions, Readiness};
use tidewire::{Builder, Deflate};
use tidewire_contract::upgrading;

/// Connections before the first look: what is allocated once, for the first of all, is not counted.
const FIRST: usize = 64;
/// A whole number of the table's pages, and just more than a power of two, where what grows by doubling has most to spare.
const CROWD: usize = 1024;

/// For three such crowds, with both ends of each connection in this process.
const DESCRIPTORS: u64 = 8192;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

/// Each test is a process of its own, or shares one that has room for all.
fn raise_the_limit_of_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
}

/// A server on the kernel's loopback that is turned by hand, and the clients' sockets, which hold no memory of this process.
struct Place {
    worker: Worker,
    address: SocketAddr,
    clients: Vec<TcpStream>,
    request: String,
}

impl Place {
    fn new(builder: Builder<()>, offer: &str) -> Self {
        raise_the_limit_of_descriptors();
        let (_, mut workers) = builder.embed(vec![Box::new(Readiness::new().unwrap())]);
        let mut worker = workers.pop().unwrap();
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        let Endpoint::Tcp(address) = worker.listen(&endpoint, &ListenOptions::default()).unwrap() else { unreachable!() };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: idle.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        let mut place = Self { worker, address, clients: Vec::with_capacity(FIRST + CROWD), request };
        place.open(FIRST, FIRST);
        place
    }

    fn turn(&mut self) {
        self.worker.turn(Some(Duration::from_millis(100))).unwrap();
    }

    /// Turns until there are so many connections, and so many of them are open.
    fn turn_until(&mut self, connections: usize, open: usize) {
        while self.worker.population() != (connections, open) {
            self.turn();
        }
    }

    /// Connects in silence.
    fn connect(&mut self, count: usize) {
        for _ in 0..count {
            let client = TcpStream::connect(self.address).unwrap();
            client.set_nonblocking(true).unwrap();
            self.clients.push(client);
        }
        let all = self.clients.len();
        let open = self.worker.population().1;
        self.turn_until(all, open);
    }

    /// Opens WebSockets in waves.
    fn open(&mut self, count: usize, wave: usize) {
        for _ in 0..count / wave {
            let before = self.clients.len();
            self.connect(wave);
            for client in &mut self.clients[before..] {
                client.write_all(self.request.as_bytes()).unwrap();
            }
            let all = self.clients.len();
            self.turn_until(all, all);
            let mut response = [0; 1024];
            for client in &mut self.clients[before..] {
                while matches!(client.read(&mut response), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                    self.worker.turn(Some(Duration::ZERO)).unwrap();
                }
                assert!(response.starts_with(b"HTTP/1.1 101"));
            }
        }
    }

    /// Has the clients behind the first leave.
    fn leave(&mut self) {
        self.clients.truncate(FIRST);
        self.turn_until(FIRST, FIRST);
    }
}

/// Bytes for each connection of the crowd.
fn each(bytes: i64) -> i64 {
    bytes / CROWD as i64
}

/// What stays of a crowd of WebSockets while it is there; and when it has left.
fn cost(builder: Builder<()>, offer: &str) -> (i64, AllocationInfo) {
    let mut place = Place::new(builder, offer);
    let mut there = 0;
    let over = measure(|| {
        there = measure(|| place.open(CROWD, 32)).bytes_current;
        place.leave();
    });
    opt_out(|| drop(place));
    (each(there), over)
}

#[test]
fn an_idle_socket_keeps_its_slot_its_data_and_its_timer() {
    let (there, over) = cost(upgrading(), "");
    // 128 for its slot in the table, 16 for the `Rc` of its data, 12 to 24 for its timer, one or two for its descriptor.
    assert!(there <= 184, "{there} bytes for each");
    assert!(each(over.bytes_current) <= 64, "lists that keep their room are all that stays: {over:?}");
}

#[test]
fn shared_compression_adds_nothing_to_an_idle_socket() {
    let (plain, _) = cost(upgrading(), "");
    let (there, _) = cost(upgrading().per_message_deflate(Deflate::default()), OFFER);
    assert!(there <= plain + 64, "{there} bytes for each, of which {plain} without");
}

#[test]
fn a_crowd_that_comes_at_once_holds_no_more_than_its_slots() {
    let mut place = Place::new(upgrading(), "");
    let silent = measure(|| place.connect(CROWD));
    assert!(each(silent.bytes_max as i64) <= 200, "who only connects costs a slot: {silent:?}");
    for client in &mut place.clients[FIRST..] {
        client.write_all(place.request.as_bytes()).unwrap();
    }
    let all = place.clients.len();
    let opening = measure(|| place.turn_until(all, all));
    assert!(opening.bytes_max <= 512 * 1024, "each has its handshake's memory only while it is being served: {opening:?}");
}

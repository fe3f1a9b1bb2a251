//! A server that is turned by hand, and its clients, in one thread.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions, Readiness};
use tidewire::{Builder, Server};

/// The part of a run whose instructions are counted: a turn of the server.
#[inline(never)]
pub fn measured(worker: &mut Worker) {
    worker.turn(Some(Duration::ZERO)).expect("the kernel's poller works");
}

pub struct World {
    server: Server,
    worker: Worker,
    /// The other worker of the server, if there is one. It has no clients.
    other: Option<Worker>,
    path: PathBuf,
    pub clients: Vec<UnixStream>,
    buffer: Vec<u8>,
}

/// What a client says to be upgraded.
const REQUEST: &str = "GET /chat?name=x HTTP/1.1\r\nHost: counts.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: */*\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nOrigin: http://counts.test\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

impl World {
    /// A server with so many clients.
    pub fn new<T: 'static>(builder: Builder<T>, clients: usize) -> Self {
        Self::with_workers(1, builder, clients)
    }

    /// The same with another worker beside the one that has the clients.
    pub fn of_two<T: 'static>(builder: Builder<T>, clients: usize) -> Self {
        Self::with_workers(2, builder, clients)
    }

    fn with_workers<T: 'static>(workers: usize, builder: Builder<T>, clients: usize) -> Self {
        let path = std::env::temp_dir().join(format!("tidewire-counts-{}.sock", std::process::id()));
        let ios = (0..workers).map(|_| Box::new(Readiness::new().expect("there are descriptors")) as _).collect();
        let (server, mut workers) = builder.embed(ios);
        let mut worker = workers.pop().expect("an Io makes a worker");
        worker.listen(&Endpoint::Unix(path.clone()), &ListenOptions::default()).expect("the path is free");
        let mut world = Self { server, worker, other: workers.pop(), path, clients: Vec::new(), buffer: vec![0; 1 << 20] };
        world.open(clients, |worker| worker.turn(Some(Duration::ZERO)).expect("the kernel's poller works"));
        world
    }

    /// Opens so many more clients, turning the server with `turn`.
    pub fn open(&mut self, count: usize, turn: impl Fn(&mut Worker)) {
        for _ in 0..count {
            let mut client = UnixStream::connect(&self.path).expect("the server listens");
            client.write_all(REQUEST.as_bytes()).expect("a request fits");
            client.set_nonblocking(true).expect("it can be");
            loop {
                turn(&mut self.worker);
                match client.read(&mut self.buffer) {
                    Ok(length) => break assert!(self.buffer[..length].starts_with(b"HTTP/1.1 101"), "it is upgraded"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            self.clients.push(client);
        }
        // What the last openings had announced.
        self.discard();
    }

    /// Has the clients leave, and the server notice it.
    pub fn leave(&mut self, turn: impl Fn(&mut Worker)) {
        self.clients.clear();
        while self.worker.population().0 > 0 {
            turn(&mut self.worker);
        }
    }

    fn discard(&mut self) {
        self.worker.turn(Some(Duration::ZERO)).expect("the kernel's poller works");
        for client in &mut self.clients {
            while client.read(&mut self.buffer).is_ok() {}
        }
    }

    /// Publishes so many messages on the other worker, in one turn of it that is not measured.
    pub fn publish_elsewhere(&mut self, topic: &str, text: &str, count: usize) {
        let other = self.other.as_mut().expect("there are two workers");
        other.enter(|| {
            for _ in 0..count {
                assert!(!self.server.publish(topic, text).is_dropped(), "somebody is subscribed");
            }
        });
        other.turn(Some(Duration::ZERO)).expect("the kernel's poller works");
    }

    /// Writes for a client what fits into its socket: all of it, which is the caller's promise.
    pub fn write(&mut self, client: usize, bytes: &[u8]) {
        self.clients[client].write_all(bytes).expect("it fits");
    }

    /// Measured turns until a client has received so many bytes; they are given.
    pub fn read(&mut self, client: usize, length: usize) -> &[u8] {
        let mut received = 0;
        while received < length {
            match self.clients[client].read(&mut self.buffer[received..]) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(more) => received += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => measured(&mut self.worker),
                Err(error) => panic!("reading: {error}"),
            }
        }
        assert_eq!(received, length, "nothing else is sent");
        &self.buffer[..length]
    }

    /// Measured turns until a client receives something, all of which is given.
    pub fn read_some(&mut self, client: usize) -> &[u8] {
        let length = loop {
            match self.clients[client].read(&mut self.buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => measured(&mut self.worker),
                Err(error) => panic!("reading: {error}"),
            }
        };
        &self.buffer[..length]
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The worker removes it too, when it is dropped in good order.
        let _ = fs::remove_file(&self.path);
    }
}

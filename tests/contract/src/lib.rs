//! What the tests of the contract share: a server on a simulated network, and its clients.

#![forbid(unsafe_code)]
// A test from end to end: what goes wrong in it has to be loud.
#![allow(clippy::expect_used)]

mod notes;

use std::time::Duration;

pub use notes::Notes;
use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Builder, Server, Upgrade as Upgraded};
use tidewire_kit::client::{Client, Message, Upgrade, Wire};
use tidewire_kit::http::{self, Response};
use tidewire_kit::sim::{Faults, Network, Peer};

/// More virtual time than any test needs.
pub const LIMIT: Duration = Duration::from_secs(3600);

/// Text messages, as a client would have received them.
#[must_use]
pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Vec<Message> {
    texts.into_iter().map(|text| Message::Text(text.into())).collect()
}

/// A server that upgrades every request and attaches nothing.
pub fn upgrading() -> Builder<()> {
    Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgraded::new(())) })
}

/// The same, with `open`, `message` and `close` noted as `open`, `message TEXT` and `close CODE REASON`.
pub fn noting(notes: &Notes) -> Builder<()> {
    let (open, message, close) = (notes.clone(), notes.clone(), notes.clone());
    upgrading()
        .open(move |_| open.add("open"))
        .message(move |_, text| message.add(format!("message {text}")))
        .close(move |_, code, reason| close.add(format!("close {code} {reason}").trim_end()))
}

/// A server whose workers are turned over a simulated network.
pub struct World {
    /// The network.
    pub network: Network,
    /// Its workers, in one thread.
    pub workers: Vec<Worker>,
    /// The server's handle.
    pub server: Server,
    /// Where all workers listen.
    pub endpoint: Endpoint,
}

impl World {
    /// Listens on a network that follows from `seed`.
    ///
    /// # Panics
    /// When the simulator refuses to listen.
    #[must_use]
    pub fn new<T: 'static>(seed: u64, faults: Faults, workers: usize, builder: Builder<T>) -> Self {
        let network = Network::new(seed, faults);
        let ios = (0..workers).map(|_| Box::new(network.io()) as _).collect();
        let (server, mut workers) = builder.embed(ios);
        let mut endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        let options = ListenOptions { reuse_port: workers.len() > 1, ..ListenOptions::default() };
        for worker in &mut workers {
            endpoint = worker.listen(&endpoint, &options).expect("the port is free");
        }
        Self { network, workers, server, endpoint }
    }

    /// One worker on an honest network: for what does not depend on it.
    #[must_use]
    pub fn calm<T: 'static>(builder: Builder<T>) -> Self {
        Self::new(0, Faults::none(), 1, builder)
    }

    /// A raw connection.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.network.connect(&self.endpoint)
    }

    /// A client that asks for an upgrade at `/`.
    #[must_use]
    pub fn client(&self) -> Client<Peer> {
        self.client_at("/")
    }

    /// A client that asks for an upgrade.
    #[must_use]
    pub fn client_at(&self, target: &str) -> Client<Peer> {
        Client::open(self.peer(), &Upgrade::to(target))
    }

    /// A client that is open.
    ///
    /// # Panics
    /// When the upgrade never comes about.
    #[must_use]
    pub fn opened(&mut self) -> Client<Peer> {
        let mut client = [self.client()];
        self.until(&mut client, "an upgrade", |client| client[0].is_open());
        let [client] = client;
        client
    }

    /// Sends raw bytes on a connection of their own and reads one response.
    ///
    /// # Panics
    /// When there is none.
    pub fn ask(&mut self, request: &[u8]) -> Response {
        let mut peer = self.peer();
        peer.write(request);
        let (mut received, mut response) = (Vec::new(), None);
        let answered = self.run(|| {
            received.extend(peer.read());
            response = http::parse(&received, peer.is_at_end());
            response.is_some()
        });
        assert!(answered, "no response to {:?}", String::from_utf8_lossy(request));
        response.expect("it was answered").0
    }

    /// Turns every worker once. The simulator's wait returns at once, and remembers until when the worker would have slept.
    pub fn turn(&mut self) {
        turn(&mut self.workers);
    }

    /// Lets the world run until `done`; whether it came to that.
    pub fn run(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let workers = &mut self.workers;
        self.network.run(LIMIT, || {
            turn(workers);
            done()
        })
    }

    /// Lets the world and these clients run until `done`.
    ///
    /// # Panics
    /// When it never comes to that; `what` says what was waited for.
    pub fn until<W: Wire>(&mut self, clients: &mut [Client<W>], what: &str, mut done: impl FnMut(&[Client<W>]) -> bool) {
        let workers = &mut self.workers;
        let reached = self.network.run(LIMIT, || {
            turn(workers);
            clients.iter_mut().for_each(|client| while client.step() {});
            done(clients)
        });
        assert!(reached, "waited in vain for: {what}");
    }

    /// Lets the world and these clients run until nothing is left to do; timers are left alone.
    pub fn settle(&mut self, clients: &mut [Client<Peer>]) {
        self.settle_with(clients);
    }

    /// As [`World::settle`], with clients on any wire.
    pub fn settle_with<W: Wire>(&mut self, clients: &mut [Client<W>]) {
        let workers = &mut self.workers;
        self.network.settle(|| {
            turn(workers);
            clients.iter_mut().for_each(|client| while client.step() {});
        });
    }

    /// Lets time pass with these clients beside it.
    pub fn pass(&mut self, time: Duration, clients: &mut [Client<Peer>]) {
        let end = self.network.now() + time;
        let (network, workers) = (&self.network, &mut self.workers);
        network.run(time, || {
            turn(workers);
            clients.iter_mut().for_each(|client| while client.step() {});
            network.now() >= end
        });
    }

    /// Stops the server and drops it.
    ///
    /// # Panics
    /// When a socket or a buffer is left, or an open had no close.
    pub fn end(self, clients: Vec<Client<Peer>>) {
        self.end_with(clients);
    }

    /// As [`World::end`], with clients on any wire.
    ///
    /// # Panics
    /// As [`World::end`].
    pub fn end_with<W: Wire>(mut self, clients: Vec<Client<W>>) {
        let mut clients = clients;
        self.server.stop();
        let workers = &mut self.workers;
        let ended = self.network.run(LIMIT, || {
            turn(workers);
            clients.iter_mut().for_each(|client| while client.step() {});
            workers.iter().all(Worker::is_finished)
        });
        assert!(ended, "a worker never finished");
        let metrics = self.server.metrics();
        assert_eq!(metrics.opened, metrics.ended, "every open has one close: {metrics:?}");
        assert_eq!(metrics.accepted, metrics.closed, "every connection is closed: {metrics:?}");
        self.workers.clear();
        assert_eq!(self.network.open_sockets(), 0, "a descriptor leaks");
        assert_eq!(self.network.buffers_lent(), 0, "a buffer was not given back");
    }
}

fn turn(workers: &mut [Worker]) {
    for worker in workers {
        worker.turn(None).expect("a turn outside of handlers works");
    }
}

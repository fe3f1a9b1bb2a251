//! What the tests of the contract share: a server on a simulated network, and its clients.

#![forbid(unsafe_code)]
// A test from end to end: what goes wrong in it has to be loud.
#![allow(clippy::expect_used)]

mod notes;
mod real;

use std::time::Duration;

pub use notes::Notes;
pub use real::with_workers;
use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire::{Builder, Server, Upgrade as Upgraded};
use tidewire_kit::Random;
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
    turns: Random,
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
        Self { network, workers, server, endpoint, turns: Random::new(seed ^ 0x70_12_45) }
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

    /// Lets every worker turn; of several, some turn more than once while others do not. The simulator's wait returns at once, and
    /// remembers until when the worker would have slept.
    pub fn turn(&mut self) {
        turn(&mut self.workers, &mut self.turns);
    }

    /// The network, and what turns the workers: for a test that runs the network itself.
    pub fn split(&mut self) -> (&Network, impl FnMut()) {
        let (workers, turns) = (&mut self.workers, &mut self.turns);
        (&self.network, || turn(workers, turns))
    }

    /// Lets the world run until `done`; whether it came to that.
    pub fn run(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let (network, mut turn) = self.split();
        network.run(LIMIT, || {
            turn();
            done()
        })
    }

    /// Lets the world and these clients run until `done`.
    ///
    /// # Panics
    /// When it never comes to that; `what` says what was waited for.
    pub fn until<W: Wire>(&mut self, clients: &mut [Client<W>], what: &str, mut done: impl FnMut(&[Client<W>]) -> bool) {
        let (network, mut turn) = self.split();
        let reached = network.run(LIMIT, || {
            turn();
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
        let (network, mut turn) = self.split();
        network.settle(|| {
            turn();
            clients.iter_mut().for_each(|client| while client.step() {});
        });
    }

    /// Lets time pass with these clients beside it.
    pub fn pass(&mut self, time: Duration, clients: &mut [Client<Peer>]) {
        let (network, mut turn) = self.split();
        let end = network.now() + time;
        network.run(time, || {
            turn();
            clients.iter_mut().for_each(|client| while client.step() {});
            network.now() >= end
        });
    }

    /// Stops the server and drops it.
    ///
    /// # Panics
    /// When a socket or a buffer is left, an open had no close, or a byte was not counted.
    pub fn end(mut self, mut clients: Vec<Client<Peer>>) {
        self.stop(&mut clients);
        let (metrics, calls) = (self.server.metrics(), self.network.calls());
        let counted = (metrics.bytes_in, metrics.bytes_out);
        assert_eq!(counted, (calls.bytes_received, calls.bytes_sent), "every byte is accounted for: {metrics:?}");
        self.clear();
    }

    /// As [`World::end`], with clients on any wire. Bytes are not compared: under TLS the kernel moves others than we count.
    ///
    /// # Panics
    /// As [`World::end`].
    pub fn end_with<W: Wire>(mut self, mut clients: Vec<Client<W>>) {
        self.stop(&mut clients);
        self.clear();
    }

    fn stop<W: Wire>(&mut self, clients: &mut [Client<W>]) {
        self.server.stop();
        let (workers, turns) = (&mut self.workers, &mut self.turns);
        let ended = self.network.run(LIMIT, || {
            turn(workers, turns);
            clients.iter_mut().for_each(|client| while client.step() {});
            workers.iter().all(Worker::is_finished)
        });
        assert!(ended, "a worker never finished");
        let metrics = self.server.metrics();
        assert_eq!(metrics.opened, metrics.ended, "every open has one close: {metrics:?}");
        assert_eq!(metrics.accepted, metrics.closed, "every connection is closed: {metrics:?}");
    }

    fn clear(mut self) {
        self.workers.clear();
        assert_eq!(self.network.open_sockets(), 0, "a descriptor leaks");
        assert_eq!(self.network.buffers_lent(), 0, "a buffer was not given back");
    }
}

fn turn(workers: &mut [Worker], random: &mut Random) {
    // Several: as many turns by chance, and then each once, so that every step hears until when every worker would sleep.
    let several = if workers.len() > 1 { workers.len() } else { 0 };
    let by_chance: Vec<_> = (0..several).map(|_| random.below(several)).collect();
    for next in by_chance.into_iter().chain(0..workers.len()) {
        workers[next].turn(None).expect("a turn outside of handlers works");
    }
}

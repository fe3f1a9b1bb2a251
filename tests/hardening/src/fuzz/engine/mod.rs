//! Target `engine`: a server and clients on the simulated network, with peers that do anything and a network that loses its temper. Whatever
//! happens, every open has exactly one close and nothing between or after them that does not belong there; what the server sends is
//! WebSocket; memory stays within what the limits allow; and when it is told to stop it ends, with nothing left over.
//!
//! Input: four bytes that seed the network, two of options, one of faults; then steps, each a byte that says what is done and what that
//! needs. Peers are of two kinds: clients
//! that read all that comes and fail when it breaks the RFC, and raw connections. The server's worker connects to others too.

mod application;
mod dials;
mod peers;

use std::time::Duration;

use tidewire::Server;
use tidewire::engine::Worker;
use tidewire::sys::{Endpoint, ListenOptions};
use tidewire_kit::sim::{Faults, Network};

use self::application::{Lives, builder};
use self::dials::Dials;
use self::peers::Peers;
use super::Input;

/// More virtual time than anything may take that is told to end.
const LIMIT: Duration = Duration::from_secs(600);
/// What a run may hold at a time: some thirty connections with compressors of their own, a third of a MiB each, and what their limits
/// allow. Most hold a quarter of a MiB, and none that was bred more than three.
const MEMORY: u64 = 16 * 1024 * 1024;
/// The most steps of one run, so that none is slow.
const STEPS: usize = 200;

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let cost = allocation_counter::measure(|| play(Input(bytes)));
    assert!(cost.bytes_max <= MEMORY, "it held {} bytes", cost.bytes_max);
}

fn play(mut input: Input<'_>) {
    let seed = u64::from(input.u32());
    let options = input.u16();
    let mut world = World::new(seed, faults(input.byte()), options);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.end();
}

fn faults(choice: u8) -> Faults {
    let some = Faults { buffer: 16..=1024, ..Faults::none() };
    match choice % 5 {
        0 => Faults::none(),
        1 => some,
        2 => Faults::rough(),
        3 => Faults::harsh(),
        _ => Faults { reset: 0.1, reorder: 1.0, ..some },
    }
}

struct World {
    network: Network,
    worker: Worker,
    server: Server,
    endpoint: Endpoint,
    peers: Peers,
    dials: Dials,
    lives: Lives,
    options: u16,
    stopped: bool,
}

impl World {
    fn new(seed: u64, faults: Faults, options: u16) -> Self {
        let network = Network::new(seed, faults);
        let dials = Dials::new(&network);
        let lives = Lives::default();
        let (server, mut workers) = builder(&lives, options).embed(vec![Box::new(network.io())]);
        let mut worker = workers.remove(0);
        let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        let endpoint = worker.listen(&any, &ListenOptions::default());
        let endpoint = endpoint.unwrap_or_else(|error| panic!("the simulator has ports: {error}"));
        Self { network, worker, server, endpoint, peers: Peers::default(), dials, lives, options, stopped: false }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 => self.peers.open_client(&self.network, &self.endpoint, input),
            1 => self.peers.open_raw(&self.network, &self.endpoint, input),
            2..=4 => self.peers.act(input),
            5 => (0..=input.below(8)).for_each(|_| self.turn()),
            6 => self.settle(),
            7 => self.pass(Duration::from_millis(100) * u32::from(input.byte())),
            8 => self.command(input),
            10 => self.dials.begin(&self.worker, &self.endpoint, input),
            11 => self.dials.act(input),
            _ => self.network.set_faults(faults(input.byte())),
        }
    }

    /// What other threads do to a server.
    fn command(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0..=3 => drop(self.server.publish("room", input.chunk())),
            4 => drop(self.server.publish("room", String::from_utf8_lossy(input.chunk()).into_owned())),
            5 => self.server.reload(builder(&self.lives, input.u16())),
            6 => self.stop(Duration::from_secs(u64::from(input.byte() % 20))),
            // As many descriptors as there may be without a fault.
            _ => self.network.limit_descriptors(1 + input.below(8)),
        }
    }

    fn stop(&mut self, patience: Duration) {
        self.stopped = true;
        self.server.stop_within(patience);
    }

    fn turn(&mut self) {
        turn(&mut self.worker);
        self.peers.read();
        self.dials.read();
    }

    fn settle(&mut self) {
        let (worker, peers, dials) = (&mut self.worker, &mut self.peers, &mut self.dials);
        self.network.settle(|| {
            turn(worker);
            peers.read();
            dials.read();
        });
    }

    fn pass(&mut self, time: Duration) {
        let (worker, peers, dials, network) = (&mut self.worker, &mut self.peers, &mut self.dials, &self.network);
        let end = network.now() + time;
        network.run(time, || {
            turn(worker);
            peers.read();
            dials.read();
            network.now() >= end
        });
    }

    /// Stops the server, lets it come to its end, and looks at what is left.
    fn end(mut self) {
        // Not every peer reads, and a stopped network would only hide what the engine does.
        self.network.set_faults(Faults::none());
        self.network.limit_descriptors(usize::MAX);
        if !self.stopped || self.options & 1 != 0 {
            self.stop(Duration::from_secs(10));
        }
        let (worker, peers, dials) = (&mut self.worker, &mut self.peers, &mut self.dials);
        let ended = self.network.run(LIMIT, || {
            turn(worker);
            peers.read();
            dials.read();
            worker.is_finished()
        });
        assert!(ended, "a server that is told to stop ends");
        self.lives.check();
        self.dials.check();
        let metrics = self.server.metrics();
        let opened = self.lives.count() + self.dials.opened();
        assert_eq!((metrics.opened, metrics.ended), (opened, opened), "{metrics:?}");
        assert_eq!(metrics.accepted + metrics.connects, metrics.closed, "every connection is closed: {metrics:?}");
        assert_eq!(metrics.panics, 0, "nothing panics: {metrics:?}");
        assert_eq!(self.server.subscriber_count("room"), 0, "whoever has ended is subscribed to nothing");
        let calls = self.network.calls();
        let moved = (metrics.bytes_in, metrics.bytes_out);
        assert_eq!(moved, (calls.bytes_received, calls.bytes_sent), "every byte is accounted for: {metrics:?}");
        drop(self.worker);
        assert_eq!(self.network.open_sockets(), 0, "a descriptor leaks");
        assert_eq!(self.network.abandoned(), 0, "a descriptor was left to its owner's end");
        assert_eq!(self.network.buffers_lent(), 0, "a buffer was not given back");
    }
}

fn turn(worker: &mut Worker) {
    worker.turn(None).unwrap_or_else(|error| panic!("a turn outside of handlers works: {error}"));
}

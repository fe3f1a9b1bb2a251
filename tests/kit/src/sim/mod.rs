//! A network in one thread, with its own clock, in which everything follows from one seed.
//!
//! The program under test gets a [`SimIo`] where it would have the kernel; the test holds the other ends of the connections
//! ([`Peer`], or a WebSocket [`Client`](crate::client::Client) on one). Nothing happens by itself: bytes move when somebody
//! calls, and time passes when the test says so. [`Faults`] make the network hostile.
//!
//! # A simulated test in 15 lines
//!
//! ```
//! use tidewire_kit::for_each_seed;
//! use tidewire_kit::sim::{Faults, Network};
//! # use tidewire_kit::sim::SimIo;
//! # use tidewire_sys::{Endpoint, Event, Interest, Io, ListenOptions, Socket, Token};
//! # struct Worker { io: SimIo, listener: Socket, socket: Option<Socket>, events: Vec<Event> }
//! # impl Worker {
//! #     fn echo(mut io: SimIo) -> (Self, Endpoint) {
//! #         let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
//! #         let listening = io.listen(&any, &ListenOptions::default()).unwrap();
//! #         io.watch(&listening.socket, Token(0), Interest::READ).unwrap();
//! #         (Self { io, listener: listening.socket, socket: None, events: Vec::new() }, listening.local)
//! #     }
//! #     fn turn(&mut self) {
//! #         self.io.wait(None, &mut self.events).unwrap();
//! #         if let Ok(accepted) = self.io.accept(&self.listener) {
//! #             self.io.watch(&accepted.socket, Token(1), Interest::READ).unwrap();
//! #             self.socket = Some(accepted.socket);
//! #         }
//! #         let Some(socket) = &self.socket else { return };
//! #         if let Ok(bytes) = self.io.recv(socket) {
//! #             let mut rest = &bytes[..];
//! #             while !rest.is_empty() {
//! #                 if let Ok(sent) = self.io.send(socket, &[std::io::IoSlice::new(rest)]) { rest = &rest[sent..]; }
//! #             }
//! #             self.io.give_back(bytes);
//! #         }
//! #     }
//! # }
//!
//! for_each_seed(50, |seed| {
//!     let network = Network::new(seed, Faults { buffer: 1024..=2048, ..Faults::rough() });
//!     let (mut worker, endpoint) = Worker::echo(network.io());
//!     let mut peer = network.connect(&endpoint);
//!     peer.write(b"is anybody there?");
//!     let mut heard = Vec::new();
//!     let done = network.run(std::time::Duration::from_secs(60), || {
//!         worker.turn();
//!         heard.extend(peer.read());
//!         heard.len() == 17
//!     });
//!     assert!(done, "seed {seed}: only {heard:?} arrived");
//!     assert_eq!(heard, b"is anybody there?");
//! });
//! ```
//!
//! [`Network::run`] calls the closure until it says `true`: as often as there is something to do at this moment of the virtual
//! clock, and when there is not, it moves the clock to the next moment at which something is due (a delivery, or the timeout
//! of a worker's last wait). [`Network::settle`] does the same without a goal, and leaves the workers' timeouts alone.
//!
//! When a seed fails, run it alone with `TIDEWIRE_SEED=n`, and with `TIDEWIRE_TRACE=1` to see every call that the program made.

mod calls;
mod faults;
mod io;
mod kernel;
mod peer;
mod tcp;

#[cfg(test)]
mod tests;

pub use calls::Calls;
pub use faults::Faults;
pub use io::SimIo;
pub use peer::{Peer, PeerListener};

use io::Released;
use kernel::{Kernel, Meanwhile};
use std::cell::RefCell;
use std::env;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tidewire_sys::Endpoint;

/// The variable that prints every call of the program.
pub const TRACE: &str = "TIDEWIRE_TRACE";

/// How often a step may be repeated at one moment while nothing moves. Faults excuse a few idle steps, not this many.
const PATIENCE: u32 = 10_000;

/// A simulated network; see the [module](self). Clones are the same network.
#[derive(Debug, Clone)]
pub struct Network {
    kernel: Rc<RefCell<Kernel>>,
    released: Rc<RefCell<Released>>,
}

impl Network {
    /// A network on which everything follows from `seed`, at the time 0.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut kernel = Kernel::new(seed, faults);
        kernel.traced = env::var_os(TRACE).is_some();
        Self { kernel: Rc::new(RefCell::new(kernel)), released: Rc::default() }
    }

    /// An [`Io`](tidewire_sys::Io) for a worker of the program. All share the clock and the descriptors' numbers.
    #[must_use]
    pub fn io(&self) -> SimIo {
        SimIo::new(self)
    }

    /// Connects to the program, from a fresh port on 127.0.0.1. The attempt may take time, or be refused: see [`Peer`].
    #[must_use]
    pub fn connect(&self, endpoint: &Endpoint) -> Peer {
        Peer::dial(self, None, endpoint)
    }

    /// Connects to the program from a given address.
    #[must_use]
    pub fn connect_from(&self, address: SocketAddr, endpoint: &Endpoint) -> Peer {
        Peer::dial(self, Some(address), endpoint)
    }

    /// Listens, for a program that connects.
    ///
    /// # Errors
    /// `AddrInUse`.
    pub fn listen(&self, endpoint: &Endpoint) -> std::io::Result<PeerListener> {
        PeerListener::open(self, endpoint)
    }

    /// Has everything that is sent to an endpoint disappear from now on: who connects there hears nothing, not even a refusal.
    pub fn swallow(&self, endpoint: &Endpoint) {
        self.kernel.borrow_mut().silent.push(endpoint.clone());
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.kernel.borrow().tcp.now
    }

    /// Lets time pass; what is due in between is delivered at its time.
    pub fn advance(&self, time: Duration) {
        let until = self.now() + time;
        self.kernel.borrow_mut().run_until(until);
    }

    /// Replaces the faults from here on; buffers keep their sizes.
    pub fn set_faults(&self, faults: Faults) {
        self.kernel.borrow_mut().tcp.faults = faults;
    }

    /// Limits how many sockets the program may have open: beyond it, accept and connect say `EMFILE`.
    pub fn limit_descriptors(&self, limit: usize) {
        self.kernel.borrow_mut().descriptor_limit = limit;
    }

    /// Does something before the program's next send is over: what another thread does while this one is in the kernel. It must not touch
    /// what the program has borrowed; a thread of its own never does.
    pub fn during_next_send(&self, what: impl FnOnce() + 'static) {
        self.kernel.borrow_mut().meanwhile = Meanwhile(Some(Box::new(what)));
    }

    /// Whether no worker has anything to do at this moment: no event that a wait would bring, no wake, no timeout that has
    /// passed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.kernel.borrow_mut().is_idle()
    }

    /// When the next delivery is due, or the timeout of a worker's last wait, whichever comes first.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let kernel = self.kernel.borrow();
        [kernel.tcp.next_due(), kernel.next_deadline()].into_iter().flatten().min()
    }

    /// Repeats `step` until it says that the goal is reached, letting time pass whenever there is nothing to do; at most for
    /// `limit` of virtual time. Says whether the goal was reached.
    ///
    /// A step turns every worker once and lets every peer do what it would do.
    ///
    /// # Panics
    /// When a worker is shown the same event again and again and does nothing about it: a busy loop.
    pub fn run(&self, limit: Duration, mut step: impl FnMut() -> bool) -> bool {
        let end = self.now() + limit;
        loop {
            if self.exhaust(&mut step) {
                return true;
            }
            match self.next_due() {
                Some(due) if due <= end => self.kernel.borrow_mut().run_until(due),
                // Nothing is left to happen, but the goal may be a matter of time alone.
                _ if self.now() < end => self.kernel.borrow_mut().run_until(end),
                _ => return false,
            }
        }
    }

    /// Repeats `step` until nothing is left to do and nothing is under way. Lets as much time pass as the deliveries need; what
    /// the workers wait for by the clock is left alone.
    ///
    /// # Panics
    /// As [`Network::run`].
    pub fn settle(&self, mut step: impl FnMut()) {
        loop {
            self.exhaust(&mut || {
                step();
                false
            });
            let due = self.kernel.borrow().tcp.next_due();
            match due {
                Some(due) => self.kernel.borrow_mut().run_until(due),
                None => return,
            }
        }
    }

    /// Repeats `step` at this moment until it says true or moves nothing.
    fn exhaust(&self, step: &mut impl FnMut() -> bool) -> bool {
        let mut idle_steps = 0;
        // The first step after time has passed may only have dealt with a timer, and the next says until when the worker sleeps now.
        let mut first = true;
        loop {
            let (before, told) = (self.kernel.borrow().tcp.progress, self.calls().events);
            if step() {
                return true;
            }
            let moved = self.kernel.borrow().tcp.progress != before;
            // A worker that was told something has yet to say until when it would sleep now.
            if !moved && self.calls().events == told && self.is_idle() && !first {
                return false;
            }
            first = false;
            idle_steps = if moved { 0 } else { idle_steps + 1 };
            assert!(idle_steps < PATIENCE, "a worker is told of an event and does nothing about it: a busy loop");
        }
    }

    /// What the program has asked of the kernel so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.kernel.borrow().calls
    }

    /// How many sockets the program has open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.kernel.borrow().open_sockets()
    }

    /// How many sockets were still open when their [`SimIo`] was dropped: leaks, unless the test meant it.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.kernel.borrow().abandoned
    }

    /// How many receive buffers the program holds: 0 between its turns.
    #[must_use]
    pub fn buffers_lent(&self) -> usize {
        self.kernel.borrow().buffers_lent
    }

    /// A number that stands for every call so far with its time and its answer. Equal runs have equal digests.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.kernel.borrow().digest()
    }
}

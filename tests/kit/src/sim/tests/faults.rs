//! An echo program among all the faults: it loses nothing, equal seeds are equal runs, and each fault really happens.

use super::*;
use crate::sim::{Peer, SimIo};
use crate::{Random, for_each_seed};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use tidewire_sys::{Event, Socket};

const EMFILE: i32 = 24;
const MINUTES: Duration = Duration::from_secs(600);

/// What the program saw go wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Seen {
    would_block: u32,
    interrupted: u32,
    emfile: u32,
    resets: u32,
    short_writes: u32,
    empty_waits: u32,
}

/// The smallest program that can cope: it echoes, and watches for what it needs.
struct Echo {
    io: SimIo,
    listener: Socket,
    connections: BTreeMap<Token, (Socket, VecDeque<u8>, bool)>,
    next: u64,
    opened: u32,
    events: Vec<Event>,
    seen: Seen,
}

impl Echo {
    fn new(network: &Network) -> (Self, Endpoint) {
        let mut io = network.io();
        let listening = io.listen(&any_port(), &ListenOptions::default()).unwrap();
        io.watch(&listening.socket, Token(0), Interest::READ).unwrap();
        let (connections, events, seen) = (BTreeMap::new(), Vec::new(), Seen::default());
        (Self { io, listener: listening.socket, connections, next: 0, opened: 0, events, seen }, listening.local)
    }

    /// Notes an error; says whether the connection survives it.
    fn survives(&mut self, error: &io::Error) -> bool {
        let counter = match error.kind() {
            ErrorKind::WouldBlock => &mut self.seen.would_block,
            ErrorKind::Interrupted => &mut self.seen.interrupted,
            _ if error.raw_os_error() == Some(EMFILE) => &mut self.seen.emfile,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => &mut self.seen.resets,
            other => panic!("{other:?} is no fault that was asked for"),
        };
        *counter += 1;
        !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    }

    fn turn(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.io.wait(None, &mut events).unwrap();
        self.seen.empty_waits += u32::from(events.is_empty());
        for event in &events {
            if event.token == Token(0) {
                self.accept();
            } else {
                self.serve(event.token);
            }
        }
        self.events = events;
    }

    fn accept(&mut self) {
        match self.io.accept(&self.listener) {
            Ok(accepted) => {
                self.next += 1;
                self.opened += 1;
                self.io.watch(&accepted.socket, Token(self.next), Interest::READ).unwrap();
                self.connections.insert(Token(self.next), (accepted.socket, VecDeque::new(), false));
            }
            Err(error) => {
                self.survives(&error);
            }
        }
    }

    fn serve(&mut self, token: Token) {
        let Some((socket, mut waiting, mut ended)) = self.connections.remove(&token) else { return };
        let mut alive = true;
        if waiting.is_empty() && !ended {
            match self.io.recv(&socket) {
                Ok(bytes) => {
                    ended = bytes.is_empty();
                    waiting.extend(bytes.iter());
                    self.io.give_back(bytes);
                }
                Err(error) => alive = self.survives(&error),
            }
        }
        if alive && !waiting.is_empty() {
            let (front, back) = waiting.as_slices();
            match self.io.send(&socket, &[IoSlice::new(front), IoSlice::new(back)]) {
                Ok(count) => {
                    self.seen.short_writes += u32::from(count < waiting.len());
                    waiting.drain(..count);
                }
                Err(error) => alive = self.survives(&error),
            }
        }
        if !alive || (ended && waiting.is_empty()) {
            return self.io.close(socket);
        }
        let interest = if waiting.is_empty() { Interest::READ } else { Interest::WRITE };
        self.io.watch(&socket, token, interest).unwrap();
        self.connections.insert(token, (socket, waiting, ended));
    }
}

struct Caller {
    peer: Peer,
    says: Vec<u8>,
    heard: Vec<u8>,
}

impl Caller {
    fn is_done(&self) -> bool {
        self.peer.is_reset() || (self.peer.is_at_end() && self.heard.len() == self.says.len())
    }
}

struct Outcome {
    seen: Seen,
    digest: u64,
    time: Duration,
    reset: usize,
}

/// Callers send, end their direction, and hear everything again.
fn echo(seed: u64, faults: Faults) -> Outcome {
    let network = Network::new(seed, faults);
    let (mut echo, endpoint) = Echo::new(&network);
    let mut random = Random::new(!seed);
    let mut callers: Vec<Caller> = (0..random.within(1..=6))
        .map(|_| {
            let mut peer = network.connect(&endpoint);
            let length = random.within(0..=5_000);
            let says = random.bytes(length);
            peer.write(&says);
            peer.shutdown();
            Caller { peer, says, heard: Vec::new() }
        })
        .collect();
    let done = network.run(MINUTES, || {
        echo.turn();
        for caller in &mut callers {
            caller.heard.extend(caller.peer.read());
        }
        callers.iter().all(Caller::is_done)
    });
    assert!(done, "seed {seed}: not everything was echoed in {:?}", network.now());
    for caller in &callers {
        assert!(caller.says.starts_with(&caller.heard), "seed {seed}: an echo is another one's");
        assert!(caller.peer.is_reset() || caller.says == caller.heard, "seed {seed}");
    }
    network.settle(|| echo.turn());
    assert_eq!(network.open_sockets(), 1, "seed {seed}: only the listener is left");
    assert_eq!(network.buffers_lent(), 0);
    let reset = callers.iter().filter(|caller| caller.peer.is_reset()).count();
    drop(callers);
    network.settle(|| echo.turn());
    assert_eq!(network.kernel.borrow().tcp.count(), 0, "seed {seed}: the simulator keeps what nobody needs");
    Outcome { seen: echo.seen, digest: network.digest(), time: network.now(), reset }
}

#[test]
fn nothing_is_lost_on_a_rough_network() {
    for_each_seed(300, |seed| assert_eq!(echo(seed, Faults::rough()).reset, 0));
}

#[test]
fn nothing_is_mixed_up_or_leaks_on_a_harsh_one() {
    let mut resets = 0;
    for_each_seed(300, |seed| resets += echo(seed, Faults::harsh()).reset);
    if std::env::var_os(crate::seeds::ONE).is_none() {
        assert!(resets > 0, "some connections must have been reset");
    }
}

#[test]
fn equal_seeds_are_equal_runs() {
    let runs: Vec<Outcome> = (0..20).map(|seed| echo(seed, Faults::harsh())).collect();
    for (seed, run) in runs.iter().enumerate() {
        let again = echo(seed as u64, Faults::harsh());
        assert_eq!((run.digest, run.time, &run.seen), (again.digest, again.time, &again.seen), "seed {seed}");
    }
    let mut digests: Vec<u64> = runs.iter().map(|run| run.digest).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), runs.len(), "other seeds are other runs");
}

/// Adds up what the program saw over some seeds.
fn total(faults: &Faults, count: impl Fn(&Outcome) -> u64) -> u64 {
    (0..30).map(|seed| count(&echo(seed, faults.clone()))).sum()
}

#[test]
fn an_honest_network_shows_no_fault() {
    let faults = Faults::none();
    for seed in 0..30 {
        let Outcome { seen, time, reset, .. } = echo(seed, faults.clone());
        assert_eq!((time, reset), (Duration::ZERO, 0));
        assert_eq!(seen, Seen { empty_waits: seen.empty_waits, ..Seen::default() });
    }
}

#[test]
fn each_fault_happens_when_it_is_asked_for() {
    let none = Faults::none();
    let blocks = Faults { spurious_block: 0.2, ..none.clone() };
    assert!(total(&blocks, |outcome| outcome.seen.would_block.into()) > 0);
    let interrupts = Faults { interrupted: 0.2, ..none.clone() };
    assert!(total(&interrupts, |outcome| outcome.seen.interrupted.into()) > 0);
    let crowded = Faults { no_descriptors: 0.2, ..none.clone() };
    assert!(total(&crowded, |outcome| outcome.seen.emfile.into()) > 0);
    let short = Faults { short_write: 0.2, ..none.clone() };
    assert!(total(&short, |outcome| outcome.seen.short_writes.into()) > 0);
    let resets = Faults { reset: 0.2, ..none.clone() };
    assert!(total(&resets, |outcome| outcome.reset as u64) > 0);
    assert!(total(&resets, |outcome| outcome.seen.resets.into()) > 0);
    let far = Faults { delay: Duration::from_millis(1)..=Duration::from_millis(9), ..none.clone() };
    assert!(total(&far, |outcome| outcome.time.as_millis() as u64) > 30);
    let stalls = Faults { stall: 0.5, stall_for: Duration::from_secs(1)..=Duration::from_secs(2), ..none.clone() };
    assert!(total(&stalls, |outcome| outcome.time.as_secs()) > 10);
}

#[test]
fn reads_come_in_parts() {
    let parts = |seed, faults: Faults| {
        let mut world = Simulated::with(seed, faults);
        world.peer_write(&[7; 1000]);
        let mut parts = Vec::new();
        world.network.clone().run(MINUTES, || {
            parts.extend(world.recv().map(|bytes| bytes.len()));
            parts.iter().sum::<usize>() == 1000
        });
        parts
    };
    assert_eq!(parts(1, Faults::none()), [1000]);
    let short = parts(1, Faults { short_read: 0.9, ..Faults::none() });
    assert!(short.len() > 3 && short.contains(&1), "{short:?}");
    let delay = Duration::from_millis(1)..=Duration::from_millis(100);
    let split = |seed| parts(seed, Faults { split: 1.0, delay: delay.clone(), ..Faults::none() }).len();
    // The second piece never overtakes the first; when its own delay is the shorter one, both arrive at once.
    let pieces: Vec<usize> = (0..20).map(split).collect();
    assert!(pieces.contains(&1) && pieces.contains(&2) && pieces.iter().all(|&count| count <= 2), "{pieces:?}");
    assert_eq!(parts(1, Faults { buffer: 100..=100, ..Faults::none() }), [100; 10]);
}

#[test]
fn events_come_in_any_order_and_not_all_at_once() {
    let orders = |faults: Faults| {
        let network = Network::new(5, Faults::none());
        let mut io = network.io();
        let listening = io.listen(&any_port(), &ListenOptions::default()).unwrap();
        let mut held = Vec::new();
        for number in 0..8 {
            let mut peer = network.connect(&listening.local);
            peer.write(b"x");
            let socket = io.accept(&listening.socket).unwrap().socket;
            io.watch(&socket, Token(number), Interest::READ).unwrap();
            held.push(peer);
        }
        network.set_faults(faults);
        let mut orders: Vec<Vec<u64>> = Vec::new();
        for _ in 0..50 {
            let mut events = Vec::new();
            io.wait(None, &mut events).unwrap();
            orders.push(events.iter().map(|event| event.token.0).collect());
        }
        orders.sort();
        orders.dedup();
        orders
    };
    assert_eq!(orders(Faults::none()), [(0..8).collect::<Vec<_>>()]);
    let shuffled = orders(Faults { reorder: 1.0, ..Faults::none() });
    assert!(shuffled.len() > 20);
    assert!(shuffled.iter().any(|order| order.len() < 8) && shuffled.iter().any(|order| order.len() == 8));
    let silent = orders(Faults { interrupted: 1.0, ..Faults::none() });
    assert_eq!(silent, [Vec::<u64>::new()]);
}

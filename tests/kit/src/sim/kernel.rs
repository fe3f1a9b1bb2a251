//! The simulated kernel: descriptors, listeners, and what is watched.
//!
//! The program's descriptors are numbered as a real kernel numbers them, the lowest free one first, so that a number that was
//! kept too long meets a stranger. Using a number that is not open is a panic: no real kernel would be so kind.

use super::tcp::{Action, Holder, Ready, StreamId, Tcp};
use super::{Calls, Faults};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidewire_sys::{Endpoint, Event, Interest, ListenOptions, Token};

/// Descriptors start here, so that a number which is no descriptor (an index, say) is more likely to be noticed.
const FIRST_DESCRIPTOR: i32 = 3;
/// Ephemeral ports start here.
const FIRST_PORT: u16 = 49152;
/// When a connection attempt that found a full queue comes back.
const RETRY: Duration = Duration::from_secs(1);
/// The most events of one wait, as with the real one.
const BATCH: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListenerId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stream(StreamId),
    Listener(ListenerId),
}

#[derive(Debug)]
struct Descriptor {
    io: usize,
    kind: Kind,
    watch: Option<(Token, Interest)>,
}

#[derive(Debug)]
struct Listener {
    endpoint: Endpoint,
    options: ListenOptions,
    queue: VecDeque<StreamId>,
    /// The program's descriptor, or none: the test listens.
    number: Option<i32>,
}

/// What the kernel keeps for each `Io` of the program.
#[derive(Debug, Default)]
struct Worker {
    rung: Arc<AtomicBool>,
    /// Descriptors that may be ready; whether they are is looked up when it matters.
    candidates: BTreeSet<i32>,
    /// When the last wait would have ended without an event.
    deadline: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) tcp: Tcp,
    pub(super) calls: Calls,
    pub(super) buffers_lent: usize,
    /// Sockets that were still open when their `Io` was dropped.
    pub(super) abandoned: usize,
    pub(super) descriptor_limit: usize,
    pub(super) traced: bool,
    /// Where nothing answers, not even with a refusal.
    pub(super) silent: Vec<Endpoint>,
    descriptors: Vec<Option<Descriptor>>,
    listeners: BTreeMap<ListenerId, Listener>,
    targets: BTreeMap<StreamId, Endpoint>,
    workers: Vec<Worker>,
    next_listener: u64,
    next_port: u16,
    digest: u64,
    /// Whether an Io asks to have its sends gathered.
    pub(super) gathers_sends: bool,
    /// What else happens before the next send is over.
    pub(super) meanwhile: Meanwhile,
}

/// Something that happens once.
#[derive(Default)]
pub(super) struct Meanwhile(pub(super) Option<Box<dyn FnOnce()>>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Meanwhile(..)" } else { "Meanwhile" })
    }
}

impl Kernel {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            tcp: Tcp::new(seed, faults),
            gathers_sends: seed % 2 == 1,
            meanwhile: Meanwhile::default(),
            calls: Calls::default(),
            buffers_lent: 0,
            abandoned: 0,
            descriptor_limit: usize::MAX,
            traced: false,
            silent: Vec::new(),
            descriptors: Vec::new(),
            listeners: BTreeMap::new(),
            targets: BTreeMap::new(),
            workers: Vec::new(),
            next_listener: 0,
            next_port: FIRST_PORT,
            digest: 0xCBF2_9CE4_8422_2325,
        }
    }

    // The clock.

    /// Lets everything happen that is due by `until`, in its order, and sets the clock to that time.
    pub(super) fn run_until(&mut self, until: Duration) {
        while let Some(action) = self.tcp.pop_due(until) {
            match action {
                Action::Deliver(stream) => self.tcp.deliver(stream),
                Action::Reset(stream) => self.tcp.apply_reset(stream),
                Action::Knock(stream) => self.knock(stream),
            }
        }
        self.tcp.now = self.tcp.now.max(until);
    }

    // The record.

    /// Adds a line to the trace, and to its digest.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        struct Digest(u64);
        impl fmt::Write for Digest {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                // FNV-1a.
                for byte in text.bytes() {
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
                }
                Ok(())
            }
        }
        let mut digest = Digest(self.digest);
        let now = self.tcp.now;
        // Writing to a digest cannot fail.
        let _ = writeln!(digest, "{now:?} {line}");
        self.digest = digest.0;
        if self.traced {
            eprintln!("{now:>12?} {line}");
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    // Workers.

    pub(super) fn add_worker(&mut self) -> usize {
        self.workers.push(Worker::default());
        self.workers.len() - 1
    }

    pub(super) fn doorbell(&self, io: usize) -> Arc<AtomicBool> {
        self.workers[io].rung.clone()
    }

    /// Closes what a dropped `Io` has left open.
    pub(super) fn remove_worker(&mut self, io: usize) {
        let open = |(index, descriptor): (usize, &Option<Descriptor>)| {
            descriptor.as_ref().filter(|descriptor| descriptor.io == io).map(|_| index as i32)
        };
        let left: Vec<i32> = self.descriptors.iter().enumerate().filter_map(open).collect();
        self.abandoned += left.len();
        left.into_iter().for_each(|number| self.close(number, false));
        self.workers[io] = Worker::default();
    }

    /// When the earliest of the workers wants to be turned for its own sake.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.workers.iter().filter_map(|worker| worker.deadline).min()
    }

    /// Whether a wait of any worker would bring something.
    pub(super) fn is_idle(&mut self) -> bool {
        self.sort_changes();
        (0..self.workers.len()).all(|io| {
            let worker = &self.workers[io];
            let due = worker.deadline.is_some_and(|deadline| deadline <= self.tcp.now);
            !due && !worker.rung.load(Ordering::Acquire) && worker.candidates.iter().all(|&number| self.event(number).is_none())
        })
    }

    // Descriptors.

    pub(super) fn open_sockets(&self) -> usize {
        self.descriptors.iter().flatten().count()
    }

    /// Whether another descriptor would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.open_sockets() >= self.descriptor_limit
    }

    fn insert(&mut self, io: usize, kind: Kind) -> i32 {
        let free = self.descriptors.iter().skip(FIRST_DESCRIPTOR as usize).position(Option::is_none);
        let index = free.map_or(self.descriptors.len().max(FIRST_DESCRIPTOR as usize), |free| free + FIRST_DESCRIPTOR as usize);
        if index >= self.descriptors.len() {
            self.descriptors.resize_with(index + 1, || None);
        }
        self.descriptors[index] = Some(Descriptor { io, kind, watch: None });
        let number = index as i32;
        if let Kind::Stream(stream) = kind {
            self.tcp.set_holder(stream, Holder::Program(number));
        }
        number
    }

    fn descriptor(&self, io: usize, number: i32) -> &Descriptor {
        let found = usize::try_from(number).ok().and_then(|index| self.descriptors.get(index)?.as_ref());
        let descriptor = found.unwrap_or_else(|| panic!("descriptor {number} is used and not open"));
        assert_eq!(descriptor.io, io, "descriptor {number} belongs to another Io");
        descriptor
    }

    pub(super) fn stream_of(&self, io: usize, number: i32) -> StreamId {
        match self.descriptor(io, number).kind {
            Kind::Stream(stream) => stream,
            Kind::Listener(_) => panic!("descriptor {number} is a listener, and is used as a connection"),
        }
    }

    /// Moves a descriptor to another `Io`.
    pub(super) fn release(&mut self, io: usize, number: i32) -> Kind {
        let kind = self.descriptor(io, number).kind;
        self.descriptors[number as usize] = None;
        self.workers[io].candidates.remove(&number);
        match kind {
            Kind::Stream(stream) => self.tcp.set_holder(stream, Holder::Queue),
            Kind::Listener(listener) => self.set_listener_number(listener, None),
        }
        kind
    }

    pub(super) fn adopt(&mut self, io: usize, kind: Kind) -> i32 {
        let number = self.insert(io, kind);
        if let Kind::Listener(listener) = kind {
            self.set_listener_number(listener, Some(number));
        }
        number
    }

    fn set_listener_number(&mut self, listener: ListenerId, number: Option<i32>) {
        if let Some(listener) = self.listeners.get_mut(&listener) {
            listener.number = number;
        }
    }

    pub(super) fn close(&mut self, number: i32, abort: bool) {
        let closed = usize::try_from(number).ok().and_then(|index| self.descriptors.get_mut(index)?.take());
        let descriptor = closed.unwrap_or_else(|| panic!("descriptor {number} is closed and was not open"));
        self.workers[descriptor.io].candidates.remove(&number);
        match descriptor.kind {
            Kind::Stream(stream) if abort => self.tcp.abort(stream),
            Kind::Stream(stream) => self.tcp.close(stream),
            Kind::Listener(listener) => self.close_listener(listener),
        }
    }

    // Readiness.

    pub(super) fn watch(&mut self, io: usize, number: i32, token: Token, interest: Interest) {
        self.descriptor(io, number);
        if let Some(descriptor) = &mut self.descriptors[number as usize] {
            descriptor.watch = Some((token, interest));
        }
        self.workers[io].candidates.insert(number);
    }

    /// The event of a descriptor, if there is one to report.
    fn event(&self, number: i32) -> Option<Event> {
        let descriptor = self.descriptors[number as usize].as_ref()?;
        let (token, interest) = descriptor.watch?;
        let ready = match descriptor.kind {
            Kind::Stream(stream) => self.tcp.stream(stream)?.ready(),
            Kind::Listener(listener) => {
                let waiting = self.listeners.get(&listener).is_some_and(|listener| !listener.queue.is_empty());
                Ready { readable: waiting, ..Ready::default() }
            }
        };
        let readable = ready.readable && interest.readable;
        let writable = ready.writable && interest.writable;
        let hangup = ready.hangup;
        (readable || writable || hangup).then_some(Event { token, readable, writable, hangup })
    }

    /// Makes candidates of the descriptors whose streams have changed.
    fn sort_changes(&mut self) {
        for stream in std::mem::take(&mut self.tcp.changed) {
            if let Some(Holder::Program(number)) = self.tcp.stream(stream).map(|stream| stream.holder)
                && let Some(descriptor) = &self.descriptors[number as usize]
            {
                self.workers[descriptor.io].candidates.insert(number);
            }
        }
    }

    /// The events of one wait. Level-triggered: what stays ready is reported again.
    pub(super) fn wait(&mut self, io: usize, timeout: Option<Duration>, events: &mut Vec<Event>) {
        self.workers[io].deadline =
            timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| self.tcp.now.saturating_add(timeout));
        self.workers[io].rung.swap(false, Ordering::AcqRel);
        if self.tcp.random.chance(self.tcp.faults.interrupted) {
            return;
        }
        self.sort_changes();
        let mut candidates = std::mem::take(&mut self.workers[io].candidates);
        candidates.retain(|&number| match self.event(number) {
            Some(event) => {
                events.push(event);
                true
            }
            None => false,
        });
        self.workers[io].candidates = candidates;
        if events.len() > 1 && self.tcp.random.chance(self.tcp.faults.reorder) {
            self.tcp.random.shuffle(events);
            events.truncate(1 + self.tcp.random.below(events.len()));
        }
        events.truncate(BATCH);
    }

    // Listeners and connection attempts.

    pub(super) fn listen(
        &mut self,
        io: Option<usize>,
        endpoint: &Endpoint,
        options: &ListenOptions,
    ) -> io::Result<(ListenerId, i32, Endpoint)> {
        let endpoint = match endpoint {
            Endpoint::Tcp(address) if address.port() == 0 => Endpoint::Tcp(SocketAddr::new(address.ip(), self.fresh_port())),
            other => other.clone(),
        };
        let shares =
            |listener: &Listener| options.reuse_port && listener.options.reuse_port && matches!(endpoint, Endpoint::Tcp(_));
        if self.listeners.values().any(|listener| collides(&listener.endpoint, &endpoint) && !shares(listener)) {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.next_listener += 1;
        let id = ListenerId(self.next_listener);
        let listener = Listener { endpoint: endpoint.clone(), options: options.clone(), queue: VecDeque::new(), number: None };
        self.listeners.insert(id, listener);
        let number = io.map_or(-1, |io| self.adopt(io, Kind::Listener(id)));
        Ok((id, number, endpoint))
    }

    fn fresh_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    pub(super) fn listener_of(&self, io: usize, number: i32) -> ListenerId {
        match self.descriptor(io, number).kind {
            Kind::Listener(listener) => listener,
            Kind::Stream(_) => panic!("descriptor {number} is a connection, and is used as a listener"),
        }
    }

    /// Takes a connection from a queue.
    pub(super) fn accept(&mut self, listener: ListenerId) -> Option<StreamId> {
        let stream = self.listeners.get_mut(&listener)?.queue.pop_front()?;
        self.tcp.progress += 1;
        Some(stream)
    }

    pub(super) fn has_waiting(&self, listener: ListenerId) -> bool {
        self.listeners.get(&listener).is_some_and(|listener| !listener.queue.is_empty())
    }

    pub(super) fn insert_accepted(&mut self, io: usize, stream: StreamId) -> i32 {
        self.insert(io, Kind::Stream(stream))
    }

    /// Where the other end of a connection is; a unix socket has no address.
    pub(super) fn peer_address(&self, stream: StreamId) -> Option<SocketAddr> {
        self.tcp.other(stream)?.address
    }

    pub(super) fn close_listener(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.remove(&id) {
            listener.queue.into_iter().for_each(|stream| self.tcp.abort(stream));
        }
    }

    /// Begins a connection from an address of the caller's, or from a port of its own on the loopback.
    pub(super) fn dial(&mut self, holder: Holder, from: Option<SocketAddr>, endpoint: &Endpoint) -> StreamId {
        let address = match endpoint {
            Endpoint::Tcp(_) => from.or_else(|| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.fresh_port()))),
            Endpoint::Unix(_) => None,
        };
        let stream = self.tcp.open(holder, address, true);
        self.targets.insert(stream, endpoint.clone());
        let due = self.tcp.now + self.tcp.random.time_within(self.tcp.faults.delay.clone());
        if due > self.tcp.now {
            self.tcp.schedule(due, Action::Knock(stream))
        } else {
            self.knock(stream)
        }
        stream
    }

    pub(super) fn dial_from_program(&mut self, io: usize, endpoint: &Endpoint) -> i32 {
        let stream = self.dial(Holder::Queue, None, endpoint);
        self.insert(io, Kind::Stream(stream))
    }

    fn knock(&mut self, stream: StreamId) {
        let Some(target) = self.targets.get(&stream).cloned() else { return };
        if self.tcp.stream(stream).is_none() {
            self.targets.remove(&stream);
            return;
        }
        if self.silent.contains(&target) {
            self.targets.remove(&stream);
            return;
        }
        let open: Vec<ListenerId> =
            self.listeners.iter().filter(|(_, listener)| reaches(&listener.endpoint, &target)).map(|(&id, _)| id).collect();
        if open.is_empty() {
            self.targets.remove(&stream);
            return self.tcp.refuse(stream);
        }
        let chosen = *self.tcp.random.pick(&open);
        let Some(listener) = self.listeners.get_mut(&chosen) else { return };
        if listener.queue.len() >= listener.options.backlog.max(1) as usize {
            return self.tcp.schedule(self.tcp.now + RETRY, Action::Knock(stream));
        }
        self.targets.remove(&stream);
        listener.queue.push_back(self.tcp.establish(stream));
        if let Some(number) = listener.number
            && let Some(descriptor) = &self.descriptors[number as usize]
        {
            self.workers[descriptor.io].candidates.insert(number);
        }
        self.tcp.progress += 1;
    }
}

/// Whether two listeners want the same connections.
fn collides(one: &Endpoint, other: &Endpoint) -> bool {
    match (one, other) {
        (Endpoint::Tcp(one), Endpoint::Tcp(other)) => {
            let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() == other.port() && same_host
        }
        (one, other) => one == other,
    }
}

/// Whether a connection to `target` comes out at a listener.
fn reaches(listener: &Endpoint, target: &Endpoint) -> bool {
    match (listener, target) {
        (Endpoint::Tcp(listener), Endpoint::Tcp(target)) => {
            listener.port() == target.port()
                && (listener.ip() == target.ip() || listener.ip().is_unspecified() || target.ip().is_unspecified())
        }
        (listener, target) => listener == target,
    }
}

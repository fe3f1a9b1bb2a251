//! The worker: one thread's loop, or a guest in a foreign one.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tidewire_proto::Opcode;
use tidewire_proto::state::Happening;
use tidewire_sys::{Accepted, Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};

use super::application::{Application, Kind, SendStatus};
use super::connection::{Connection, Stage};
use super::core::Core;
use super::counters::{Counters, Metrics};
use super::executor::{Executor, Ready};
use super::local::opcode;
use super::mailbox::{Mail, Mailbox};
use super::options::{Options, ticks};
use super::outgoing::Outgoing;
use super::state::State;
use super::table::SocketId;
use crate::backplane::Link;
use crate::http::exchange::Exchange;
use crate::topics::counts::Counts;

/// The workers of one server: what they share before they run. Make one, then a [`Worker`] for each of its places.
#[derive(Clone)]
pub struct Group(Arc<Shared>);

pub(crate) struct Shared {
    pub link: Arc<Link>,
    pub counters: Vec<Arc<Counters>>,
}

impl Group {
    /// The workers that have these wakers, one for each worker's [`Io`].
    #[must_use]
    pub fn new(wakers: Vec<Waker>) -> Self {
        let counts = Arc::new(Counts::new(wakers.len()));
        let counters = wakers.iter().map(|_| Arc::default()).collect();
        let mailboxes = wakers.into_iter().map(|waker| Arc::new(Mailbox::new(waker))).collect();
        Self(Arc::new(Shared { link: Arc::new(Link::new(counts, mailboxes)), counters }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The counters of all workers together.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.0.counters.iter().for_each(|counters| metrics.add(counters));
        metrics.mail_refused = self.0.link.mailboxes().iter().map(|mailbox| mailbox.refused()).sum();
        metrics
    }

    /// How many sockets are subscribed to a topic, on all workers.
    #[must_use]
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.0.link.counts.find(topic).map_or(0, |count| count.total())
    }

    /// Publishes to everybody on a topic. On the thread of one of the workers its subscribers get the message at once, in
    /// order with what they are sent otherwise; the others, and from another thread all, through the workers' mailboxes.
    pub fn publish(&self, topic: &str, kind: Kind, payload: &[u8]) -> SendStatus {
        if let Some(core) = Core::current().filter(|core| self.owns(core)) {
            return core.state.borrow_mut().publish(topic, opcode(kind), payload, None);
        }
        match self.0.link.publish(topic, opcode(kind), payload) {
            Some(0) | None => SendStatus::Dropped,
            Some(_) => SendStatus::Sent(payload.len()),
        }
    }

    pub(crate) fn owns(&self, core: &Core) -> bool {
        self.0.link.mailboxes().iter().any(|mailbox| Arc::ptr_eq(mailbox, &core.mailbox))
    }

    /// Stops listening and closes all sockets with 1001; what is left after `patience` is cut off.
    pub fn stop(&self, patience: Duration) {
        for mailbox in self.0.link.mailboxes() {
            mailbox.post(Mail::Stop(patience));
        }
    }
}

/// Why a turn was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A callback tried to run a turn of the worker that called it.
    #[error("a handler may not run a turn of its own worker: return from the handler instead")]
    Turning,
    /// The poller failed.
    #[error("the poller failed: {0}")]
    Poll(#[from] io::Error),
}

/// One worker. It stays on the thread that made it.
pub struct Worker {
    core: Rc<Core>,
    listeners: Vec<Listener>,
    events: Vec<Event>,
    expired: Vec<u32>,
    /// Accepting is paused until this tick, because descriptors ran out.
    accept_again: Option<u32>,
    /// When patience ends, after a stop.
    stop_at: Option<Duration>,
}

struct Listener {
    socket: Socket,
    local: Endpoint,
    spread: bool,
}

/// Tokens from here on are listeners'; no connection's id reaches them.
const LISTENERS: u64 = u64::MAX - 1024;
/// The most connections taken from one listener in one turn.
const ACCEPTS: usize = 256;
/// The most woken tasks polled in one turn before the poller is asked again.
const POLLS: usize = 1024;

impl Worker {
    /// A worker at `place` in its group.
    pub fn new(io: Box<dyn Io>, group: &Group, place: usize, options: Options, application: Rc<dyn Application>) -> Self {
        let shared = group.shared();
        let executor = Executor::new(io.waker());
        let out = Outgoing::new(io, shared.counters[place].clone());
        let mut state = State::new(out, Rc::new(options), shared.link.counts.clone(), place);
        state.link = Some(shared.link.clone());
        let mailbox = shared.link.mailboxes()[place].clone();
        Self {
            core: Core::new(state, application, executor, mailbox),
            listeners: Vec::new(),
            events: Vec::new(),
            expired: Vec::new(),
            accept_again: None,
            stop_at: None,
        }
    }

    /// Listens; says where (port 0 picks one).
    ///
    /// # Errors
    /// As `bind(2)` and `listen(2)`.
    pub fn listen(&mut self, endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Endpoint> {
        let listening = self.core.state.borrow_mut().out.io.listen(endpoint, options)?;
        let local = listening.local.clone();
        self.add_listener(listening, false)?;
        Ok(local)
    }

    /// Takes over a listener that this worker's [`Io`] has opened before. With `spread`, what it accepts is handed to all
    /// workers of the group in turn: for sockets that the kernel does not spread itself.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn add_listener(&mut self, listening: Listening, spread: bool) -> io::Result<()> {
        let token = Token(LISTENERS + self.listeners.len() as u64);
        self.core.state.borrow_mut().out.io.watch(&listening.socket, token, Interest::READ)?;
        self.listeners.push(Listener { socket: listening.socket, local: listening.local, spread });
        Ok(())
    }

    /// Where it listens.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.listeners.iter().map(|listener| &listener.local)
    }

    /// A descriptor that is readable when a turn is due, for a foreign loop.
    #[must_use]
    pub fn descriptor(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.core.state.borrow().out.io.descriptor().map(|descriptor| descriptor.as_raw_fd())
    }

    /// How long a foreign loop may sleep if the descriptor stays quiet; `None`: for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let state = self.core.state.borrow();
        let now = state.out.io.now();
        let ticks = [state.wheel.next(), self.accept_again].into_iter().flatten().min();
        let timer = ticks.map(|tick| Duration::from_secs(u64::from(tick)));
        [timer, self.stop_at].into_iter().flatten().min().map(|due| due.saturating_sub(now))
    }

    /// Whether it has ended: it was stopped, and nothing is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let state = self.core.state.borrow();
        state.stopping && state.table.len() == 0
    }

    /// Connections and open WebSockets now.
    #[must_use]
    pub fn population(&self) -> (usize, usize) {
        let state = self.core.state.borrow();
        (state.table.len(), state.open)
    }

    /// One turn: waits for events, at most for `timeout` (`None`: until there are some), deals with them, and sends what came
    /// of it.
    ///
    /// # Errors
    /// [`WorkerError::Turning`] inside a handler of this worker.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<(), WorkerError> {
        if self.core.turning.replace(true) {
            return Err(WorkerError::Turning);
        }
        let entered = self.core.enter();
        let result = self.turn_entered(timeout);
        drop(entered);
        self.core.turning.set(false);
        result.map_err(WorkerError::Poll)
    }

    fn turn_entered(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // What was sent between turns goes out before the worker sleeps.
        self.core.settle();
        let timeout = match (self.timeout(), timeout) {
            (Some(own), Some(given)) => Some(own.min(given)),
            (own, given) => own.or(given),
        };
        let idle = self.core.executor.queue().sleep() && self.core.mailbox.is_empty();
        let mut events = std::mem::take(&mut self.events);
        {
            let mut state = self.core.state.borrow_mut();
            state.out.io.wait(if idle { timeout } else { Some(Duration::ZERO) }, &mut events)?;
            state.now = state.out.io.now();
        }
        self.core.executor.queue().awake();
        for event in &events {
            match event.token.0.checked_sub(LISTENERS) {
                Some(listener) => self.accept(listener as usize),
                None => self.core.ready(SocketId::from_bits(event.token.0), *event),
            }
        }
        self.events = events;
        self.expire();
        self.read_mail();
        self.poll_woken();
        self.core.settle();
        Ok(())
    }

    /// Sends what was sent outside a turn: a foreign loop calls this before it sleeps.
    pub fn flush(&self) {
        if !self.core.turning.get() {
            let _entered = self.core.enter();
            self.core.settle();
        }
    }

    /// Runs user code of this worker outside a turn: handles that it uses find their worker.
    pub fn enter<R>(&self, call: impl FnOnce() -> R) -> R {
        let _entered = self.core.enter();
        call()
    }

    /// Whether anything waits to be flushed, polled or read, so that a foreign loop must not sleep.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.core.executor.queue().len() > 0 || !self.core.mailbox.is_empty()
    }

    fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.listeners.get(listener) else { return };
            let mut state = self.core.state.borrow_mut();
            match state.out.io.accept(&listener.socket) {
                Ok(accepted) if listener.spread => self.core.hand_out(&mut state, accepted),
                Ok(accepted) => self.core.adopt(&mut state, accepted.socket, accepted.peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        drop(state);
                        return self.pause_accepting(&error);
                    }
                },
            }
        }
    }

    /// Descriptors ran out, or memory: trying again at once would only burn time that the established need.
    fn pause_accepting(&mut self, error: &io::Error) {
        tracing::warn!(%error, "accepting is paused for a second");
        let mut state = self.core.state.borrow_mut();
        state.out.counters.accept_pauses.add(1);
        self.accept_again = Some(state.tick() + 1);
        for listener in &self.listeners {
            let _ = state.out.io.watch(&listener.socket, Token(LISTENERS), Interest::NONE);
        }
    }

    fn expire(&mut self) {
        let (tick, now) = {
            let state = self.core.state.borrow();
            (state.tick(), state.now)
        };
        self.core.state.borrow_mut().wheel.expire(tick, &mut self.expired);
        for index in self.expired.drain(..) {
            self.core.timer(index);
        }
        if self.accept_again.is_some_and(|due| due <= tick) {
            self.accept_again = None;
            let mut state = self.core.state.borrow_mut();
            for (number, listener) in self.listeners.iter().enumerate() {
                let _ = state.out.io.watch(&listener.socket, Token(LISTENERS + number as u64), Interest::READ);
            }
        }
        if self.stop_at.is_some_and(|due| due <= now) {
            self.stop_at = None;
            self.core.end_all(Happening::LocalTerminate, 1006, "");
        }
    }

    fn read_mail(&mut self) {
        if self.core.mailbox.is_empty() {
            return;
        }
        for mail in self.core.mailbox.take() {
            match mail {
                Mail::Stop(patience) => self.stop(patience),
                mail => self.core.mail(mail),
            }
        }
    }

    /// Stops listening and closes all sockets with 1001; what is left after `patience` is cut off.
    pub fn stop(&mut self, patience: Duration) {
        let entered = self.core.enter();
        {
            let mut state = self.core.state.borrow_mut();
            state.stopping = true;
            for listener in self.listeners.drain(..) {
                state.out.io.close(listener.socket);
            }
            let due = state.out.io.now() + patience;
            self.stop_at = Some(self.stop_at.map_or(due, |earlier| earlier.min(due)));
        }
        self.accept_again = None;
        let (happening, code) =
            if patience.is_zero() { (Happening::LocalTerminate, 1006) } else { (Happening::LocalClose, 1001) };
        self.core.end_all(happening, code, "");
        drop(entered);
    }

    fn poll_woken(&self) {
        for _ in 0..POLLS {
            match self.core.executor.queue().pop() {
                Some(Ready::Task(at, generation)) => self.core.executor.poll(at, generation),
                Some(Ready::Exchange(id)) => self.core.poll_exchange(id),
                None => return,
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let entered = self.core.enter();
        self.core.clear();
        let mut state = self.core.state.borrow_mut();
        for listener in self.listeners.drain(..) {
            state.out.io.close(listener.socket);
        }
        drop(state);
        drop(entered);
    }
}

impl Core {
    /// Gives a connection to the next worker in turn.
    fn hand_out(&self, state: &mut State, accepted: Accepted) {
        let Some(link) = state.link.clone() else { return };
        let place = state.out.counters.handed_out.value() as usize % link.mailboxes().len();
        state.out.counters.handed_out.add(1);
        if place == state.worker {
            return self.adopt(state, accepted.socket, accepted.peer);
        }
        match state.out.io.release(accepted.socket) {
            // A refused post drops the descriptor, which closes it; the mailbox has counted it.
            Ok(descriptor) => drop(link.mailboxes()[place].post(Mail::Adopt(descriptor, accepted.peer))),
            Err(error) => tracing::warn!(%error, "a connection could not be handed to another worker"),
        }
    }

    /// A new connection begins with HTTP.
    fn adopt(&self, state: &mut State, socket: Socket, peer: Option<std::net::SocketAddr>) {
        state.out.counters.accepted.add(1);
        if state.stopping || state.table.len() >= state.options.max_connections {
            state.out.counters.refused_connections.add(1);
            state.out.counters.closed.add(1);
            return state.out.io.close(socket);
        }
        let options = state.options.clone();
        // The id is known only when the connection is in the table, and hyper's waker carries it: the exchange comes second.
        let id = state.table.insert(Connection::new(socket, peer));
        let exchange = Exchange::new(&options, self.executor.waker(Ready::Exchange(id)));
        if let Some(connection) = state.table.find_mut(id) {
            connection.stage = Stage::Http(Some(Box::new(exchange)));
            state.out.watch(connection, id);
        }
        state.arm(id, options.head_timeout);
    }

    /// The poller says that something can be done for a connection.
    fn ready(self: &Rc<Self>, id: SocketId, event: Event) {
        if event.writable {
            let mut state = self.state.borrow_mut();
            let State { table, out, .. } = &mut *state;
            if let Some(connection) = table.find_mut(id) {
                out.flush(connection, id);
            }
        }
        if event.readable || event.hangup {
            self.readable(id);
        }
    }

    fn readable(self: &Rc<Self>, id: SocketId) {
        let received = {
            let mut state = self.state.borrow_mut();
            let State { table, out, .. } = &mut *state;
            let Some(connection) = table.find_mut(id).filter(|connection| !connection.flags.lost) else { return };
            super::transport::recv(&mut *out.io, connection)
        };
        let mut buffer = match received {
            Ok(buffer) => buffer,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    self.lost(id, Happening::Lost);
                }
                return;
            }
        };
        self.counters.bytes_in.add(buffer.len() as u64);
        self.received(id, &mut buffer);
        self.state.borrow_mut().out.io.give_back(buffer);
    }

    /// Hands received bytes to the stage that the connection is in.
    fn received(self: &Rc<Self>, id: SocketId, bytes: &mut [u8]) {
        enum To {
            Http,
            Frames { early: bool },
            Nobody,
        }
        let to = match self.state.borrow().table.find(id).map(|connection| &connection.stage) {
            Some(Stage::Http(_)) => To::Http,
            Some(Stage::Open(early)) => To::Frames { early: early.is_some() },
            Some(Stage::CloseSent) => To::Frames { early: false },
            Some(Stage::Ending(_) | Stage::Lingering) => To::Nobody,
            None => return,
        };
        match to {
            To::Http => self.http_input(id, bytes),
            _ if bytes.is_empty() => self.lost(id, Happening::EndOfStream),
            To::Frames { early } => {
                if early {
                    self.early_bytes(id);
                }
                self.frames(id, bytes);
            }
            To::Nobody => {}
        }
    }

    /// The connection at a place of the table has a timer that came due.
    fn timer(self: &Rc<Self>, index: u32) {
        let (id, open) = {
            let state = &mut *self.state.borrow_mut();
            let tick = state.tick();
            let Some(id) = state.table.id_at(index) else { return };
            let Some(connection) = state.table.find_mut(id) else { return };
            if !connection.is_open() && connection.deadline > tick {
                return state.wheel.arm(index, connection.deadline);
            }
            (id, connection.is_open())
        };
        if open {
            self.idle_timer(id);
        } else {
            self.lost(id, Happening::Deadline);
        }
    }

    fn mail(self: &Rc<Self>, mail: Mail) {
        match mail {
            Mail::Publish(batch) => {
                let mut state = self.state.borrow_mut();
                for (topic, frame, payload) in batch.iter() {
                    let _ = state.deliver(topic, frame.len(), payload, None, |log| log.extend_from_slice(frame));
                }
            }
            Mail::Send(id, kind, payload) => {
                let _ = self.state.borrow_mut().send(id, opcode(kind), &payload);
            }
            Mail::PublishFrom(id, topic, kind, payload) => {
                let _ = self.state.borrow_mut().publish_from(id, &topic, opcode(kind), &payload);
            }
            Mail::Close(id, code, reason) => self.happen(id, Happening::LocalClose, code, &reason),
            Mail::Terminate(id) => self.happen(id, Happening::LocalTerminate, 1006, ""),
            Mail::Adopt(descriptor, peer) => {
                let mut state = self.state.borrow_mut();
                match state.out.io.adopt(descriptor) {
                    Ok(socket) => self.adopt(&mut state, socket, peer),
                    Err(error) => tracing::warn!(%error, "a connection from another worker was lost"),
                }
            }
            Mail::Reload(make) => {
                let (application, options) = make();
                self.state.borrow_mut().reload(Rc::new(options));
                self.set_application(application);
            }
            Mail::Stop(_) => {}
        }
    }
}

/// How long before its idle timeout a silent peer is pinged, in ticks.
fn ping_lead(idle: u32) -> u32 {
    (idle / 2).clamp(1, 8)
}

impl State {
    /// Arms the timer of an open socket: for the ping, if one is due before the end, else for the end.
    pub fn arm_idle(&mut self, id: SocketId) {
        let idle = ticks(self.options.idle_timeout);
        let deadline = self.tick().saturating_add(idle).saturating_add(1);
        let lead = if self.options.send_pings { ping_lead(idle) } else { 0 };
        if let Some(connection) = self.table.find_mut(id) {
            connection.deadline = deadline;
            self.wheel.arm(id.index(), deadline - lead);
        }
    }
}

impl Core {
    /// An open socket's timer: it has been heard since, or it is pinged, or it has been silent for too long.
    fn idle_timer(self: &Rc<Self>, id: SocketId) {
        let silent = {
            let state = &mut *self.state.borrow_mut();
            let idle = ticks(state.options.idle_timeout);
            let tick = state.tick();
            let Some(connection) = state.table.find_mut(id).filter(|_| idle > 0) else { return };
            let deadline = connection.deadline;
            let lead = if state.options.send_pings && !connection.flags.pinged { ping_lead(idle) } else { 0 };
            if deadline > tick && deadline - lead > tick {
                return state.wheel.arm(id.index(), deadline - lead);
            }
            if deadline > tick {
                connection.flags.pinged = true;
                if !connection.flags.stalled {
                    state.out.put_frame(connection, id, Opcode::Ping, b"");
                    state.out.counters.pings_sent.add(1);
                }
                return state.wheel.arm(id.index(), deadline);
            }
            true
        };
        if silent {
            self.counters.closed_idle.add(1);
            self.happen(id, Happening::LocalTerminate, 1006, "");
        }
    }
}

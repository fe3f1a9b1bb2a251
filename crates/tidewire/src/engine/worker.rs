//! The worker: one thread's loop, or a guest in a foreign one.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_proto::state::Happening;
use tidewire_sys::{Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};

use super::application::Application;
use super::connection::PeerAddress;
use super::core::Core;
use super::executor::{Executor, Ready};
use super::group::Group;
use super::limits::Limit;
use super::local::{LocalSocket, LocalWorker};
use super::mailbox::Mail;
use super::options::Options;
use super::outgoing::Outgoing;
use super::state::State;
use super::table::SocketId;
use crate::backplane::Link;

/// Why a turn was refused or failed. After `Poll` the worker is of no more use.
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

/// One worker, turned by its owner: `while !worker.is_finished() { worker.turn(None)? }`, or from a foreign loop that watches its
/// [descriptor](Worker::descriptor). It stays on the thread that made it; dropping it cuts its connections off.
///
/// ```
/// use std::time::Duration;
/// use tidewire::sys::{Endpoint, ListenOptions, Readiness};
/// use tidewire::{Server, Upgrade};
///
/// let builder = Server::builder().fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) });
/// let (server, mut workers) = builder.embed(vec![Box::new(Readiness::new()?)]);
/// let worker = &mut workers[0];
/// let at = worker.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default())?;
/// println!("listening on {at}");
///
/// // In a foreign loop, whenever the descriptor is readable, and after at most `timeout`:
/// assert!(worker.descriptor().is_some());
/// worker.turn(Some(Duration::ZERO))?;
/// assert_eq!(worker.timeout(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Worker {
    core: Rc<Core>,
    link: Arc<Link>,
    listeners: Vec<Listener>,
    events: Vec<Event>,
    expired: Vec<u32>,
    /// Accepting is paused until this tick, because descriptors ran out.
    accept_again: Option<u32>,
    /// When patience ends, after a stop.
    stop_at: Option<Duration>,
    /// How many posts the mailbox had refused when that was told.
    refusals_told: u64,
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
/// The most times that mail is taken in while a turn is flushed.
const LOOKS: usize = 16;

impl Worker {
    /// A worker at a place of its group: 0 and up for those that [`Group::new`] was given, or what [`Group::join`] gave; each once.
    /// It leaves the group when it is dropped.
    ///
    /// # Panics
    /// When the group has no such place, or its worker has left.
    pub fn new(io: Box<dyn Io>, group: &Group, place: usize, options: Options, application: Rc<dyn Application>) -> Self {
        let shared = group.shared();
        let executor = Executor::new(io.waker());
        let (mailbox, counters) = shared.link.seat(place);
        let out = Outgoing::new(io, counters);
        let mut state = State::new(out, Rc::new(options), shared.link.counts.clone(), shared.census.clone(), place);
        state.link = Some(shared.link.clone());
        Self {
            core: Core::new(state, application, executor, mailbox),
            link: shared.link.clone(),
            listeners: Vec::new(),
            events: Vec::new(),
            expired: Vec::new(),
            accept_again: None,
            stop_at: None,
            refusals_told: 0,
        }
    }

    /// Listens, in addition to where it does already; says where (port 0 picks one).
    ///
    /// # Errors
    /// As `bind(2)` and `listen(2)`, and when the listener cannot be watched.
    pub fn listen(&mut self, endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Endpoint> {
        let listening = self.core.state.borrow_mut().out.io.listen(endpoint, options)?;
        let local = listening.local.clone();
        self.add_listener(listening, false)?;
        Ok(local)
    }

    /// Secures the connections that come from now on; for a worker that is not a [`Server`](crate::Server)'s.
    ///
    /// # Errors
    /// As [`Builder::tls`](crate::Builder::tls); nothing has changed then.
    #[cfg(feature = "tls")]
    pub fn secure(&mut self, tls: &crate::tls::Tls) -> Result<(), crate::tls::TlsError> {
        self.share_tls(Arc::new(super::transport::Acceptor::new(tls)?));
        Ok(())
    }

    /// Secures the connections that come from now on, as the other workers do theirs.
    #[cfg(feature = "tls")]
    pub(crate) fn share_tls(&mut self, acceptor: Arc<super::transport::Acceptor>) {
        self.core.state.borrow_mut().tls = Some(acceptor);
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

    /// A descriptor that is readable when a turn is due, for a foreign loop. `None` when its [`Io`] has none.
    #[must_use]
    pub fn descriptor(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.core.state.borrow().out.io.descriptor().map(|descriptor| descriptor.as_raw_fd())
    }

    /// How long a foreign loop may sleep if the descriptor stays quiet; `None`: for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_sub(self.core.state.borrow().out.io.now()))
    }

    /// When a turn is due at the latest, on the clock of its [`Io`]. It may come nearer between turns: a socket that is closed then has
    /// so long for its end.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let state = self.core.state.borrow();
        let ticks = [state.wheel.next(), self.accept_again].into_iter().flatten().min();
        let timer = ticks.map(|tick| Duration::from_secs(u64::from(tick)));
        let stagger = state.staggers.iter().map(|(due, _)| *due).min();
        [timer, self.stop_at, stagger].into_iter().flatten().min()
    }

    /// Whether it has ended: it was stopped, and nothing is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let state = self.core.state.borrow();
        state.stopping && state.table.len() == 0
    }

    /// The sockets that it has now, also those that connect or close.
    pub fn sockets(&self) -> impl Iterator<Item = LocalSocket> + '_ {
        let ids: Vec<_> = self.core.state.borrow().table.ids().collect();
        ids.into_iter().filter(|id| !self.core.is_attempt(*id)).map(|id| self.core.local(id))
    }

    /// A handle for code on this thread, which works during turns too.
    #[must_use]
    pub fn handle(&self) -> LocalWorker {
        LocalWorker::new(self.core.clone())
    }

    /// Makes the worker finished as soon as it has no connection: for a client, whose connections have begun.
    pub fn stop_when_empty(&mut self) {
        self.core.state.borrow_mut().stopping = true;
    }

    /// How many connections it has now, and how many of them are open WebSockets.
    #[must_use]
    pub fn population(&self) -> (usize, usize) {
        self.core.state.borrow().population()
    }

    /// One turn: waits for events, at most for `timeout` (`None`: until there are some), deals with them, and sends what came
    /// of it.
    ///
    /// # Errors
    /// [`WorkerError::Turning`] inside a handler of this worker; [`WorkerError::Poll`] when the poller fails.
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
        let told = self.core.settle();
        let timeout = match (self.timeout(), timeout) {
            (Some(own), Some(given)) => Some(own.min(given)),
            (own, given) => own.or(given),
        };
        // Whoever turns this may be waiting for what was told just now, such as that the last connection has ended.
        let idle = self.core.executor.queue().sleep() && self.core.mailbox.is_empty() && !told;
        let mut events = std::mem::take(&mut self.events);
        {
            let mut state = self.core.state.borrow_mut();
            state.out.io.wait(if idle { timeout } else { Some(Duration::ZERO) }, &mut events)?;
            state.begin_turn();
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
        self.flush_beside_mail();
        self.core.settle();
        // A foreign loop may sleep before the next turn: what is woken until then wakes the poller.
        self.core.executor.queue().sleep();
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
        tracing::debug!(%error, "a connection could not be accepted");
        let mut state = self.core.state.borrow_mut();
        state.out.reached(Limit::Descriptors, PeerAddress::Unnamed);
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
        if !self.core.state.borrow().staggers.is_empty() {
            self.core.stagger();
        }
        if self.stop_at.is_some_and(|due| due <= now) {
            self.stop_at = None;
            self.core.end_all(Happening::CutOff, 1006, "");
        }
    }

    fn read_mail(&mut self) {
        if self.core.mailbox.is_empty() {
            return;
        }
        let refused = self.core.mailbox.refused();
        if refused > self.refusals_told {
            self.refusals_told = refused;
            let out = &mut self.core.state.borrow_mut().out;
            out.notices.tell(Limit::Mail, PeerAddress::Unnamed, out.deadlines.now);
        }
        for mail in self.core.mailbox.take() {
            match mail {
                Mail::Stop(patience) => self.stop(patience),
                mail => self.core.mail(mail),
            }
        }
    }

    /// Flushes, and takes what another worker has published meanwhile into the sends that are still to come: one for each socket instead
    /// of two. Workers that share a room are often awake at the same time.
    fn flush_beside_mail(&mut self) {
        if self.link.len() < 2 {
            return;
        }
        for _ in 0..LOOKS {
            let core = &self.core;
            if core.state.borrow_mut().flush_dirty_while(|| core.mailbox.is_empty()) {
                return;
            }
            self.read_mail();
        }
    }

    /// Stops listening and closes all sockets with 1001, within this call; what is left after `patience` is cut off. With none
    /// at all nobody is waited for: the Close leaves, and the connection ends behind it.
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
        self.core.close_all(patience);
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
        self.core.mailbox.close();
        self.link.leave(self.core.state.borrow().worker, &self.core.mailbox);
        let mut state = self.core.state.borrow_mut();
        for listener in self.listeners.drain(..) {
            state.out.io.close(listener.socket);
        }
        drop(state);
        drop(entered);
    }
}

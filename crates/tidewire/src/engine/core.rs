//! The core of a worker: the state behind one `RefCell`, and the calls into user code.
//!
//! The rule of this room: a borrow of the state lasts for one operation and never spans a call of the application. After each
//! callback a connection is looked up again by its id.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidewire_proto::close::code;
use tidewire_proto::state::{Happening, Report};

use super::application::Application;
use super::connection::PeerAddress;
use super::counters::Counters;
use super::dialing::ConnectError;
use super::executor::Executor;
use super::limits::Limit;
use super::local::LocalSocket;
use super::mailbox::{Mailbox, Reload};
use super::state::State;
use super::table::SocketId;

pub(crate) struct Core {
    /// Tells this worker from all others of the process.
    pub number: usize,
    pub state: RefCell<State>,
    application: RefCell<Rc<dyn Application>>,
    pub executor: Executor,
    pub mailbox: Arc<Mailbox>,
    pub counters: Arc<Counters>,
    /// A turn is under way on this thread.
    pub turning: Cell<bool>,
    /// The number of the last reload that was done here.
    pub reloads: Cell<u64>,
}

/// Drops what may run user code, whose panic ends here: no destructor of the application's takes a worker, and all its sockets,
/// with it. Whether it came to that. (The panic hook has said what happened.)
pub(crate) fn let_go<T>(value: T) -> bool {
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(value))).is_err();
    if panicked {
        tracing::error!("a destructor of the application's panicked");
    }
    panicked
}

thread_local! {
    /// The workers whose code runs on this thread now; the last is the current one.
    static CURRENT: RefCell<Vec<Rc<Core>>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, a worker is the thread's current one.
pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.with_borrow_mut(Vec::pop);
        drop(left);
    }
}

impl Core {
    pub fn new(state: State, application: Rc<dyn Application>, executor: Executor, mailbox: Arc<Mailbox>) -> Rc<Self> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let counters = state.out.counters.clone();
        Rc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            state: RefCell::new(state),
            application: RefCell::new(application),
            executor,
            mailbox,
            counters,
            turning: Cell::new(false),
            reloads: Cell::new(0),
        })
    }

    /// The worker whose code runs on this thread.
    pub fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(|workers| workers.last().cloned())
    }

    /// Makes this worker the thread's current one.
    pub fn enter(self: &Rc<Self>) -> Entered {
        CURRENT.with_borrow_mut(|workers| workers.push(self.clone()));
        Entered
    }

    /// Whose handlers a socket's events go to: its own, if we began it, else the worker's.
    pub fn application_of(&self, socket: &LocalSocket) -> Rc<dyn Application> {
        socket.client_side().map_or_else(|| self.application(), |side| side.handlers.clone())
    }

    pub fn application(&self) -> Rc<dyn Application> {
        self.application.borrow().clone()
    }

    /// Changes the handlers; those that are running finish as they are.
    pub fn set_application(&self, application: Rc<dyn Application>) {
        let before = self.application.replace(application);
        self.let_go(before);
    }

    /// Takes new handlers and limits, unless a later reload was here before.
    pub fn reload(&self, number: u64, make: Reload) {
        if number <= self.reloads.get() {
            return;
        }
        self.reloads.set(number);
        let (application, options) = make();
        self.state.borrow_mut().reload(Rc::new(options));
        self.set_application(application);
    }

    /// Drops what may run user code; a panic is counted.
    pub fn let_go<T>(&self, value: T) {
        if let_go(value) {
            self.counters.panics.add(1);
        }
    }

    /// The handle of a socket, with its data.
    pub fn local(self: &Rc<Self>, id: SocketId) -> LocalSocket {
        let data = self.state.borrow().data(id);
        LocalSocket::new(self.clone(), id, data)
    }

    /// The way of every end of a WebSocket: applies the closing table, then tells the application.
    pub fn happen(self: &Rc<Self>, id: SocketId, happening: Happening, code: u16, reason: &str) {
        if self.is_dialing(id) {
            return self.give_up_dialing(id);
        }
        // Built before, because afterwards the connection and its data may be gone.
        let socket = self.local(id);
        let client = self.state.borrow().table.find(id).is_some_and(|connection| connection.flags.client);
        let report = self.state.borrow_mut().happen(id, happening, code, reason);
        self.bury();
        let code = match report {
            Report::Nothing => return,
            Report::Local | Report::Remote => code,
            Report::Failed if client => code,
            Report::Failed | Report::Lost => 1006,
        };
        if report == Report::Lost {
            self.counters.lost.add(1);
        }
        self.counters.close_codes.count(code);
        if report == Report::Failed && client {
            self.application_of(&socket).peer_failed(&socket, code, reason);
        }
        self.application_of(&socket).close(&socket, code, reason);
    }

    /// Drops what is over, now that nothing is borrowed: a connection's data may have a destructor of the application's.
    pub fn bury(&self) {
        loop {
            let dead = std::mem::take(&mut self.state.borrow_mut().graveyard);
            if dead.is_empty() {
                return;
            }
            // Each by itself, so that one that panics leaves the others their destructors.
            dead.into_iter().for_each(|connection| self.let_go(connection));
        }
    }

    /// A connection has reached a limit: it is counted, and told to the operator.
    #[cold]
    pub fn reached(&self, limit: Limit, id: SocketId) {
        let state = &mut *self.state.borrow_mut();
        let peer = state.table.find(id).map_or(PeerAddress::Unnamed, |connection| connection.peer);
        state.out.reached(limit, peer);
    }

    /// Sends what was queued and tells what became of it, until there is nothing more to tell. Whether there
    /// was anything to tell.
    pub fn settle(self: &Rc<Self>) -> bool {
        let mut told = false;
        loop {
            let mut state = self.state.borrow_mut();
            state.flush_dirty();
            for id in std::mem::take(&mut state.out.ended) {
                state.linger(id);
            }
            let lost = std::mem::take(&mut state.out.lost);
            let drained = std::mem::take(&mut state.out.drained);
            let room = std::mem::take(&mut state.out.room);
            let early = std::mem::take(&mut state.early);
            drop(state);
            if lost.is_empty() && drained.is_empty() && room.is_empty() && early.is_empty() {
                self.bury();
                return told;
            }
            told = true;
            lost.into_iter().for_each(|id| self.lost(id, Happening::Lost));
            room.into_iter().for_each(|id| self.output_taken(id));
            drained.into_iter().for_each(|id| self.drain(id));
            early.into_iter().for_each(|id| self.early_bytes(id));
        }
    }

    /// A connection is gone, in whatever stage it was.
    pub fn lost(self: &Rc<Self>, id: SocketId, happening: Happening) {
        let phase = self.state.borrow().table.find(id).map(|connection| connection.phase());
        match phase {
            None => {}
            Some(Some(_)) => self.happen(id, happening, 1006, ""),
            Some(None) if self.is_dialing(id) => self.dial_failed(id, ConnectError::from(happening)),
            Some(None) if self.is_attempt(id) => self.attempt_failed(id, std::io::ErrorKind::ConnectionAborted.into()),
            Some(None) => {
                self.state.borrow_mut().remove(id, false);
                self.bury();
            }
        }
    }

    fn drain(self: &Rc<Self>, id: SocketId) {
        if self.state.borrow().table.find(id).is_some_and(|connection| connection.is_open()) {
            let socket = self.local(id);
            self.application_of(&socket).drain(&socket);
        }
    }

    /// Closes everything with 1001, within this call. What has no patience is let go behind its Close as well (Bun: `stop(true)`).
    pub fn close_all(self: &Rc<Self>, patience: Duration) {
        if !patience.is_zero() {
            return self.end_all(Happening::LocalClose, code::GOING_AWAY, "");
        }
        self.end_all(Happening::LocalClose, code::GOING_AWAY, "Server closed");
        self.end_all(Happening::LocalTerminate, code::ABNORMAL, "");
    }

    /// Has the same happen to everything.
    pub fn end_all(self: &Rc<Self>, happening: Happening, code: u16, reason: &str) {
        let ids: Vec<_> = self.state.borrow().table.ids().collect();
        for id in ids {
            let phase = self.state.borrow().table.find(id).map(|connection| connection.phase());
            match phase {
                Some(Some(_)) => self.happen(id, happening, code, reason),
                Some(None) if self.is_dialing(id) => self.dial_failed(id, ConnectError::Closed),
                // It ends with what it is an attempt of.
                Some(None) if self.is_attempt(id) => {}
                Some(None) => self.end_exchange(id, happening != Happening::LocalClose),
                None => {}
            }
        }
    }

    /// Lets go of all that user code may hold a part of, so that nothing keeps itself alive.
    pub fn clear(self: &Rc<Self>) {
        self.end_all(Happening::CutOff, 1006, "");
        self.executor.clear();
        let rest: Vec<Option<Rc<dyn Any>>> = {
            let mut state = self.state.borrow_mut();
            state.link = None;
            let ids: Vec<_> = state.table.ids().collect();
            ids.into_iter().map(|id| state.table.find_mut(id).and_then(|connection| connection.data.take())).collect()
        };
        rest.into_iter().for_each(|data| self.let_go(data));
        self.bury();
        self.set_application(Rc::new(()));
    }
}

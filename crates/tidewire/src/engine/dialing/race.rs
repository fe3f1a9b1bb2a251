//! Which address answers first: happy eyeballs (RFC 8305). Each attempt is an entry of the table with a socket of its own, until
//! one is established; that one's socket becomes the connection's, and the others are cut off.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidewire_sys::{Endpoint, Socket};

use super::dial::Destination;
use super::error::ConnectError;
use super::{Dialing, resolve};
use crate::engine::connection::{Connection, Stage};
use crate::engine::core::Core;
use crate::engine::mailbox::Mail;
use crate::engine::state::State;
use crate::engine::table::SocketId;

/// How long an attempt has for itself before the next one begins beside it (RFC 8305, section 5: the recommended "Connection
/// Attempt Delay").
pub(crate) const STAGGER: Duration = Duration::from_millis(250);

/// The attempts of one connection.
#[derive(Debug, Default)]
pub(super) struct Race {
    waiting: VecDeque<Endpoint>,
    under_way: Vec<SocketId>,
    failures: Vec<(Endpoint, io::Error)>,
    /// The name whose addresses are awaited.
    resolving: Option<String>,
}

fn dialing(state: &mut State, id: SocketId) -> Option<&mut Dialing> {
    match state.table.find_mut(id) {
        Some(Connection { stage: Stage::Dialing(dialing), .. }) => Some(dialing),
        _ => None,
    }
}

impl Core {
    /// Begins with the first address, or with the question for it.
    pub(super) fn find_way(self: &Rc<Self>, id: SocketId, destination: Destination) {
        match destination {
            Destination::Endpoints(endpoints) => {
                if let Some(dialing) = dialing(&mut self.state.borrow_mut(), id) {
                    dialing.race.waiting = endpoints.into();
                }
                self.attempt(id);
            }
            Destination::Name(host, port) => {
                if let Some(dialing) = dialing(&mut self.state.borrow_mut(), id) {
                    dialing.race.resolving = Some(host.clone());
                }
                let mailbox = self.mailbox.clone();
                resolve::look_up(host, port, move |found| {
                    mailbox.post(Mail::Resolved(id, found));
                });
            }
        }
    }

    /// The resolver has answered.
    pub(in crate::engine) fn resolved(self: &Rc<Self>, id: SocketId, found: io::Result<Vec<std::net::SocketAddr>>) {
        {
            let mut state = self.state.borrow_mut();
            let Some(dialing) = dialing(&mut state, id) else { return };
            let host = dialing.race.resolving.take().unwrap_or_default();
            match found {
                Ok(addresses) => dialing.race.waiting = addresses.into_iter().map(Endpoint::Tcp).collect(),
                Err(error) => dialing.failed = Some(ConnectError::Resolve { host, error }),
            }
        }
        self.attempt(id);
    }

    /// Begins the next attempt, if there is an address left; if nothing is left at all, the connection has failed.
    fn attempt(self: &Rc<Self>, id: SocketId) {
        let state = &mut *self.state.borrow_mut();
        while let Some(endpoint) = dialing(state, id).and_then(|dialing| dialing.race.waiting.pop_front()) {
            match state.out.io.connect(&endpoint) {
                Ok(socket) => return state.begin_attempt(id, &endpoint, socket),
                Err(error) => {
                    if let Some(dialing) = dialing(state, id) {
                        dialing.race.failures.push((endpoint, error));
                    }
                }
            }
        }
        let Some(dialing) = dialing(state, id).filter(|dialing| dialing.race.under_way.is_empty()) else { return };
        let failures = std::mem::take(&mut dialing.race.failures);
        dialing.failed.get_or_insert(ConnectError::Unreachable(failures));
        // It is told so in the turn's end, not inside the application's call.
        if let Some(connection) = state.table.find_mut(id) {
            state.out.lose(connection, id);
        }
    }

    /// An attempt's time alone has passed.
    pub(in crate::engine) fn stagger(self: &Rc<Self>) {
        let due: Vec<SocketId> = {
            let state = &mut *self.state.borrow_mut();
            let now = state.now;
            let (due, later) = state.staggers.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
            state.staggers = later;
            due.into_iter().map(|(_, id)| id).collect()
        };
        for id in due {
            let racing = dialing(&mut self.state.borrow_mut(), id).is_some_and(|dialing| !dialing.race.waiting.is_empty());
            if racing {
                self.attempt(id);
            }
        }
    }

    /// Something happened to a socket: if it was an attempt, it is established now or has failed. Whether it was.
    pub(in crate::engine) fn attempted(self: &Rc<Self>, id: SocketId) -> bool {
        let (of, outcome) = {
            let State { table, out, .. } = &mut *self.state.borrow_mut();
            let Some(connection) = table.find_mut(id) else { return false };
            let Stage::Attempt(of) = connection.stage else { return false };
            (of, out.io.connected(&connection.socket))
        };
        match outcome {
            Ok(()) => self.attempt_won(of, id),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.attempt_failed(id, error),
        }
        true
    }

    fn attempt_won(self: &Rc<Self>, of: SocketId, id: SocketId) {
        {
            let state = &mut *self.state.borrow_mut();
            let Some(attempt) = state.take_attempt(id) else { return };
            if let Some(dialing) = dialing(state, of) {
                dialing.race.under_way.retain(|other| *other != id);
            }
            state.end_race(of);
            let Some(connection) = state.table.find_mut(of) else { return state.out.io.abort(attempt.socket) };
            connection.socket = attempt.socket;
            connection.peer = attempt.peer;
            state.out.watch(connection, of);
        }
        self.converse(of, &[]);
    }

    /// An attempt has failed, so the next one need not wait.
    pub(in crate::engine) fn attempt_failed(self: &Rc<Self>, id: SocketId, error: io::Error) {
        let of = {
            let state = &mut *self.state.borrow_mut();
            let Some(attempt) = state.take_attempt(id) else { return };
            let Stage::Attempt(of) = attempt.stage else { return };
            state.out.io.close(attempt.socket);
            let Some(dialing) = dialing(state, of) else { return };
            dialing.race.under_way.retain(|other| *other != id);
            // Unix sockets answer at once: what comes later is an address'.
            if let Some(address) = attempt.peer.address() {
                dialing.race.failures.push((Endpoint::Tcp(address), error));
            }
            of
        };
        self.attempt(of);
    }
}

impl State {
    fn begin_attempt(&mut self, of: SocketId, endpoint: &Endpoint, socket: Socket) {
        let peer = match endpoint {
            Endpoint::Tcp(address) => Some(*address),
            Endpoint::Unix(_) => None,
        };
        let mut attempt = Connection::new(socket, peer);
        attempt.stage = Stage::Attempt(of);
        attempt.flags.client = true;
        let id = self.table.insert(attempt);
        self.attempts += 1;
        if let Some(attempt) = self.table.find_mut(id) {
            self.out.watch(attempt, id);
        }
        let now = self.out.io.now();
        let Some(dialing) = dialing(self, of) else { return };
        dialing.race.under_way.push(id);
        if !dialing.race.waiting.is_empty() {
            self.staggers.push((now + STAGGER, of));
        }
    }

    fn take_attempt(&mut self, id: SocketId) -> Option<Connection> {
        let attempt = self.table.remove(id)?;
        self.attempts -= 1;
        Some(attempt)
    }

    /// Cuts off the attempts that are under way, and forgets the addresses that were not tried.
    pub(super) fn end_race(&mut self, id: SocketId) {
        let Some(dialing) = dialing(self, id) else { return };
        dialing.race.waiting.clear();
        for attempt in std::mem::take(&mut dialing.race.under_way) {
            if let Some(attempt) = self.take_attempt(attempt) {
                self.out.io.abort(attempt.socket);
            }
        }
        self.staggers.retain(|(_, of)| *of != id);
    }
}

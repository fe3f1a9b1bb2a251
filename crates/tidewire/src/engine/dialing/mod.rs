//! The client's way to an open WebSocket: a name, an address that answers, a conversation. From there on a connection is the
//! same in both roles, but for its masks.
//!
//! Any worker can begin connections, with or without a server of its own, any number of them beside each other:
//! [`LocalWorker::connect`](super::LocalWorker::connect) takes a [`Dial`], the handlers of this one connection (an
//! [`Application`] whose `fetch` nobody calls), and data of the caller's. It gives the [`LocalSocket`], which is
//! [`Connecting`](super::ReadyState::Connecting), and calls nothing before it has returned. Then, in later turns (or in
//! [`Worker::flush`](super::Worker::flush)), come
//!
//! - `open`, then `message`, `ping`, `pong` and `drain` as they happen, and `close` once; or
//! - `connect_failed` with the [`ConnectError`] and then `close` with [`ConnectError::close_code`]: it could not be opened, or
//!   was closed before ([`LocalSocket::close`] or `terminate` while it connects; it is `Closing` from then on).
//!
//! [`LocalSocket::answer`] has what the server said: subprotocol, extensions, headers. The worker's
//! [`Options`](super::Options) count for its clients too; a [`Dial`] chooses its own compression. Nothing needs a turn but what
//! [`Worker::descriptor`](super::Worker::descriptor) and [`Worker::timeout`](super::Worker::timeout) tell of, also while a
//! name is looked up.
//!
//! ```
//! use std::rc::Rc;
//! use tidewire::engine::{Application, ConnectError, Dial, Group, LocalSocket, Message, Options, Worker};
//! use tidewire::sys::{Io, Readiness};
//!
//! struct Greeter;
//!
//! impl Application for Greeter {
//!     fn connect_failed(&self, _: &LocalSocket, error: &ConnectError) { println!("{error} ({})", error.code()); }
//!     fn open(&self, socket: &LocalSocket) { socket.send("hello"); }
//!     fn message(&self, _: &LocalSocket, message: Message<'_>) { println!("{message}"); }
//!     fn close(&self, _: &LocalSocket, code: u16, reason: &str) { println!("{code} {reason}"); }
//! }
//!
//! let io = Readiness::new()?;
//! let group = Group::new(vec![io.waker()]);
//! // What the worker itself listens for: nothing.
//! let mut worker = Worker::new(Box::new(io), &group, 0, Options::default(), Rc::new(()));
//! for url in ["ws://127.0.0.1:1/a", "ws+unix:/nowhere:/b"] {
//!     worker.handle().connect(&Dial::to(url)?, Rc::new(Greeter), None)?;
//! }
//! while worker.population().0 > 0 {
//!     worker.turn(None)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way
//!
//! Names go to the system's resolver, on threads of its own. Addresses are tried as RFC 8305 says: IPv6 first and the families
//! in turn, the next one 250 ms after the last or as soon as that has failed, and the first that answers wins. All of it, with
//! the proxy, TLS and the handshake, has [`connect_timeout`](super::Options::connect_timeout).

mod conversation;
mod dial;
mod error;
mod proxy;
mod race;
mod resolve;
pub(crate) mod url;

use std::any::Any;
use std::cell::OnceCell;
use std::rc::Rc;

use tidewire_proto::{Receiver, Role};
use tidewire_sys::Socket;

use super::application::Application;
use super::compression::Compression;
use super::connection::{Connection, Stage};
use super::core::Core;
use super::local::LocalSocket;
use super::state::State;
use super::table::SocketId;
use super::transport::{Received, Then};

pub(crate) use conversation::{Conversation, Opened};
#[cfg(feature = "tokio")]
pub(crate) use dial::Destination;
pub use dial::Dial;
pub use error::{Answer, ConnectError, DialError};
pub use proxy::Proxy;
#[cfg(feature = "tokio")]
pub(crate) use race::STAGGER;
#[cfg(feature = "tokio")]
pub(crate) use resolve::interleave;

use race::Race;

/// A connection on its way to be a WebSocket.
#[derive(Debug)]
pub(crate) struct Dialing {
    race: Race,
    conversation: Conversation,
    /// Whether what is sent is to be compressed, where that is agreed on.
    compresses: bool,
    pub given_up: bool,
    /// Why it has failed, if that is known and not told yet.
    failed: Option<ConnectError>,
}

/// What a connection of ours has that an accepted one has not. It stands where the latter has its data.
pub(crate) struct ClientSide {
    pub handlers: Rc<dyn Application>,
    pub data: Option<Rc<dyn Any>>,
    pub answer: OnceCell<Box<Answer>>,
}

impl Core {
    /// Begins a connection.
    pub(super) fn connect(
        self: &Rc<Self>,
        dial: &Dial,
        handlers: Rc<dyn Application>,
        data: Option<Rc<dyn Any>>,
    ) -> Result<LocalSocket, DialError> {
        let (id, destination) = {
            let state = &mut *self.state.borrow_mut();
            let dialing = Dialing {
                race: Race::default(),
                conversation: dial.conversation(&state.options)?,
                compresses: dial.compresses(&state.options),
                given_up: false,
                failed: None,
            };
            let mut connection = Connection::new(Socket::from_number(Connection::NO_SOCKET), None);
            connection.stage = Stage::Dialing(Box::new(dialing));
            connection.flags.client = true;
            connection.data = Some(Rc::new(ClientSide { handlers, data, answer: OnceCell::new() }));
            state.begin_turn();
            let id = state.table.insert(connection);
            state.out.counters.connects.add(1);
            state.arm(id, state.options.connect_timeout);
            (id, dial.destination())
        };
        self.find_way(id, destination);
        Ok(self.local(id))
    }

    pub(super) fn is_dialing(&self, id: SocketId) -> bool {
        self.state.borrow().table.find(id).is_some_and(|connection| matches!(connection.stage, Stage::Dialing(_)))
    }

    pub(super) fn is_attempt(&self, id: SocketId) -> bool {
        self.state.borrow().table.find(id).is_some_and(|connection| matches!(connection.stage, Stage::Attempt(_)))
    }

    /// Bytes for a connection that is on its way; frames may follow in the same read.
    pub(super) fn dial_input(self: &Rc<Self>, id: SocketId, received: &Received) {
        self.converse(id, &received.input);
        let dialing = self.is_dialing(id);
        match received.then {
            Then::More => {}
            Then::End if dialing => self.dial_failed(id, ConnectError::Ended),
            Then::Broken if dialing => self.dial_broken(id),
            then => {
                self.early_bytes(id);
                if then == Then::End { self.received(id, &mut []) } else { self.broken(id) }
            }
        }
    }

    /// Says what is to be said next.
    fn converse(self: &Rc<Self>, id: SocketId, input: &[u8]) {
        let outcome = {
            let State { table, out, .. } = &mut *self.state.borrow_mut();
            let Some(connection) = table.find_mut(id) else { return };
            let Stage::Dialing(dialing) = &mut connection.stage else { return };
            if dialing.given_up {
                return;
            }
            let mut output = Vec::new();
            let outcome = dialing.conversation.advance(&mut connection.tls, input, &mut output);
            out.put_bytes(connection, id, &output);
            out.mark_sealed(connection, id);
            outcome
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(opened)) => self.opened(id, opened),
            Err(error) => self.dial_failed(id, error),
        }
    }

    /// The handshake has succeeded: what came behind its answer is dispatched after `open`.
    fn opened(self: &Rc<Self>, id: SocketId, opened: Opened) {
        let socket = self.local(id);
        {
            let state = &mut *self.state.borrow_mut();
            let Some(connection) = state.table.find_mut(id) else { return };
            let Stage::Dialing(dialing) = &mut connection.stage else { return };
            let agreement = opened.compression.as_ref();
            connection.compression =
                agreement.map_or_else(Compression::default, |it| Compression::agreed(it, dialing.compresses));
            connection.receiver = Receiver::new(Role::Client);
            let glued = !opened.early.is_empty();
            connection.stage = Stage::Open(glued.then(|| Box::new(opened.early)));
            if glued {
                state.early.push(id);
            }
            state.begin_open(id);
        }
        if let Some(side) = socket.client_side() {
            // It is empty: a connection opens once.
            let _ = side.answer.set(Box::new(opened.answer));
        }
        self.application_of(&socket).open(&socket);
    }

    /// The other end broke TLS, or we cannot trust it: it is told so, and that was it.
    fn dial_broken(self: &Rc<Self>, id: SocketId) {
        self.counters.tls_errors.add(1);
        let error = {
            let State { table, out, .. } = &mut *self.state.borrow_mut();
            let Some(connection) = table.find_mut(id) else { return };
            let Stage::Dialing(dialing) = &connection.stage else { return };
            let error = dialing.conversation.broken(&connection.tls);
            out.flush(connection, id);
            error
        };
        self.dial_failed(id, error);
    }

    /// Tells the application that a connection could not be opened, once, and lets go of it.
    pub(super) fn dial_failed(self: &Rc<Self>, id: SocketId, error: ConnectError) {
        let socket = self.local(id);
        let error = {
            let mut state = self.state.borrow_mut();
            let Some(Connection { stage: Stage::Dialing(dialing), .. }) = state.table.find_mut(id) else { return };
            let error = if dialing.given_up { ConnectError::Closed } else { dialing.failed.take().unwrap_or(error) };
            state.end_race(id);
            // A server that answered is let go in good order, as in Bun; a reset would destroy the alert that says why, too.
            state.remove(id, matches!(error, ConnectError::Closed | ConnectError::TimedOut));
            error
        };
        self.bury();
        let application = self.application_of(&socket);
        application.connect_failed(&socket, &error);
        application.close(&socket, error.close_code(), error.close_reason());
    }

    /// The application closes what is not open yet: it is told so in the turn's end, not inside its call.
    pub(super) fn give_up_dialing(&self, id: SocketId) {
        let State { table, out, .. } = &mut *self.state.borrow_mut();
        let Some(connection) = table.find_mut(id) else { return };
        if let Stage::Dialing(dialing) = &mut connection.stage {
            dialing.given_up = true;
            out.lose(connection, id);
        }
    }
}

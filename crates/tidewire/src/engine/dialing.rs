//! The client's way to an open WebSocket: connect, send the handshake, judge the answer. From there on a connection is the
//! same in both roles, but for its masks.

use std::any::Any;
use std::io;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidewire_proto::extension::{Agreement, Proposal};
use tidewire_proto::handshake::client::{self, HandshakeError, Request};
use tidewire_proto::state::Happening;
use tidewire_proto::{Receiver, Role, UsageError};
use tidewire_sys::Endpoint;

use super::connection::{Connection, Stage};
use super::core::Core;
use super::local::LocalSocket;
use super::options::Options;
use super::state::State;
use super::table::SocketId;

/// The most headers of an answer, and its largest head in bytes.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 16 * 1024;

/// What a client asks of a server: where, and with which handshake (RFC 6455, section 4.1). For
/// [`Worker::connect`](super::Worker::connect).
///
/// ```
/// use tidewire::Options;
/// use tidewire::engine::Dial;
/// use tidewire::sys::Endpoint;
///
/// let options = Options::default();
/// let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 3000).into());
/// let dial = Dial::new(endpoint.clone(), "localhost:3000", "/chat?name=N", &["chat.v2".into()], &[], &options);
/// assert!(dial.is_ok());
/// assert!(Dial::new(endpoint, "localhost", "no path", &[], &[], &options).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Dial {
    endpoint: Endpoint,
    key: [u8; 24],
    head: Vec<u8>,
    protocols: Vec<String>,
    compression: Option<Proposal>,
}

impl Dial {
    /// A handshake to be sent to `endpoint`, for a path (with its query) of a host. As in Bun,
    /// a header may replace Host and a valid Sec-WebSocket-Key; `Connection`, `Upgrade` and their like are ignored. It offers the
    /// compression of `options`, which must be those of the worker that is given this.
    ///
    /// # Errors
    /// For a host, path, header or subprotocol that cannot be sent: see [`UsageError`].
    ///
    /// # Panics
    /// When the system gives no random bytes.
    pub fn new(
        endpoint: Endpoint,
        host: &str,
        path: &str,
        protocols: &[String],
        headers: &[(String, String)],
        options: &Options,
    ) -> Result<Self, UsageError> {
        let mut nonce = [0; 16];
        if let Err(error) = getrandom::fill(&mut nonce) {
            panic!("the system gives no random bytes: {error}");
        }
        let key = client::encode_key(&nonce);
        let mut request = Request::new(host, path, &key);
        for protocol in protocols {
            request = request.protocol(protocol);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let compression = options.policy().map(Proposal::new);
        if let Some(proposal) = compression {
            request = request.compression(proposal);
        }
        let mut head = Vec::with_capacity(256);
        request.write(&mut head)?;
        // What is judged is what was really sent: an application's header may have replaced ours.
        let (key, protocols) = (*request.key(), request.offered().into_iter().map(str::to_owned).collect());
        Ok(Self { endpoint, key, head, protocols, compression })
    }
}

/// Why a connection could not be opened. It goes to the `error` handler of a [`Client`](crate::Client), before `close` with
/// 1006.
///
/// ```
/// use tidewire::{Client, engine::ConnectError};
///
/// let client = Client::builder().error(|_ws, error| match error {
///     ConnectError::TimedOut => println!("try later"),
///     other => println!("{other}"),
/// });
/// # let _ = client;
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The system says why: refused, unreachable, reset.
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    /// The answer is no HTTP response, or its head is too large.
    #[error("the answer to the handshake is no HTTP response: {0}")]
    Malformed(&'static str),
    /// The answer does not open a WebSocket: another status than 101, or what section 4.1 of RFC 6455 forbids.
    #[error("the server did not open a WebSocket: {0}")]
    Handshake(#[from] HandshakeError),
    /// It took longer than `connect_timeout`.
    #[error("the connection was not open in time")]
    TimedOut,
    /// The server ended the connection before it was open.
    #[error("the server ended the connection before it was open")]
    Ended,
    /// This side closed it before it was open.
    #[error("closed before the connection was open")]
    Closed,
}

impl From<Happening> for ConnectError {
    fn from(happening: Happening) -> Self {
        match happening {
            Happening::Deadline => Self::TimedOut,
            Happening::EndOfStream | Happening::Lost => Self::Ended,
            _ => Self::Closed,
        }
    }
}

/// A connection on its way to be a WebSocket.
#[derive(Debug)]
pub(crate) struct Dialing {
    /// What to send once connected; then empty.
    head: Vec<u8>,
    key: [u8; 24],
    protocols: Vec<String>,
    compression: Option<Proposal>,
    answer: Vec<u8>,
    given_up: bool,
}

impl Dialing {
    pub fn is_connected(&self) -> bool {
        self.head.is_empty()
    }

    /// Judges the answer when it is complete: gives how long its head is, and what compression was agreed on.
    fn judge(&self) -> Result<Option<(usize, Option<Agreement>)>, ConnectError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(&self.answer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.answer.len() < MAX_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(ConnectError::Malformed("its head is larger than 16 KiB")),
            Err(httparse::Error::TooManyHeaders) => return Err(ConnectError::Malformed("it has more than 100 headers")),
            Err(_) => return Err(ConnectError::Malformed("it cannot be parsed")),
        };
        let malformed = |_| ConnectError::Malformed("a header of it is invalid");
        let mut map = HeaderMap::with_capacity(response.headers.len());
        for header in response.headers.iter() {
            let name = HeaderName::try_from(header.name).map_err(|_| malformed(()))?;
            map.append(name, HeaderValue::from_bytes(header.value).map_err(|_| malformed(()))?);
        }
        let status =
            StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| ConnectError::Malformed("its status is none"))?;
        let offered: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
        let accepted = client::check(status, &map, &self.key, &offered, self.compression.as_ref())?;
        Ok(Some((length, accepted.compression)))
    }
}

impl Core {
    /// Begins a connection.
    pub(super) fn connect(self: &Rc<Self>, dial: Dial, data: Option<Rc<dyn Any>>) -> Result<LocalSocket, ConnectError> {
        let id = {
            let state = &mut *self.state.borrow_mut();
            state.begin_turn();
            let socket = state.out.io.connect(&dial.endpoint)?;
            let peer = match dial.endpoint {
                Endpoint::Tcp(address) => Some(address),
                Endpoint::Unix(_) => None,
            };
            let mut connection = Connection::new(socket, peer);
            let Dial { head, key, protocols, compression, .. } = dial;
            let dialing = Dialing { head, key, protocols, compression, answer: Vec::new(), given_up: false };
            connection.stage = Stage::Dialing(Box::new(dialing));
            connection.flags.client = true;
            connection.data = data;
            let id = state.table.insert(connection);
            if let Some(connection) = state.table.find_mut(id) {
                state.out.watch(connection, id);
            }
            state.arm(id, state.options.connect_timeout);
            id
        };
        Ok(self.local(id))
    }

    pub(super) fn is_dialing(&self, id: SocketId) -> bool {
        self.state.borrow().table.find(id).is_some_and(|connection| matches!(connection.stage, Stage::Dialing(_)))
    }

    /// A socket became writable: if it was connecting, it is connected now or has failed. Whether it was.
    pub(super) fn dialed(self: &Rc<Self>, id: SocketId) -> bool {
        let result = {
            let State { table, out, .. } = &mut *self.state.borrow_mut();
            let Some(connection) = table.find_mut(id) else { return false };
            let head = match &mut connection.stage {
                Stage::Dialing(dialing) if !dialing.is_connected() => std::mem::take(&mut dialing.head),
                _ => return false,
            };
            let result = out.io.connected(&connection.socket);
            if result.is_ok() {
                out.watch(connection, id);
                out.put_bytes(connection, id, &head);
            }
            result
        };
        if let Err(error) = result {
            self.dial_failed(id, ConnectError::Io(error));
        }
        true
    }

    /// Bytes of the answer to our handshake; frames may follow in the same read.
    pub(super) fn answer_arrived(self: &Rc<Self>, id: SocketId, bytes: &[u8]) {
        let judged = {
            let mut state = self.state.borrow_mut();
            let Some(Connection { stage: Stage::Dialing(dialing), .. }) = state.table.find_mut(id) else { return };
            if dialing.given_up {
                return;
            }
            dialing.answer.extend_from_slice(bytes);
            dialing.judge()
        };
        match judged {
            Ok(None) => {}
            Ok(Some((length, agreement))) => self.opened(id, length, agreement),
            Err(error) => self.dial_failed(id, error),
        }
    }

    /// The handshake has succeeded: what came behind its answer is dispatched after `open`.
    fn opened(self: &Rc<Self>, id: SocketId, head: usize, agreement: Option<Agreement>) {
        {
            let state = &mut *self.state.borrow_mut();
            let Some(connection) = state.table.find_mut(id) else { return };
            let Stage::Dialing(dialing) = &mut connection.stage else { return };
            let early = dialing.answer.split_off(head);
            connection.receiver = Receiver::new(Role::Client);
            connection.compression = state.options.compression(agreement.as_ref());
            let glued = !early.is_empty();
            connection.stage = Stage::Open(glued.then(|| Box::new(early)));
            if glued {
                state.early.push(id);
            }
            state.begin_open(id);
        }
        self.application().open(&self.local(id));
    }

    /// Tells the application that a connection could not be opened, once, and lets go of it.
    pub(super) fn dial_failed(self: &Rc<Self>, id: SocketId, error: ConnectError) {
        let socket = self.local(id);
        let error = {
            let mut state = self.state.borrow_mut();
            let Some(Connection { stage: Stage::Dialing(dialing), .. }) = state.table.find_mut(id) else { return };
            let error = if dialing.given_up { ConnectError::Closed } else { error };
            state.remove(id, true);
            error
        };
        self.bury();
        let application = self.application();
        application.connect_failed(&socket, &error);
        application.close(&socket, 1006, "");
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

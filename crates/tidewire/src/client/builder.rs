//! The client in the making, and its run.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::rc::Rc;

use tidewire_proto::UsageError;
use tidewire_sys::{Endpoint, Io, Readiness};

use super::url::{self, Target, UrlError};
#[cfg(feature = "deflate")]
use crate::engine::Deflate;
use crate::engine::{Application, ConnectError, Dial, Group, LocalSocket, Message, Options, Worker, WorkerError};
use crate::http::{Request, Responder};

type OnSocket = Box<dyn Fn(&LocalSocket)>;
type OnMessage = Box<dyn Fn(&LocalSocket, Message<'_>)>;
type OnClose = Box<dyn Fn(&LocalSocket, u16, &str)>;
type OnError = Box<dyn Fn(&LocalSocket, &ConnectError)>;
type OnControl = Box<dyn Fn(&LocalSocket, &[u8])>;

/// A client in the making: handlers, handshake, limits. Its sockets are [`LocalSocket`]s. See the [module](super) for one that
/// runs.
///
/// ```
/// use std::time::Duration;
/// use tidewire::Client;
///
/// let client = Client::builder()
///     .protocol("chat.v2")
///     .header("authorization", "Bearer of-a-token")
///     .options(|options| options.connect_timeout = Duration::from_secs(3))
///     .open(|ws| { ws.send("hello"); })
///     .message(|_ws, message| println!("{message}"))
///     .error(|_ws, error| println!("not connected: {error}"))
///     .close(|_ws, code, reason| println!("closed: {code} {reason}"));
/// # let _ = client;
/// ```
#[derive(Default)]
#[must_use = "a client does nothing until it is run"]
pub struct Client {
    handlers: Handlers,
    options: Options,
    protocols: Vec<String>,
    headers: Vec<(String, String)>,
}

#[derive(Default)]
struct Handlers {
    open: Option<OnSocket>,
    message: Option<OnMessage>,
    drain: Option<OnSocket>,
    close: Option<OnClose>,
    error: Option<OnError>,
    ping: Option<OnControl>,
    pong: Option<OnControl>,
}

/// Why a client could not run.
///
/// ```
/// use tidewire::Client;
/// use tidewire::client::{ClientError, UrlError};
///
/// let error = Client::builder().run("gopher://example.com").unwrap_err();
/// assert!(matches!(error, ClientError::Url(UrlError::Scheme(_))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is none to connect to.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host's name has no address.
    #[error("the host {host:?} cannot be resolved: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        error: io::Error,
    },
    /// A header, a subprotocol or the path cannot be sent.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The connection could not be opened at all.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The worker failed, or could not be set up.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl Client {
    /// Begins a client: without handlers, with the default [`Options`].
    pub fn builder() -> Self {
        Self::default()
    }

    /// The connection is open: the server has answered the handshake as it must (RFC 6455, section 4.1).
    pub fn open(mut self, handler: impl Fn(&LocalSocket) + 'static) -> Self {
        self.handlers.open = Some(Box::new(handler));
        self
    }

    /// A message has come: whole, and valid UTF-8 if it is text. It is borrowed for the call.
    pub fn message(mut self, handler: impl Fn(&LocalSocket, Message<'_>) + 'static) -> Self {
        self.handlers.message = Some(Box::new(handler));
        self
    }

    /// What waited behind backpressure is with the kernel: there is room again. Once per stall.
    pub fn drain(mut self, handler: impl Fn(&LocalSocket) + 'static) -> Self {
        self.handlers.drain = Some(Box::new(handler));
        self
    }

    /// The connection has ended, or could not be opened (then with 1006): once, and the last call. After a close of this side
    /// it comes when the server has answered, with the code of its answer, as a browser's `close` event does (a server's handler
    /// runs at once); 1006 if there was no answer within `close_timeout`. Where the server broke the protocol the code is that of
    /// the error, 1002, 1007, 1008 or 1009, as in Bun. All others are those of [`Builder::close`](crate::Builder::close).
    pub fn close(mut self, handler: impl Fn(&LocalSocket, u16, &str) + 'static) -> Self {
        self.handlers.close = Some(Box::new(handler));
        self
    }

    /// The connection could not be opened; `close` follows.
    pub fn error(mut self, handler: impl Fn(&LocalSocket, &ConnectError) + 'static) -> Self {
        self.handlers.error = Some(Box::new(handler));
        self
    }

    /// The server pinged; it is answered without this.
    pub fn ping(mut self, handler: impl Fn(&LocalSocket, &[u8]) + 'static) -> Self {
        self.handlers.ping = Some(Box::new(handler));
        self
    }

    /// The server sent a pong.
    pub fn pong(mut self, handler: impl Fn(&LocalSocket, &[u8]) + 'static) -> Self {
        self.handlers.pong = Some(Box::new(handler));
        self
    }

    /// Offers a subprotocol (RFC 6455, section 1.9); the first is the one that is liked best. The server must choose one of
    /// them, or the handshake fails (as in browsers and Bun).
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.to_owned());
        self
    }

    /// Adds a header to the handshake. As in Bun, it may replace Host and a valid Sec-WebSocket-Key; `Connection`, `Upgrade` and
    /// their like are ignored. One that cannot be sent (CR, LF, NUL) makes [`Client::run`] fail.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers compression: `true`, a [`Compressor`](crate::Compressor), or one for each direction. Default: not.
    #[cfg(feature = "deflate")]
    pub fn per_message_deflate(mut self, deflate: impl Into<Deflate>) -> Self {
        self.options.per_message_deflate = deflate.into();
        self
    }

    /// Limits and timeouts, by name; those of HTTP and of topics are a server's.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Connects to a `ws://` URL (or `http://`, which is the same) and runs on this thread until the connection has ended. Of a
    /// name's addresses the first is taken.
    ///
    /// # Errors
    /// When there is nothing to connect to, or the worker fails. A connection that could not be opened is reported to the
    /// handlers and is no error here.
    pub fn run(self, url: &str) -> Result<(), ClientError> {
        let target = url::parse(url)?;
        let endpoint = resolve(&target)?;
        let io: Box<dyn Io> = Box::new(Readiness::new().map_err(WorkerError::Poll)?);
        let mut worker = self.embed(io, endpoint, &target.authority, &target.resource)?;
        // A client has no listener: stopping it means waiting for its one connection.
        worker.stop_when_empty();
        while !worker.is_finished() {
            worker.turn(None)?;
        }
        Ok(())
    }

    /// Begins the connection on a worker that the caller turns, over an [`Io`] of the caller's. `host` is the Host header,
    /// `resource` the path with its query.
    ///
    /// # Errors
    /// As [`Client::run`].
    ///
    /// ```
    /// use tidewire::Client;
    /// use tidewire::client::ClientError;
    /// use tidewire::sys::{Endpoint, Readiness};
    ///
    /// let (io, endpoint) = (Box::new(Readiness::new()?), Endpoint::Unix("nobody listens here".into()));
    /// let result = Client::builder().embed(io, endpoint, "localhost", "/chat");
    /// assert!(matches!(result, Err(ClientError::Connect(_))));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn embed(self, io: Box<dyn Io>, endpoint: Endpoint, host: &str, resource: &str) -> Result<Worker, ClientError> {
        let dial = Dial::new(endpoint, host, resource, &self.protocols, &self.headers, &self.options)?;
        let group = Group::new(vec![io.waker()]);
        let mut worker = Worker::new(io, &group, 0, self.options, Rc::new(self.handlers));
        worker.connect(dial, None)?;
        Ok(worker)
    }
}

fn resolve(target: &Target) -> Result<Endpoint, ClientError> {
    let failed = |error| ClientError::Resolve { host: target.host.clone(), error };
    let mut addresses = (&*target.host, target.port).to_socket_addrs().map_err(failed)?;
    let none = || failed(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    addresses.next().map(Endpoint::Tcp).ok_or_else(none)
}

impl Application for Handlers {
    /// A client listens nowhere: no request comes.
    fn fetch(&self, _: Request, _: Responder) {}

    fn connect_failed(&self, socket: &LocalSocket, error: &ConnectError) {
        match &self.error {
            Some(handler) => handler(socket, error),
            None => tracing::warn!(%error, "a connection could not be opened"),
        }
    }

    fn open(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.open {
            handler(socket);
        }
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        if let Some(handler) = &self.message {
            handler(socket, message);
        }
    }

    fn drain(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.drain {
            handler(socket);
        }
    }

    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        if let Some(handler) = &self.close {
            handler(socket, code, reason);
        }
    }

    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.ping {
            handler(socket, data);
        }
    }

    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.pong {
            handler(socket, data);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).field("protocols", &self.protocols).finish_non_exhaustive()
    }
}

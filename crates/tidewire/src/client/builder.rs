//! The client in the making, and its run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tidewire_sys::{Choice, Endpoint, Io};

#[cfg(feature = "deflate")]
use crate::engine::Deflate;
use crate::engine::dialing::url::UrlError;
use crate::engine::{
    Application, ConnectError, Dial, DialError, Group, LocalSocket, LocalWorker, Message, Options, Proxy, Run, Worker,
    WorkerError,
};
use crate::server::Panic;
#[cfg(feature = "tls")]
use crate::tls::Connector;

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
    endpoints: Vec<Endpoint>,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    connector: Option<Connector>,
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
    /// The worker is others' as well: a panic ends at this client's socket.
    guarded: bool,
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
    /// A header, a subprotocol or the path cannot be sent, or TLS cannot be spoken as it was told to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection could not be opened. (A [`Client`]'s `error` handler is told this instead.)
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

    /// The connection has ended, or could not be opened: once, and the last call. After a close of this side
    /// it comes when the server has answered, with the code of its answer, as a browser's `close` event does (a server's handler
    /// runs at once); 1006 if there was no answer within `close_timeout`. Where the server broke the protocol the code is that of
    /// the error, 1002, 1007, 1008 or 1009, as in Bun. What could not be opened has 1006, or, as in Bun, 1015 when TLS failed. All
    /// others are those of [`Builder::close`](crate::Builder::close).
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

    /// Offers a subprotocol: see [`Dial::protocol`].
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.to_owned());
        self
    }

    /// Adds a header to the handshake: see [`Dial::header`].
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Secures `wss://` connections so: see [`ClientTls`](crate::tls::ClientTls), whose defaults are taken without this.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: &Connector) -> Self {
        self.connector = Some(connector.clone());
        self
    }

    /// Goes through a proxy.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connects to these instead of asking the system for the addresses of the URL's host: see [`Dial::at`].
    pub fn at(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints.extend(endpoints);
        self
    }

    /// Offers compression: `true`, a [`Compressor`](crate::Compressor), or one for each direction. Default: not. What is sent is
    /// compressed where it was agreed on and [`LocalSocket::send_with`] says so.
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

    /// Connects to a URL (see [`Dial::to`]) and runs on this thread until the connection has ended.
    ///
    /// # Errors
    /// When there is nothing to connect to, or the worker fails. A connection that could not be opened is reported to the
    /// handlers and is no error here.
    pub fn run(self, url: &str) -> Result<(), ClientError> {
        let io = Choice::from_environment().and_then(crate::engine::open_io).map_err(WorkerError::Poll)?;
        let mut worker = self.embed(io, url)?;
        // A client has no listener: stopping it means waiting for its one connection.
        worker.stop_when_empty();
        while !worker.is_finished() {
            worker.turn(None)?;
        }
        Ok(())
    }

    /// Begins the connection on a worker that the caller turns, over an [`Io`] of the caller's.
    ///
    /// # Errors
    /// As [`Client::run`].
    ///
    /// ```
    /// use std::rc::Rc;
    /// use std::cell::RefCell;
    /// use tidewire::Client;
    /// use tidewire::sys::Readiness;
    ///
    /// let why = Rc::new(RefCell::new(String::new()));
    /// let note = why.clone();
    /// let client = Client::builder().error(move |_ws, error| *note.borrow_mut() = error.code().to_owned());
    /// let mut worker = client.embed(Box::new(Readiness::new()?), "ws+unix:/nobody listens here")?;
    /// while worker.population().0 > 0 {
    ///     worker.turn(None)?;
    /// }
    /// assert_eq!(*why.borrow(), "ENOENT");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn embed(self, io: Box<dyn Io>, url: &str) -> Result<Worker, ClientError> {
        let group = Group::new(vec![io.waker()]);
        let worker = Worker::new(io, &group, 0, self.options.clone(), Rc::new(()));
        self.begin(&worker.handle(), url)?;
        Ok(worker)
    }

    /// Begins the connection on a worker that is there already, beside whatever else it does: one of a server's, for example
    /// ([`LocalSocket::worker`]). That worker's [`Options`] count, but for the compression, which is this client's.
    ///
    /// As with a server's handlers, a panic in one of these ends at its socket, which is closed with 1011: the worker and all
    /// others on it go on. (A client on a worker of its own has nobody to protect: there a panic is the caller's, who runs it.)
    ///
    /// # Errors
    /// [`ClientError::Url`] and [`ClientError::Dial`].
    ///
    /// ```
    /// use tidewire::{Client, Server};
    ///
    /// // Every socket gets what somebody else says.
    /// let builder = Server::builder::<()>().open(|ws| {
    ///     let to = ws.clone();
    ///     let feed = Client::builder().message(move |_feed, message| { to.send(message); });
    ///     if let Err(error) = feed.connect(&ws.worker(), "ws://127.0.0.1:4000/feed") {
    ///         println!("{error}");
    ///     }
    /// });
    /// # let _ = builder;
    /// ```
    pub fn connect(mut self, worker: &LocalWorker, url: &str) -> Result<LocalSocket, ClientError> {
        self.handlers.guarded = true;
        self.begin(worker, url)
    }

    fn begin(self, worker: &LocalWorker, url: &str) -> Result<LocalSocket, ClientError> {
        let dial = self.dial(url)?;
        Ok(worker.connect(&dial, Rc::new(self.handlers), None)?)
    }

    fn dial(&self, url: &str) -> Result<Dial, UrlError> {
        let mut dial = Dial::to(url)?.at(self.endpoints.iter().cloned());
        for protocol in &self.protocols {
            dial = dial.protocol(protocol);
        }
        for (name, value) in &self.headers {
            dial = dial.header(name, value);
        }
        if let Some(proxy) = &self.proxy {
            dial = dial.proxy(proxy.clone());
        }
        #[cfg(feature = "deflate")]
        let dial = dial.per_message_deflate(self.options.per_message_deflate);
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.connector {
            return Ok(dial.tls(connector));
        }
        Ok(dial)
    }
}

impl Handlers {
    fn call(&self, socket: &LocalSocket, handler: impl FnOnce()) {
        if !self.guarded {
            return handler();
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(handler)) {
            let panic = Panic::new(&*payload);
            socket.core().counters.panics.add(1);
            tracing::error!(%panic, "a client's handler panicked; its socket is closed with 1011");
            // Refused by nothing: the code may be sent, and after the end it does nothing.
            let _ = socket.close(1011, "internal error");
        }
    }
}

impl Application for Handlers {
    fn connect_failed(&self, socket: &LocalSocket, error: &ConnectError) {
        match &self.error {
            Some(handler) => self.call(socket, || handler(socket, error)),
            None => tracing::warn!(%error, "a connection could not be opened"),
        }
    }

    fn open(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.open {
            self.call(socket, || handler(socket));
        }
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        if let Some(handler) = &self.message {
            self.call(socket, || handler(socket, message));
        }
    }

    fn takes_runs(&self) -> bool {
        self.message.is_some()
    }

    fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
        if let Some(handler) = &self.message {
            while let Some(message) = run.next() {
                self.call(socket, || handler(socket, message));
            }
        }
    }

    fn drain(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.drain {
            self.call(socket, || handler(socket));
        }
    }

    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        if let Some(handler) = &self.close {
            self.call(socket, || handler(socket, code, reason));
        }
    }

    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.ping {
            self.call(socket, || handler(socket, data));
        }
    }

    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.pong {
            self.call(socket, || handler(socket, data));
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).field("protocols", &self.protocols).finish_non_exhaustive()
    }
}

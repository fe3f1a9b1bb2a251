//! The builder: handlers, limits, and where to listen.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidewire_sys::{Endpoint, Io, ListenOptions};

use super::bind::{BindError, Listen, seats};
use super::handlers::Handlers;
use super::reply::{FetchError, IntoReply};
use super::run::{Secured, Server};
use super::upgrade::Upgrader;
use super::ws::{Panic, Ws};
#[cfg(feature = "deflate")]
use crate::engine::Deflate;
use crate::engine::{Group, Message, Options, Worker};
use crate::http::{Request, Response};

/// A server in the making. Its type parameter is the data that upgrades attach to sockets.
///
/// Handlers are shared by all workers, so they are `Send + Sync`; what they hold across awaits need not be, because a
/// future stays on its worker's thread. A handler that is not set does nothing; without a `fetch`, every request gets 404.
///
/// ```
/// use std::time::Duration;
/// use tidewire::{Server, Upgrade};
///
/// let server = Server::builder()
///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new("some data")) })
///     .open(|ws| println!("open, with {}", ws.data()))
///     .message(|ws, message| { ws.send(message); })
///     .drain(|_ws| println!("there is room again"))
///     .close(|_ws, code, reason| println!("closed: {code} {reason}"))
///     .ping(|_ws, data| println!("ping: {data:?}"))
///     .pong(|_ws, data| println!("pong: {data:?}"))
///     .error(|_ws, panic| println!("{panic}"))
///     .max_payload_length(1024 * 1024)
///     .idle_timeout(Duration::from_secs(60))
///     .backpressure_limit(16 * 1024 * 1024)
///     .close_on_backpressure_limit(true)
///     .send_pings(true)
///     .publish_to_self(false)
///     .origins(["https://example.com"])
///     .max_connections(100_000)
///     .max_connections_per_address(1000)
///     .options(|options| options.max_subscriptions = 100)
///     .workers(2)
///     .bind("127.0.0.1:0")?;
/// # let _ = server;
/// # Ok::<(), tidewire::BindError>(())
/// ```
#[must_use = "a builder does nothing until it is bound"]
pub struct Builder<T> {
    pub(crate) handlers: Handlers<T>,
    pub(crate) options: Options,
    listen: ListenOptions,
    endpoints: Vec<Endpoint>,
    workers: usize,
    tls: Secured,
}

impl<T: 'static> Default for Builder<T> {
    fn default() -> Self {
        Self {
            handlers: Handlers::default(),
            options: Options::default(),
            listen: ListenOptions::default(),
            endpoints: Vec::new(),
            workers: 1,
            tls: None,
        }
    }
}

/// Handlers.
impl<T: 'static> Builder<T> {
    /// Answers requests, or upgrades them; called on the worker that received the request. See [`IntoReply`] for what it may
    /// return. As Bun's `fetch`, whose `undefined` after an upgrade is the [`Upgraded`](super::Upgraded) that
    /// [`Upgrader::upgrade`] gives.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tidewire::{IntoReply, Server, Upgrade};
    ///
    /// let builder = Server::builder().fetch(|req, server| async move {
    ///     match req.uri().path() {
    ///         "/chat" => server.upgrade(&req, Upgrade::new(())).into_reply(),
    ///         "/" => "a page".into_reply(),
    ///         _ => (StatusCode::NOT_FOUND, "there is no such page").into_reply(),
    ///     }
    /// });
    /// # let _ = builder;
    /// ```
    pub fn fetch<F, R>(mut self, fetch: impl Fn(Request, Upgrader<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + 'static,
        R: IntoReply,
    {
        self.handlers.fetch = Some(Box::new(move |request, upgrader| {
            let fetching = fetch(request, upgrader);
            Box::pin(async move { fetching.await.into_reply() })
        }));
        self
    }

    /// Answers for a `fetch` that failed or panicked (Bun: `error`). Without it: 500, with no detail for the peer.
    ///
    /// ```
    /// use tidewire::{Response, Server, server::FetchError};
    ///
    /// let builder = Server::builder::<()>()
    ///     .fetch(|_req, _server| async { Err::<&str, FetchError>("the database is away".into()) })
    ///     .fetch_error(|error| {
    ///         eprintln!("{error}");
    ///         let mut response = Response::new("try again later".into());
    ///         *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///         response
    ///     });
    /// # let _ = builder;
    /// ```
    pub fn fetch_error(mut self, handler: impl Fn(&FetchError) -> Response + Send + Sync + 'static) -> Self {
        self.handlers.fetch_error = Some(Box::new(handler));
        self
    }

    /// A WebSocket has opened. It runs inside [`Upgrader::upgrade`], before any message.
    pub fn open(mut self, handler: impl Fn(&Ws<T>) + Send + Sync + 'static) -> Self {
        self.handlers.open = Some(Box::new(handler));
        self
    }

    /// A message has come: whole, and valid UTF-8 if it is text. It is borrowed for the call; [`Message::into_owned`] keeps it. A
    /// handler that closes its socket gets no further message.
    pub fn message(mut self, handler: impl Fn(&Ws<T>, Message<'_>) + Send + Sync + 'static) -> Self {
        self.handlers.message = Some(Box::new(handler));
        self
    }

    /// What waited behind backpressure is with the kernel: there is room again. Once after each stall in which a send was
    /// answered with [`Backpressure`](crate::SendStatus::Backpressure), or dropped because of the limit.
    pub fn drain(mut self, handler: impl Fn(&Ws<T>) + Send + Sync + 'static) -> Self {
        self.handlers.drain = Some(Box::new(handler));
        self
    }

    /// A WebSocket has ended; once for each `open`, and the last call for that socket. It runs inside
    /// [`close`](crate::LocalSocket::close) and [`terminate`](crate::LocalSocket::terminate) of the socket.
    ///
    /// The code and the reason are those of whoever closed first. Three codes are never on the wire (RFC 6455, section
    /// 7.4.1): 1005, the peer's Close had no code; 1006, the connection was lost, was silent for too long, or the peer broke
    /// the protocol, and then the reason says how (Bun: the same).
    pub fn close(mut self, handler: impl Fn(&Ws<T>, u16, &str) + Send + Sync + 'static) -> Self {
        self.handlers.close = Some(Box::new(handler));
        self
    }

    /// The peer pinged, with at most 125 bytes; it is answered without this (RFC 6455, section 5.5.2).
    pub fn ping(mut self, handler: impl Fn(&Ws<T>, &[u8]) + Send + Sync + 'static) -> Self {
        self.handlers.ping = Some(Box::new(handler));
        self
    }

    /// The peer sent a pong, with at most 125 bytes: the answer to a ping, or one that nobody asked for.
    pub fn pong(mut self, handler: impl Fn(&Ws<T>, &[u8]) + Send + Sync + 'static) -> Self {
        self.handlers.pong = Some(Box::new(handler));
        self
    }

    /// Another handler of the socket panicked. Without this, the panic is logged and the socket closed with 1011; with it, the
    /// socket stays open unless this closes it. If this panics too, the socket is cut off.
    pub fn error(mut self, handler: impl Fn(&Ws<T>, &Panic) + Send + Sync + 'static) -> Self {
        self.handlers.error = Some(Box::new(handler));
        self
    }
}

/// Limits and timeouts; their defaults are in [`Options`].
impl<T: 'static> Builder<T> {
    /// The largest message, in bytes, its fragments together. A larger one closes the socket with 1009, before it has been
    /// received. Default 16 MiB.
    pub fn max_payload_length(mut self, bytes: usize) -> Self {
        self.options.max_payload_length = bytes;
        self
    }

    /// How long a WebSocket may be silent, rounded up to whole seconds; zero: for ever. What it sends counts; and, while messages
    /// wait for it, what it takes of them. Then it is let go, with 1006 and a reason that says so for `close`. Default 120 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// How many bytes may wait for a slow peer: while more do, what is sent to it is dropped. So one message larger than the
    /// limit still goes. Default 1 MiB; Bun's is 16 MiB.
    pub fn backpressure_limit(mut self, bytes: usize) -> Self {
        self.options.backpressure_limit = bytes;
        self
    }

    /// Whether a peer over that limit is cut off when a message is dropped, with 1006 for `close`. Default false.
    pub fn close_on_backpressure_limit(mut self, close: bool) -> Self {
        self.options.close_on_backpressure_limit = close;
        self
    }

    /// Whether and how messages are compressed, where the client offers it: `true` (shared), a
    /// [`Compressor`](crate::Compressor), or one for each direction. Default: not.
    ///
    /// ```
    /// use tidewire::{Compress, Server, Upgrade};
    ///
    /// let server = Server::builder()
    ///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
    ///     .message(|ws, message| { ws.send_with(message, Compress::Yes); })
    ///     .per_message_deflate(true)
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deflate")]
    pub fn per_message_deflate(mut self, deflate: impl Into<Deflate>) -> Self {
        self.options.per_message_deflate = deflate.into();
        self
    }

    /// Whether silent peers are pinged, 8 s before the idle timeout, or half of it if that is less. Their pong keeps them.
    /// Default true.
    pub fn send_pings(mut self, send: bool) -> Self {
        self.options.send_pings = send;
        self
    }

    /// Whether a socket receives what it publishes itself, to a topic that it is subscribed to. Default false.
    pub fn publish_to_self(mut self, publish: bool) -> Self {
        self.options.publish_to_self = publish;
        self
    }

    /// The origins whose pages may connect, as `https://example.com`. A page of another origin gets 403; a client that is no
    /// browser sends no origin and may connect. Without this, every page may (RFC 6455, section 10.2). Requests that do not ask
    /// for an upgrade are not judged.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        // An origin has no path (RFC 6454, section 6.2), but is often copied with the one that browsers show.
        let written = |origin: S| origin.into().trim_end_matches('/').to_owned();
        self.handlers.origins = Some(origins.into_iter().map(written).collect());
        self
    }

    /// The most connections at a time, HTTP or WebSocket, of all workers together; more are closed at once. Default 1,048,576,
    /// which is Linux's own limit for a process.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// The most connections at a time from one address (with IPv6: one network of 64 bits); more are closed at once. Connections
    /// from this machine are not counted, because a proxy on it has them all. Behind a proxy elsewhere, raise it. Default 16,384.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.options.max_connections_per_address = connections;
        self
    }

    /// All other limits, by name.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = tidewire::Server::builder::<()>().options(|options| {
    ///     options.max_request_body = 1024 * 1024;
    ///     options.head_timeout = Duration::from_secs(5);
    /// });
    /// # let _ = builder;
    /// ```
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }
}

/// Where and how to run.
impl<T: 'static> Builder<T> {
    /// How many workers there are, each a thread; 0: one for each core. More than
    /// [`Group::MAX_WORKERS`](crate::engine::Group::MAX_WORKERS), 256, are as many. Default 1.
    pub fn workers(mut self, workers: usize) -> Self {
        let workers = if workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { workers };
        self.workers = workers.min(Group::MAX_WORKERS);
        self
    }

    /// Whether other servers may listen on the same port, each taking a part of its connections (`SO_REUSEPORT`; Bun:
    /// `reusePort`). Default false.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.listen.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 address refuses IPv4 (Bun: `ipv6Only`). Default false.
    pub fn ipv6_only(mut self, only: bool) -> Self {
        self.listen.ipv6_only = only;
        self
    }

    /// Speaks TLS, on all addresses: HTTPS and secure WebSockets.
    ///
    /// ```no_run
    /// use tidewire::{Server, tls::Tls};
    ///
    /// let server = Server::builder::<()>()
    ///     .tls(Tls::files("cert.pem", "key.pem"))?
    ///     .fetch(|_, _| async { "this is private" })
    ///     .bind("0.0.0.0:443")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a file cannot be read, or is not what it must be: the error says which option, which file, and what was expected.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::Tls) -> Result<Self, crate::tls::TlsError> {
        self.tls = Some(Arc::new(crate::tls::Acceptor::new(&tls)?));
        Ok(self)
    }

    /// Listens there too, once it is bound.
    ///
    /// # Errors
    /// When it is no address.
    ///
    /// ```
    /// let path = std::env::temp_dir().join(format!("tidewire-{}.sock", std::process::id()));
    /// let server = tidewire::Server::builder::<()>().listen(&*path)?.bind("127.0.0.1:0")?;
    /// assert_eq!(server.endpoints().len(), 2);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), tidewire::BindError>(())
    /// ```
    pub fn listen(mut self, at: impl Listen) -> Result<Self, BindError> {
        self.endpoints.push(at.endpoint()?);
        Ok(self)
    }

    /// Opens the listeners: this one, and those of [`listen`](Self::listen). Connections wait in the kernel's queue until the
    /// server [runs](Server::run).
    ///
    /// # Errors
    /// When an address is none, is taken, or may not be used.
    ///
    /// ```
    /// use tidewire::{BindError, Server};
    ///
    /// let server = Server::builder::<()>().bind("127.0.0.1:0")?;
    /// let same = Server::builder::<()>().bind(("127.0.0.1", server.port().unwrap()));
    /// assert!(matches!(same, Err(BindError::Taken(_))));
    /// # Ok::<(), BindError>(())
    /// ```
    pub fn bind(self, at: impl Listen) -> Result<Server, BindError> {
        let this = self.listen(at)?;
        let (seats, locals) = seats(&this.endpoints, &this.listen, this.workers)?;
        let wakers = seats.iter().map(|seat| seat.io.waker()).collect();
        Ok(Server::new(wakers, seats, locals, this.tls, this.options, Arc::new(this.handlers)))
    }

    /// A server whose workers the caller turns, each over an [`Io`] of the caller's: inside a foreign loop, or over a simulated
    /// network. The workers listen nowhere yet: see [`Worker::listen`]. There may be 256.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidewire::Server;
    /// use tidewire::sys::{Endpoint, ListenOptions, Readiness};
    ///
    /// let (server, mut workers) = Server::builder::<()>().embed(vec![Box::new(Readiness::new()?)]);
    /// workers[0].listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &ListenOptions::default())?;
    /// server.stop();
    /// while !workers[0].is_finished() {
    ///     workers[0].turn(Some(Duration::from_millis(10)))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn embed(self, ios: Vec<Box<dyn Io>>) -> (Server, Vec<Worker>) {
        let wakers = ios.iter().map(|io| io.waker()).collect();
        let server = Server::new(wakers, Vec::new(), Vec::new(), self.tls, self.options, Arc::new(self.handlers));
        let workers = ios.into_iter().enumerate().map(|(place, io)| server.worker(place, io)).collect();
        (server, workers)
    }
}

impl<T> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).field("workers", &self.workers).finish_non_exhaustive()
    }
}

//! The builder: handlers, limits, and where to listen.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidewire_sys::{Endpoint, Io, ListenOptions};

use super::bind::{BindError, Listen, seats};
use super::handlers::Handlers;
use super::reply::{FetchError, IntoReply};
use super::run::Server;
use super::upgrade::Upgrader;
use super::ws::{Panic, Ws};
use crate::engine::{Message, Options, Worker};
use crate::http::{Request, Response};

/// A server in the making. Its type parameter is the data that upgrades attach to sockets.
///
/// Handlers are shared by all workers, so they are `Send + Sync`; what they hold across awaits need not be, because a
/// future stays on its worker's thread. See [`Server::builder`].
#[must_use = "a builder does nothing until it is bound"]
pub struct Builder<T> {
    pub(crate) handlers: Handlers<T>,
    pub(crate) options: Options,
    listen: ListenOptions,
    endpoints: Vec<Endpoint>,
    workers: usize,
}

impl<T: 'static> Default for Builder<T> {
    fn default() -> Self {
        Self {
            handlers: Handlers::default(),
            options: Options::default(),
            listen: ListenOptions::default(),
            endpoints: Vec::new(),
            workers: 1,
        }
    }
}

/// Handlers.
impl<T: 'static> Builder<T> {
    /// Answers requests, or upgrades them. See [`IntoReply`] for what it may return.
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

    /// Answers for a `fetch` that failed or panicked. Without it: 500, with no detail for the peer.
    pub fn fetch_error(mut self, handler: impl Fn(&FetchError) -> Response + Send + Sync + 'static) -> Self {
        self.handlers.fetch_error = Some(Box::new(handler));
        self
    }

    /// A WebSocket has opened; runs inside the upgrade.
    pub fn open(mut self, handler: impl Fn(&Ws<T>) + Send + Sync + 'static) -> Self {
        self.handlers.open = Some(Box::new(handler));
        self
    }

    /// A message has come.
    pub fn message(mut self, handler: impl Fn(&Ws<T>, Message<'_>) + Send + Sync + 'static) -> Self {
        self.handlers.message = Some(Box::new(handler));
        self
    }

    /// What waited behind backpressure is with the kernel: there is room again. Once per stall.
    pub fn drain(mut self, handler: impl Fn(&Ws<T>) + Send + Sync + 'static) -> Self {
        self.handlers.drain = Some(Box::new(handler));
        self
    }

    /// A WebSocket has ended; once for each `open`.
    pub fn close(mut self, handler: impl Fn(&Ws<T>, u16, &str) + Send + Sync + 'static) -> Self {
        self.handlers.close = Some(Box::new(handler));
        self
    }

    /// The peer pinged; it is answered without this.
    pub fn ping(mut self, handler: impl Fn(&Ws<T>, &[u8]) + Send + Sync + 'static) -> Self {
        self.handlers.ping = Some(Box::new(handler));
        self
    }

    /// The peer sent a pong.
    pub fn pong(mut self, handler: impl Fn(&Ws<T>, &[u8]) + Send + Sync + 'static) -> Self {
        self.handlers.pong = Some(Box::new(handler));
        self
    }

    /// Another handler of the socket panicked. Without it, the panic is logged and the socket closed with 1011.
    pub fn error(mut self, handler: impl Fn(&Ws<T>, &Panic) + Send + Sync + 'static) -> Self {
        self.handlers.error = Some(Box::new(handler));
        self
    }
}

/// Limits and timeouts; their defaults are in [`Options`].
impl<T: 'static> Builder<T> {
    /// The largest message, in bytes.
    pub fn max_payload_length(mut self, bytes: usize) -> Self {
        self.options.max_payload_length = bytes;
        self
    }

    /// How long a WebSocket may be silent, in whole seconds; zero: for ever.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// How many bytes may wait for a slow peer before what is sent to it is dropped.
    pub fn backpressure_limit(mut self, bytes: usize) -> Self {
        self.options.backpressure_limit = bytes;
        self
    }

    /// Whether a peer over that limit is disconnected.
    pub fn close_on_backpressure_limit(mut self, close: bool) -> Self {
        self.options.close_on_backpressure_limit = close;
        self
    }

    /// Whether silent peers are pinged.
    pub fn send_pings(mut self, send: bool) -> Self {
        self.options.send_pings = send;
        self
    }

    /// Whether a socket receives what it publishes itself.
    pub fn publish_to_self(mut self, publish: bool) -> Self {
        self.options.publish_to_self = publish;
        self
    }

    /// The origins whose pages may connect, as `https://example.com`. A page of another origin gets 403; a client that is no
    /// browser sends no origin and may connect.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.handlers.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// The most connections at a time; more are closed at once. With several workers each has its share.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// All other limits, by name.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }
}

/// Where and how to run.
impl<T: 'static> Builder<T> {
    /// How many workers there are, each a thread; 0: one for each core. Default 1.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = if workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { workers };
        self
    }

    /// Whether other servers may listen on the same port, each taking a part of its connections. Default false.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.listen.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 address refuses IPv4. Default false.
    pub fn ipv6_only(mut self, only: bool) -> Self {
        self.listen.ipv6_only = only;
        self
    }

    /// Listens there too.
    ///
    /// # Errors
    /// When it is no address.
    pub fn listen(mut self, at: impl Listen) -> Result<Self, BindError> {
        self.endpoints.push(at.endpoint()?);
        Ok(self)
    }

    /// Opens the listeners. Connections wait in the kernel's queue until the server [runs](Server::run).
    ///
    /// # Errors
    /// When an address is none, is taken, or may not be used.
    pub fn bind(self, at: impl Listen) -> Result<Server, BindError> {
        let mut this = self.listen(at)?;
        // Each worker bounds its own; together they keep to the limit.
        let connections = this.options.max_connections;
        if connections != usize::MAX {
            this.options.max_connections = connections.div_ceil(this.workers);
        }
        let (seats, locals) = seats(&this.endpoints, &this.listen, this.workers)?;
        let wakers = seats.iter().map(|seat| seat.io.waker()).collect();
        Ok(Server::new(wakers, seats, locals, this.options, Arc::new(this.handlers)))
    }

    /// A server whose workers the caller turns, each over an [`Io`] of the caller's: inside a foreign loop, or over a simulated
    /// network. The workers listen nowhere yet: see [`Worker::listen`].
    #[must_use]
    pub fn embed(self, ios: Vec<Box<dyn Io>>) -> (Server, Vec<Worker>) {
        let wakers = ios.iter().map(|io| io.waker()).collect();
        let server = Server::new(wakers, Vec::new(), Vec::new(), self.options, Arc::new(self.handlers));
        let workers = ios.into_iter().enumerate().map(|(place, io)| server.worker(place, io)).collect();
        (server, workers)
    }
}

impl<T> std::fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).field("workers", &self.workers).finish_non_exhaustive()
    }
}

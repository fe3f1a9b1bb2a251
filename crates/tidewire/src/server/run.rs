//! The server's handle, and running its workers.

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidewire_sys::{Endpoint, Io};

use super::bind::Seat;
use super::builder::Builder;
use super::handlers::{Handlers, Typed};
use crate::engine::{Application, Compress, Group, Metrics, Options, Payload, SendStatus, Worker, WorkerError};

/// A server: bound, and running once [`Server::run`] or [`Server::start`] was called. Clones are the same server, and may be
/// used on any thread, also inside its handlers. Dropping it stops nothing; [`Server::stop`] does.
///
/// ```
/// use tidewire::{Client, Server, Upgrade};
///
/// let server = Server::builder()
///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
///     .open(|ws| { ws.subscribe("news"); ws.send("welcome"); })
///     .bind("127.0.0.1:0")?;
/// let running = server.start()?;
///
/// let publisher = server.clone();
/// Client::builder()
///     .message(move |ws, message| match &*message.text() {
///         "welcome" => { publisher.publish("news", "it works"); }
///         _ => ws.close(1000, "").unwrap(),
///     })
///     .run(&server.url())?;
/// server.stop();
/// running.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Server(Arc<Inner>);

type Make = Box<dyn Fn(Server) -> (Options, Rc<dyn Application>) + Send + Sync>;

/// What secures the connections of a server, if anything does.
pub(super) type Secured = Option<Arc<crate::engine::transport::Acceptor>>;

struct Inner {
    group: Group,
    tls: Secured,
    endpoints: Vec<Endpoint>,
    /// Empty once it was started.
    seats: Mutex<Vec<Seat>>,
    /// Makes a worker's options and application, on the worker's thread.
    make: Make,
}

/// Why a server could not run, or ended before it was stopped.
///
/// ```
/// use tidewire::{Server, server::RunError};
///
/// let server = Server::builder::<()>().bind("127.0.0.1:0").unwrap();
/// let running = server.start()?;
/// assert!(matches!(server.start(), Err(RunError::StartedBefore)));
/// server.stop();
/// running.join()?;
/// # Ok::<(), RunError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// `run` would block a runtime that has one thread, and with it every timer and socket of that runtime.
    #[cfg(feature = "tokio")]
    #[error("`run` blocks this thread, and the tokio runtime has no other: use `serve().await` instead")]
    BlocksRuntime,
    /// It runs, or has run, already.
    #[error("this server was started before; bind another one to start again")]
    StartedBefore,
    /// A worker's thread panicked outside of any handler: a bug in Tidewire.
    #[cfg(feature = "tokio")]
    #[error("a worker panicked; this is a bug in Tidewire")]
    Panicked,
    /// A worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A thread could not be made, or a listener not be watched.
    #[error("a worker could not be started: {0}")]
    Start(#[from] std::io::Error),
}

impl Server {
    /// Begins a server whose sockets carry data of type `T` (inferred from the `fetch` that upgrades).
    ///
    /// ```
    /// use tidewire::{Server, Upgrade};
    ///
    /// let server = Server::builder()
    ///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
    ///     .message(|ws, message| { ws.send(message); })
    ///     .bind("127.0.0.1:0")?
    ///     .start()?;
    /// println!("listening on {}", server.url());
    /// server.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder<T: 'static>() -> Builder<T> {
        Builder::default()
    }

    pub(crate) fn new<T: 'static>(
        wakers: Vec<Waker>,
        seats: Vec<Seat>,
        endpoints: Vec<Endpoint>,
        tls: Secured,
        options: Options,
        handlers: Arc<Handlers<T>>,
    ) -> Self {
        let group = Group::new(wakers);
        let make =
            move |server| -> (Options, Rc<dyn Application>) { (options.clone(), Rc::new(Typed::new(handlers.clone(), server))) };
        Self(Arc::new(Inner { group, tls, endpoints, seats: Mutex::new(seats), make: Box::new(make) }))
    }

    /// Runs until the server is stopped and its last socket has ended. The first worker runs on this thread, the others on
    /// threads of their own.
    ///
    /// # Errors
    /// When it ran before, or a worker cannot be started. With the feature `tokio`, also on the thread of a `current_thread`
    /// runtime: see `Server::serve`.
    ///
    /// ```
    /// let server = tidewire::Server::builder::<()>().bind("127.0.0.1:0")?;
    /// server.stop(); // or later, from another thread or a handler
    /// server.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self) -> Result<(), RunError> {
        #[cfg(feature = "tokio")]
        super::serve::refuse_blocking()?;
        let mut seats = self.begin()?.into_iter().enumerate();
        let first = seats.next();
        let threads: Vec<_> = seats.map(|(place, seat)| self.spawn(place, seat)).collect::<Result<_, _>>()?;
        let result = first.map_or(Ok(()), |(place, seat)| self.work(place, seat));
        join(threads).and(result)
    }

    /// Runs on threads of its own, one for each worker, and returns at once.
    ///
    /// # Errors
    /// When it ran before, or a worker cannot be started.
    pub fn start(&self) -> Result<Running, RunError> {
        let seats = self.begin()?.into_iter().enumerate();
        let threads = seats.map(|(place, seat)| self.spawn(place, seat)).collect::<Result<_, _>>()?;
        Ok(Running { server: self.clone(), threads })
    }

    pub(super) fn begin(&self) -> Result<Vec<Seat>, RunError> {
        let seats = std::mem::take(&mut *self.0.seats.lock().unwrap_or_else(PoisonError::into_inner));
        if seats.is_empty() { Err(RunError::StartedBefore) } else { Ok(seats) }
    }

    fn spawn(&self, place: usize, seat: Seat) -> Result<JoinHandle<Result<(), RunError>>, RunError> {
        let server = self.clone();
        thread(place, move || server.work(place, seat))
    }

    /// The worker at a place, on this thread.
    pub(crate) fn worker(&self, place: usize, io: Box<dyn Io>) -> Worker {
        let (options, application) = (self.0.make)(self.clone());
        #[cfg_attr(not(feature = "tls"), expect(unused_mut))]
        let mut worker = Worker::new(io, &self.0.group, place, options, application);
        #[cfg(feature = "tls")]
        if let Some(acceptor) = &self.0.tls {
            worker.share_tls(acceptor.clone());
        }
        worker
    }

    /// One worker's life.
    pub(super) fn work(&self, place: usize, seat: Seat) -> Result<(), RunError> {
        let mut worker = self.worker(place, seat.io);
        for (listening, spread) in seat.listeners {
            worker.add_listener(listening, spread)?;
        }
        while !worker.is_finished() {
            worker.turn(None)?;
        }
        Ok(())
    }

    /// Publishes to everybody on a topic, on all workers, from any thread. Inside a handler, subscribers of the same worker
    /// get it in order with everything else that they are sent; what one thread publishes arrives in its order.
    ///
    /// The answer is the worst of this worker's subscribers; on another thread, [`Sent`](SendStatus::Sent) once it is on its
    /// way. [`Dropped`](SendStatus::Dropped) also when nobody is subscribed (Bun: 0), or when a worker's mailbox is full
    /// (65,536 posts, or 64 MiB of payload).
    ///
    /// ```
    /// use tidewire::{SendStatus, Server};
    ///
    /// let server = Server::builder::<()>().bind("127.0.0.1:0")?;
    /// assert_eq!(server.publish("news", "nobody listens"), SendStatus::Dropped);
    /// # Ok::<(), tidewire::BindError>(())
    /// ```
    pub fn publish(&self, topic: &str, message: impl Payload) -> SendStatus {
        self.publish_with(topic, message, Compress::Yes)
    }

    /// As [`Server::publish`], compressed or not: see [`Compress`]. Where compression was agreed on, `publish` itself does
    /// compress, as in Bun.
    pub fn publish_with(&self, topic: &str, message: impl Payload, compress: Compress) -> SendStatus {
        self.0.group.publish(topic, message.kind(), message.bytes(), compress)
    }

    /// How many sockets are subscribed to a topic, on all workers.
    #[must_use]
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.0.group.subscriber_count(topic)
    }

    /// Counters of all workers together, since the server began.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.group.metrics()
    }

    /// How many requests `fetch` is not done with (Bun: `pendingRequests`).
    #[must_use]
    pub fn pending_requests(&self) -> u64 {
        let metrics = self.metrics();
        metrics.requests.saturating_sub(metrics.requests_done)
    }

    /// How many WebSockets are open (Bun: `pendingWebSockets`).
    #[must_use]
    pub fn pending_web_sockets(&self) -> u64 {
        let metrics = self.metrics();
        metrics.opened.saturating_sub(metrics.ended)
    }

    /// Where it listens, in the order of `listen` and `bind`; port 0 has become the port that was picked.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.0.endpoints
    }

    /// The port of the first address that has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.endpoints.iter().find_map(|endpoint| match endpoint {
            Endpoint::Tcp(address) => Some(address.port()),
            Endpoint::Unix(_) => None,
        })
    }

    /// The first address that it listens on, to be opened: `http://127.0.0.1:3000/` (under TLS `https:`), or `unix:` and
    /// the path; empty for an [embedded](Builder::embed) server.
    #[must_use]
    pub fn url(&self) -> String {
        match self.0.endpoints.first() {
            Some(Endpoint::Tcp(address)) => format!("{}://{address}/", self.protocol()),
            Some(endpoint) => endpoint.to_string(),
            None => String::new(),
        }
    }

    /// `https` under TLS, else `http`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.0.tls.is_some() { "https" } else { "http" }
    }

    /// Stops listening and closes every socket with 1001; a socket that has not ended after 10 seconds is cut off. The
    /// server's `run` returns after the last one. Requests that are under way are answered first.
    pub fn stop(&self) {
        self.stop_within(Duration::from_secs(10));
    }

    /// As [`Server::stop`], with another patience; with none at all (Bun: `stop(true)`) no peer is waited for: each connection
    /// ends behind its Close.
    pub fn stop_within(&self, patience: Duration) {
        self.0.group.stop(patience);
    }

    /// Changes handlers and limits, also for the sockets that are open: on this worker when this returns (what follows in the
    /// same read is the new handlers'), on the others, and from another thread on all, from their next turn on. Addresses, workers and certificates (see `reload_tls`)
    /// stay as they are, and so must the type of the sockets' data: a socket with other data has no handlers from then on, which is logged.
    ///
    /// ```
    /// use tidewire::{Builder, Server, Upgrade};
    ///
    /// fn greeting(text: &'static str) -> Builder<()> {
    ///     Server::builder()
    ///         .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
    ///         .open(move |ws| { ws.send(text); })
    /// }
    /// let server = greeting("hello").bind("127.0.0.1:0")?;
    /// server.reload(greeting("good morning"));
    /// # Ok::<(), tidewire::BindError>(())
    /// ```
    pub fn reload<T: 'static>(&self, builder: Builder<T>) {
        let (options, handlers) = (builder.options, Arc::new(builder.handlers));
        self.0.group.reload(move || {
            let (options, handlers, server) = (options.clone(), handlers.clone(), self.clone());
            Box::new(move || (Rc::new(Typed::new(handlers, server)), options))
        });
    }

    /// Changes certificates and what clients must show. Connections that are accepted from now on are secured so; those that are
    /// there stay as they are.
    ///
    /// # Errors
    /// As [`Builder::tls`], and then nothing has changed; and when the server was bound without TLS.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self, tls: &crate::tls::Tls) -> Result<(), crate::tls::TlsError> {
        self.0.tls.as_ref().ok_or(crate::tls::TlsError::NotSecured)?.replace(tls)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoints", &self.0.endpoints).finish_non_exhaustive()
    }
}

/// A worker's thread.
pub(super) fn thread<R: Send + 'static>(
    place: usize,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<JoinHandle<R>, RunError> {
    Ok(thread::Builder::new().name(format!("tidewire-{place}")).spawn(work)?)
}

fn join(threads: Vec<JoinHandle<Result<(), RunError>>>) -> Result<(), RunError> {
    // All are waited for, also when one has failed.
    let mut result = Ok(());
    for thread in threads {
        result = result.and(thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
    }
    result
}

/// A server that runs on its own threads: what [`Server::start`] gives. Dropping this leaves it running. It can do all that a
/// [`Server`] can.
///
/// ```
/// let running = tidewire::Server::builder::<()>().bind("127.0.0.1:0")?.start()?;
/// running.stop();
/// running.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Running {
    server: Server,
    threads: Vec<JoinHandle<Result<(), RunError>>>,
}

impl Running {
    /// Waits until the server has been stopped and its last socket has ended.
    ///
    /// # Errors
    /// When a worker failed.
    ///
    /// # Panics
    /// When a worker panicked outside of any handler, which is a bug in Tidewire.
    pub fn join(self) -> Result<(), RunError> {
        join(self.threads)
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl std::ops::Deref for Running {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

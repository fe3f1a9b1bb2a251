//! A WebSocket as handlers see it: the engine's socket with the application's data, typed.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::rc::Rc;

use super::run::Server;
use crate::engine::local::RemoteSocket;
use crate::engine::mailbox::Mail;
use crate::engine::{Compress, LocalSocket, Payload, SocketError};

/// A WebSocket of a server, with the data that its upgrade attached.
///
/// It stays on the thread of its worker; [`Ws::handle`] gives what other threads need. Clones are the same socket, and may be
/// kept: after its end every call is harmless. Everything that [`LocalSocket`] offers is here too: `send`, `publish`,
/// `close`, `ping`, and the rest. Bun: `ServerWebSocket`.
///
/// ```no_run
/// use tidewire::{Server, Upgrade};
///
/// struct User { name: String }
///
/// Server::builder()
///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(User { name: "Ada".into() })) })
///     .open(|ws| { ws.subscribe("room"); })
///     .message(|ws, message| { ws.publish("room", format!("{}: {}", ws.data().name, message.text())); })
///     .bind("127.0.0.1:3000")?
///     .run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ws<T> {
    data: Rc<T>,
    /// After `data`: whatever the data's destructor does, ends in the socket's.
    socket: LocalSocket,
    server: Server,
}

impl<T: 'static> Ws<T> {
    /// `None` when the socket carries data of another type.
    pub(crate) fn new(socket: LocalSocket, server: &Server) -> Option<Self> {
        let data = socket.data()?.clone().downcast().ok()?;
        Some(Self { socket, data, server: server.clone() })
    }

    /// The server that it is a socket of: its `publish` reaches this socket too.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What the upgrade attached. It is dropped when the socket has ended and nobody holds the socket any more. It can be
    /// changed through a `Cell` or a `RefCell`, since all uses of it are on one thread:
    ///
    /// ```
    /// use std::cell::Cell;
    /// use tidewire::{Server, Upgrade};
    ///
    /// let builder = Server::builder()
    ///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(Cell::new(0_u64))) })
    ///     .message(|ws, _message| {
    ///         ws.data().set(ws.data().get() + 1);
    ///         ws.send(format!("that was message {}", ws.data().get()));
    ///     });
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Subscribes to a topic. `false` when the socket is closed or the subscription was refused; [`Ws::try_subscribe`] says why.
    /// Subscribing twice is the same as once. A socket that ends leaves its topics by itself.
    pub fn subscribe(&self, topic: &str) -> bool {
        self.socket.subscribe(topic).unwrap_or_else(|error| {
            tracing::debug!(%error, topic, "a subscription was refused");
            false
        })
    }

    /// Subscribes to a topic; `Ok(false)` when the socket is closed.
    ///
    /// # Errors
    /// For an empty name, and over [`max_subscriptions`](crate::Options::max_subscriptions) or
    /// [`max_topic_length`](crate::Options::max_topic_length).
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) {
    /// if let Err(error) = ws.try_subscribe("room 1") {
    ///     ws.send(format!("you cannot enter: {error}"));
    /// }
    /// # }
    /// ```
    pub fn try_subscribe(&self, topic: &str) -> Result<bool, SocketError> {
        self.socket.subscribe(topic)
    }

    /// Unsubscribes; `false` when it was not subscribed. What was published before still arrives.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        self.socket.unsubscribe(topic).unwrap_or(false)
    }

    /// Calls `send_all` and returns its value, also when the socket is closed. Sends of a turn leave together anyway, so this
    /// is only about grouping (Bun: `cork`).
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) {
    /// ws.cork(|ws| {
    ///     ws.send("a head");
    ///     ws.send("and a body");
    /// });
    /// # }
    /// ```
    pub fn cork<R>(&self, send_all: impl FnOnce(&Self) -> R) -> R {
        send_all(self)
    }

    /// Runs a future on this worker, beside the handlers. It may hold this socket across awaits, and need not be `Send`; it is
    /// dropped when the worker ends, or when it panics, which is logged. With `Server::serve` it may use tokio.
    ///
    /// ```
    /// # async fn look_up(_: String) -> String { String::new() }
    /// # let builder = tidewire::Server::builder::<()>()
    /// .message(|ws, message| {
    ///     let (ws, question) = (ws.clone(), message.text().into_owned());
    ///     ws.clone().spawn(async move {
    ///         let answer = look_up(question).await;
    ///         ws.send(answer); // harmless if it has closed meanwhile
    ///     });
    /// })
    /// # ;
    /// ```
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.socket.core().executor.spawn(Box::pin(future));
    }

    /// A handle for other threads and tasks. It keeps neither the socket nor its data.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.socket.remote())
    }
}

impl<T> Deref for Ws<T> {
    type Target = LocalSocket;

    fn deref(&self) -> &LocalSocket {
        &self.socket
    }
}

impl<T> Clone for Ws<T> {
    fn clone(&self) -> Self {
        Self { socket: self.socket.clone(), data: self.data.clone(), server: self.server.clone() }
    }
}

impl<T> fmt::Debug for Ws<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ws").field(&self.socket).finish()
    }
}

/// A WebSocket as other threads reach it. What is posted is done in order, in the worker's next turn; posts to a socket that
/// has ended do nothing. Posting never blocks: at most 65,536 posts, or 64 MiB of payload, wait for a worker; over that they are
/// refused and counted ([`mail_refused`](crate::Metrics::mail_refused)).
///
/// ```
/// use std::thread;
/// use tidewire::{Server, Upgrade};
///
/// let builder = Server::builder()
///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
///     .message(|ws, message| {
///         let (handle, message) = (ws.handle(), message.into_owned());
///         thread::spawn(move || handle.send(format!("{} bytes, counted elsewhere", message.len())));
///     });
/// # let _ = builder;
/// ```
#[derive(Debug, Clone)]
pub struct Handle(RemoteSocket);

impl Handle {
    /// Has a message sent as it is. `false` when the worker's mailbox is full: it is far behind.
    pub fn send(&self, message: impl Payload) -> bool {
        self.send_with(message, Compress::No)
    }

    /// Has a message sent, compressed or not.
    pub fn send_with(&self, message: impl Payload, compress: Compress) -> bool {
        self.0.mailbox.post(Mail::Send(self.0.id, message.kind(), message.bytes().to_vec(), compress))
    }

    /// Has a message published, as the socket's own [`publish`](LocalSocket::publish): this socket is left out. `false` when the
    /// worker's mailbox is full.
    pub fn publish(&self, topic: &str, message: impl Payload) -> bool {
        self.publish_with(topic, message, Compress::No)
    }

    /// Has a message published, compressed or not.
    pub fn publish_with(&self, topic: &str, message: impl Payload, compress: Compress) -> bool {
        let (kind, bytes) = (message.kind(), message.bytes().to_vec());
        self.0.mailbox.post(Mail::PublishFrom(self.0.id, topic.into(), kind, bytes, compress))
    }

    /// Has the socket closed; `Ok(false)` when the worker's mailbox is full.
    ///
    /// # Errors
    /// As [`LocalSocket::close`]: nothing is posted then.
    pub fn close(&self, code: u16, reason: &str) -> Result<bool, SocketError> {
        crate::engine::local::check_close(code, reason)?;
        Ok(self.0.mailbox.post(Mail::Close(self.0.id, code, reason.into())))
    }

    /// Has the connection cut off, as [`LocalSocket::terminate`]. `false` when the worker's mailbox is full.
    pub fn terminate(&self) -> bool {
        self.0.mailbox.post(Mail::Terminate(self.0.id))
    }
}

/// A handler panicked: what it said. It goes to [`error`](crate::Builder::error), and to
/// [`fetch_error`](crate::Builder::fetch_error) when it was `fetch`.
///
/// ```
/// let builder = tidewire::Server::builder::<()>().error(|ws, panic| {
///     eprintln!("{}: {}", ws.id().to_bits(), panic.message());
///     let _ = ws.close(1011, "sorry");
/// });
/// # let _ = builder;
/// ```
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {message}")]
pub struct Panic {
    message: String,
}

impl Panic {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Self { message }
    }

    /// What the panic said; "no message" when that was no text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

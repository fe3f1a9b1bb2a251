//! The handle by which handlers reach their socket: everything goes through it, and it is safe after the socket has ended.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_proto::close::{MAX_REASON, may_be_sent};
use tidewire_proto::frame::MAX_CONTROL;
use tidewire_proto::state::Happening;
use tidewire_proto::{Opcode, UsageError};

use super::application::{Application, Kind, Payload, SendStatus};
use super::compression::Compress;
use super::connection::Stage;
use super::core::Core;
use super::dialing::{Answer, ClientSide, Dial, DialError};
use super::mailbox::{Mail, Mailbox};
use super::options::Options;
use super::packing::Outbound;
use super::state::Subscription;
use super::table::SocketId;

/// A WebSocket, on the thread of its worker: what handlers of a [`Client`](crate::Client) get, and what a server's
/// [`Ws`](crate::Ws) is beneath its types. Clones are the same socket; after its end, every call is harmless.
///
/// ```no_run
/// use tidewire::{Client, ReadyState};
///
/// Client::builder()
///     .open(|ws| { ws.send("hello"); })
///     .message(|ws, message| {
///         println!("{message}");
///         ws.close(1000, "that is all").unwrap();
///         assert_eq!(ws.ready_state(), ReadyState::Closing);
///     })
///     .run("ws://127.0.0.1:3000/")?;
/// # Ok::<(), tidewire::client::ClientError>(())
/// ```
#[derive(Clone)]
pub struct LocalSocket {
    core: Rc<Core>,
    id: SocketId,
    data: Option<Rc<dyn Any>>,
}

/// How far a WebSocket is, with the numbers of the WHATWG standard.
///
/// ```
/// use tidewire::ReadyState;
/// assert_eq!(ReadyState::Closed as u8, 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyState {
    /// We connect to a server, or wait for its answer.
    Connecting = 0,
    /// It sends and receives.
    Open = 1,
    /// Its Close is sent, the peer's is awaited.
    Closing = 2,
    /// It has ended.
    Closed = 3,
}

/// A call with an argument that cannot be: nothing was done. (In Bun, the calls that throw.)
///
/// ```
/// # fn handler(ws: &tidewire::Ws<()>) {
/// assert!(ws.close(1006, "").is_err(), "1006 is never on the wire");
/// assert!(ws.ping(&[0; 126]).is_err());
/// assert!(ws.try_subscribe("").is_err());
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// A close code, a reason, or a control frame's payload that may not be sent.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The empty string names no topic.
    #[error("a topic needs a name; the empty string is none")]
    EmptyTopic,
    /// Over `max_subscriptions`, or a name over `max_topic_length`.
    #[error("over a limit: at most {subscriptions} subscriptions a socket and {length} bytes a topic name")]
    TopicLimit {
        /// The limit of subscriptions.
        subscriptions: usize,
        /// The limit of a name's length.
        length: usize,
    },
}

pub(crate) const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

/// An application's message on its way out.
#[inline]
pub(crate) fn outbound(message: &impl Payload, compress: Compress) -> Outbound<'_> {
    Outbound { opcode: opcode(message.kind()), payload: message.bytes(), compress }
}

/// Whether an application may close with this: what [`LocalSocket::close`] asks first, for those who close later.
///
/// # Errors
/// As [`LocalSocket::close`].
///
/// ```
/// use tidewire::engine::check_close;
/// assert!(check_close(1000, "done").is_ok() && check_close(1006, "").is_err());
/// ```
pub fn check_close(code: u16, reason: &str) -> Result<(), SocketError> {
    if !may_be_sent(code) {
        return Err(UsageError::CloseCode(code).into());
    }
    if reason.len() > MAX_REASON {
        return Err(UsageError::CloseReasonTooLong(reason.len()).into());
    }
    Ok(())
}

/// Whether a ping or a pong may carry so many bytes: what [`LocalSocket::ping`] asks first, for those who ping later.
///
/// # Errors
/// Over 125.
pub fn check_control(length: usize) -> Result<(), SocketError> {
    if length > MAX_CONTROL { Err(UsageError::ControlTooLong(length).into()) } else { Ok(()) }
}

impl LocalSocket {
    pub(crate) fn new(core: Rc<Core>, id: SocketId, data: Option<Rc<dyn Any>>) -> Self {
        Self { core, id, data }
    }

    /// The socket's id: unique on its worker while the worker lives.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// What the upgrade, or [`LocalWorker::connect`], attached, if anything was; [`Ws::data`](crate::Ws::data) has it with its type.
    #[must_use]
    pub fn data(&self) -> Option<&Rc<dyn Any>> {
        match self.client_side() {
            Some(side) => side.data.as_ref(),
            None => self.data.as_ref(),
        }
    }

    /// What this has as a client's; `None` when it was accepted.
    #[inline]
    pub(crate) fn client_side(&self) -> Option<&ClientSide> {
        self.data.as_ref()?.downcast_ref()
    }

    /// The server's answer to the handshake, of a socket that this side began; `None` until it is open, and of one that was
    /// accepted.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        Some(self.client_side()?.answer.get()?)
    }

    /// The worker that it is on.
    #[must_use]
    pub fn worker(&self) -> LocalWorker {
        LocalWorker::new(self.core.clone())
    }

    /// Sends a message: text for a string, binary for bytes, see [`Payload`]. What became of it is a [`SendStatus`]; it may be
    /// ignored by those who send little. The payload is copied, or with the kernel, when this returns.
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) {
    /// ws.send("text");
    /// ws.send([1, 2, 3]); // bytes
    /// if ws.send(format!("{} bytes wait", ws.buffered_amount())).is_dropped() {
    ///     println!("it is closed, or has more than `backpressure_limit` waiting");
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn send(&self, message: impl Payload) -> SendStatus {
        self.send_with(message, Compress::No)
    }

    /// Sends a message, compressed or not: see [`Compress`].
    #[inline]
    pub fn send_with(&self, message: impl Payload, compress: Compress) -> SendStatus {
        self.core.state.borrow_mut().send(self.id, &outbound(&message, compress))
    }

    /// Publishes to everybody on a topic but this socket, or with [`publish_to_self`](crate::Options::publish_to_self) to
    /// everybody. It need not be subscribed itself. The answer is the worst of this worker's subscribers;
    /// [`Dropped`](SendStatus::Dropped) also when nobody else is subscribed, and when this socket is closed.
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) {
    /// ws.subscribe("room");
    /// ws.publish("room", "to all the others");
    /// # }
    /// ```
    #[inline]
    pub fn publish(&self, topic: &str, message: impl Payload) -> SendStatus {
        self.publish_with(topic, message, Compress::No)
    }

    /// As [`LocalSocket::publish`], compressed or not: see [`Compress`]. However many subscribers there are, a message is
    /// compressed once for each window that it needs.
    #[inline]
    pub fn publish_with(&self, topic: &str, message: impl Payload, compress: Compress) -> SendStatus {
        self.core.state.borrow_mut().publish_from(self.id, topic, &outbound(&message, compress))
    }

    /// Subscribes to a topic; `false` once closed. Subscribing twice is the same as once.
    ///
    /// # Errors
    /// For an empty name, and over [`max_subscriptions`](crate::Options::max_subscriptions) or
    /// [`max_topic_length`](crate::Options::max_topic_length).
    pub fn subscribe(&self, topic: &str) -> Result<bool, SocketError> {
        if topic.is_empty() {
            return Err(SocketError::EmptyTopic);
        }
        let mut state = self.core.state.borrow_mut();
        match state.subscribe(self.id, topic) {
            Subscription::Done => Ok(true),
            Subscription::Closed => Ok(false),
            Subscription::Refused => Err(SocketError::TopicLimit {
                subscriptions: state.options.max_subscriptions,
                length: state.options.max_topic_length,
            }),
        }
    }

    /// Unsubscribes; `false` when it was not subscribed. What was published before still arrives.
    ///
    /// # Errors
    /// For an empty name.
    pub fn unsubscribe(&self, topic: &str) -> Result<bool, SocketError> {
        if topic.is_empty() {
            return Err(SocketError::EmptyTopic);
        }
        Ok(self.core.state.borrow_mut().unsubscribe(self.id, topic))
    }

    /// Whether it is subscribed; `false` once closed.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        let state = self.core.state.borrow();
        state.topics.is_subscribed(state.member(self.id), topic)
    }

    /// The names of its topics; empty once closed.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Arc<str>> {
        let state = self.core.state.borrow();
        state.topics.names(state.member(self.id))
    }

    /// Closes with a code and a reason (RFC 6455, section 7.1.2); the close handler runs inside this call. What was sent before
    /// still arrives as long as the peer goes on reading it ([`close_timeout`](crate::Options::close_timeout),
    /// [`drain_timeout`](crate::Options::drain_timeout)). Closing what is closed does nothing.
    ///
    /// # Errors
    /// For a code that may not be sent (it may be 1000-1003, 1007-1014 and 3000-4999), and a reason over 123 bytes of UTF-8;
    /// nothing is sent then.
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) -> Result<(), tidewire::SocketError> {
    /// ws.close(4001, "the session has ended")?;
    /// assert!(ws.send("anything").is_dropped());
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self, code: u16, reason: &str) -> Result<(), SocketError> {
        check_close(code, reason)?;
        self.core.happen(self.id, Happening::LocalClose, code, reason);
        Ok(())
    }

    /// As [`close`](Self::close), with a Close that has no code and no reason: both sides are told 1005 (RFC 6455, section
    /// 7.1.5). It is what `close()` of a browser's WebSocket sends when it is given nothing.
    pub fn close_without_code(&self) {
        self.core.happen(self.id, Happening::LocalClose, 1005, "");
    }

    /// Ends the connection at once, without a Close: what was sent leaves as far as the kernel takes it now, the rest is dropped. The
    /// close handler runs inside this call, with 1006.
    pub fn terminate(&self) {
        self.core.happen(self.id, Happening::LocalTerminate, 1006, "");
    }

    /// Sends a ping; the peer's answer, with the same payload, comes to `pong` (RFC 6455, section 5.5.2).
    ///
    /// # Errors
    /// For a payload over 125 bytes: that is the most that a control frame holds.
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let start = Instant::now();
    /// let builder = tidewire::Server::builder::<()>()
    ///     .open(move |ws| { let _ = ws.ping(&start.elapsed().as_micros().to_be_bytes()); })
    ///     .pong(move |_ws, data| {
    ///         let Ok(sent) = data.try_into().map(u128::from_be_bytes) else { return };
    ///         println!("there and back in {} us", start.elapsed().as_micros().saturating_sub(sent));
    ///     });
    /// # let _ = builder;
    /// ```
    pub fn ping(&self, data: &[u8]) -> Result<SendStatus, SocketError> {
        self.control(Opcode::Ping, data)
    }

    /// Sends a pong that nobody asked for (RFC 6455, section 5.5.3; a peer's ping is answered without this).
    ///
    /// # Errors
    /// For a payload over 125 bytes.
    pub fn pong(&self, data: &[u8]) -> Result<SendStatus, SocketError> {
        self.control(Opcode::Pong, data)
    }

    fn control(&self, opcode: Opcode, data: &[u8]) -> Result<SendStatus, SocketError> {
        check_control(data.len())?;
        Ok(self.core.state.borrow_mut().control(self.id, opcode, data))
    }

    /// How far it is (Bun: `readyState`).
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        match self.core.state.borrow().table.find(self.id).map(|connection| &connection.stage) {
            Some(Stage::Dialing(dialing)) if dialing.given_up => ReadyState::Closing,
            Some(Stage::Dialing(_)) => ReadyState::Connecting,
            Some(Stage::Open(_)) => ReadyState::Open,
            Some(Stage::CloseSent(_)) => ReadyState::Closing,
            _ => ReadyState::Closed,
        }
    }

    /// The bytes, frame heads included, that the kernel has been offered and has not taken (Bun: `getBufferedAmount()`). What is
    /// sent in a turn and not offered yet does not count. Whoever was told of some is owed a `drain`, so that sending up to a
    /// mark and going on in `drain` never waits in vain. Under TLS they are counted as they were before encryption.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        let mut state = self.core.state.borrow_mut();
        let Some(connection) = state.table.find_mut(self.id).filter(|connection| connection.flags.stalled) else { return 0 };
        connection.flags.owes_drain |= connection.is_open();
        connection.queued()
    }

    /// How many bytes, frame heads included, would be sent now without asking the kernel: as long as short messages stay within
    /// it and nothing else is done with the socket, each answers [`Sent`](SendStatus::Sent). 0 behind backpressure and once closed.
    ///
    /// ```
    /// # fn handler(ws: &tidewire::Ws<()>) {
    /// while ws.room() > 2 + 5 {
    ///     ws.send("hello"); // behind a head of two bytes
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn room(&self) -> usize {
        let state = self.core.state.borrow();
        let limit = state.options.backpressure_limit;
        state.table.find(self.id).map_or(0, |connection| connection.room(limit))
    }

    /// The address at the other end of the connection (Bun: `remoteAddress`); `None` on a unix socket, and once it has ended.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.core.state.borrow().table.find(self.id)?.peer.address()
    }

    /// How it is secured; `None` in the clear, and once it has ended.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<crate::tls::TlsDetails> {
        self.core.tls_details(self.id)
    }

    /// Stops reading from the peer: no message comes until [`LocalSocket::resume`], not even from the same read. The peer's
    /// sends come to wait, and its silence counts for the idle timeout.
    ///
    /// ```
    /// # async fn store(_: String) {}
    /// # let builder = tidewire::Server::builder::<()>()
    /// .message(|ws, message| {
    ///     ws.pause(); // one message at a time
    ///     let (ws, text) = (ws.clone(), message.text().into_owned());
    ///     ws.clone().spawn(async move {
    ///         store(text).await;
    ///         ws.resume();
    ///     });
    /// })
    /// # ;
    /// ```
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Reads again; what has arrived meanwhile comes in this turn or the next.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        let state = &mut *self.core.state.borrow_mut();
        let Some(connection) = state.table.find_mut(self.id).filter(|connection| connection.is_open()) else { return };
        if connection.flags.paused == paused {
            return;
        }
        connection.flags.paused = paused;
        state.changes += 1;
        state.out.watch(connection, self.id);
        if !paused && matches!(connection.stage, Stage::Open(Some(_))) {
            state.early.push(self.id);
            let flags = &mut connection.flags;
            state.out.mark(flags, self.id);
        }
    }

    /// Sends what is queued now instead of at the end of the turn: when a handler still has long to work.
    pub fn flush(&self) {
        let state = &mut *self.core.state.borrow_mut();
        if let Some(connection) = state.table.find_mut(self.id).filter(|connection| !connection.flags.stalled) {
            state.out.flush(connection, self.id);
        }
    }

    /// What [`Handle`](crate::Handle) is made of: [`Ws::handle`](crate::Ws::handle) gives one.
    pub(crate) fn remote(&self) -> RemoteSocket {
        RemoteSocket { mailbox: self.core.mailbox.clone(), id: self.id }
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }
}

impl Drop for LocalSocket {
    /// Whoever holds it last, drops the data: a panic in the data's destructor ends here, as it may be the worker.
    #[inline]
    fn drop(&mut self) {
        if let Some(data) = self.data.take_if(|data| Rc::strong_count(data) == 1) {
            self.core.let_go(data);
        }
    }
}

impl fmt::Debug for LocalSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSocket").field("id", &self.id).field("state", &self.ready_state()).finish()
    }
}

/// A worker as code on its own thread reaches it, also while a turn is under way: for handlers in another language. What
/// [`Worker::handle`](super::Worker::handle) gives.
///
/// ```
/// use std::time::Duration;
/// use tidewire::Server;
/// use tidewire::sys::Readiness;
///
/// let (_server, mut workers) = Server::builder::<()>().embed(vec![Box::new(Readiness::new()?)]);
/// let worker = workers[0].handle();
/// worker.spawn(async { println!("polled in the next turn") });
/// workers[0].turn(Some(Duration::ZERO))?;
/// assert_eq!(worker.population(), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LocalWorker {
    core: Rc<Core>,
}

impl LocalWorker {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        Self { core }
    }

    /// The handle of a socket, without its data; one that has ended is harmless.
    #[must_use]
    pub fn socket(&self, id: SocketId) -> LocalSocket {
        LocalSocket::new(self.core.clone(), id, None)
    }

    /// Publishes to everybody on a topic, on all workers, as [`Server::publish`](crate::Server::publish).
    pub fn publish(&self, topic: &str, message: impl Payload) -> SendStatus {
        self.publish_with(topic, message, Compress::Yes)
    }

    /// As [`LocalWorker::publish`], compressed or not: see [`Compress`].
    pub fn publish_with(&self, topic: &str, message: impl Payload, compress: Compress) -> SendStatus {
        self.core.state.borrow_mut().publish(topic, &outbound(&message, compress), None)
    }

    /// Changes limits, timeouts and habits now, also for the sockets that are open.
    pub fn configure(&self, options: Options) {
        self.core.state.borrow_mut().reload(Rc::new(options));
    }

    /// Changes certificates and what clients must show, as [`Server::reload_tls`](crate::Server::reload_tls): for connections that
    /// are accepted from now on.
    ///
    /// # Errors
    /// As [`Worker::secure`](super::Worker::secure), and then nothing has changed; and when the worker is not secured.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self, tls: &crate::tls::Tls) -> Result<(), crate::tls::TlsError> {
        let acceptor = self.core.state.borrow().tls.clone();
        acceptor.ok_or(crate::tls::TlsError::NotSecured)?.replace(tls)
    }

    /// As [`Worker::stop`](super::Worker::stop), also where the worker is turning: the sockets are closed within this call, and
    /// listening ends in the course of the turn, or the next.
    pub fn stop(&self, patience: Duration) {
        self.core.state.borrow_mut().stopping = true;
        self.core.close_all(patience);
        self.core.mailbox.post(Mail::Stop(patience));
    }

    /// Runs a future on this worker, as [`Ws::spawn`](crate::Ws::spawn).
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.core.executor.spawn(Box::pin(future));
    }

    /// Begins a connection to a server, whose events go to `handlers`; what comes when is told in the
    /// [module](super::dialing). `data` is [`LocalSocket::data`].
    ///
    /// # Errors
    /// [`DialError`] for what cannot be sent, or files of TLS that cannot be read; nothing was begun then. Whatever happens to
    /// the connection later goes to `handlers`.
    pub fn connect(
        &self,
        dial: &Dial,
        handlers: Rc<dyn Application>,
        data: Option<Rc<dyn Any>>,
    ) -> Result<LocalSocket, DialError> {
        self.core.connect(dial, handlers, data)
    }

    /// How many connections it has now, and how many of them are open WebSockets.
    #[must_use]
    pub fn population(&self) -> (usize, usize) {
        self.core.state.borrow().population()
    }
}

impl fmt::Debug for LocalWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWorker").field("number", &self.core.number).finish_non_exhaustive()
    }
}

/// A WebSocket as other threads reach it: through the mailbox of its worker. Posts are delivered in order.
#[derive(Clone)]
pub struct RemoteSocket {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) id: SocketId,
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket").field("id", &self.id).finish_non_exhaustive()
    }
}

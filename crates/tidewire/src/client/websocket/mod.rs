//! The client of async programs (feature `tokio`): a [`WebSocket`] that is a stream and a sink, in the caller's own task.
//!
//! There is no task and no thread behind it: what is not polled does nothing, so a receiver that does not receive holds the
//! server back, and a sender that is not ready says so. What it is made of is the engine's: the same conversation opens it, the
//! same receiver, compressors and TLS run it; only the socket is tokio's.

mod connect;
mod machine;
mod wire;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use tidewire_proto::close::CloseReason;
use tidewire_proto::{Opcode, PeerError, UsageError};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::ClientError;
use crate::engine::{Answer, Dial, Message, Options, Payload, SocketError, check_close};
use machine::{Arrival, Machine, Phase};
use wire::{Side, Wire};

/// While more than this waits for the kernel, the sink is not ready.
const HIGH_WATER: usize = 64 * 1024;

/// A WebSocket in an async program: a [`Stream`] of messages and a [`Sink`] for them (feature `tokio`).
///
/// ```
/// # use tidewire::{Server, Upgrade};
/// # let server = Server::builder()
/// #     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
/// #     .message(|ws, message| { ws.send(message); })
/// #     .bind("127.0.0.1:0")?
/// #     .start()?;
/// # let url = format!("ws://127.0.0.1:{}/", server.port().unwrap());
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut ws = tidewire::client::WebSocket::connect(&url).await?;
/// ws.send("hello").await?;
/// while let Some(message) = ws.next().await {
///     assert_eq!(message?.text(), "hello");
///     break;
/// }
/// ws.close(1000, "done").await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # server.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// - **The stream** gives whole messages, and ends after the server's Close ([`WebSocket::close_reason`]). A connection that is
///   lost, or a server that breaks the protocol, is one error and then the end.
/// - **The sink** takes messages; [`WebSocket::send`] does without it. They are compressed where that was agreed on.
/// - **Pings are answered**, and a silent server is pinged and given up by [`idle_timeout`](Options::idle_timeout), while the
///   stream is polled.
/// - **Back-pressure**: the socket is read only when the stream is polled and nothing is left of what came before; and while 64
///   KiB wait for the kernel, the sink is not ready.
/// - **Cancel safety**: dropping a future of any method here loses nothing that came, and sends no message in part. When that
///   of [`WebSocket::send`] is dropped the message was taken whole or not at all; what was taken leaves with the next call.
/// - **Splitting**: `futures_util::StreamExt::split` gives halves for two tasks; each is woken for its own half.
///
/// It belongs to the runtime that it was opened in, which needs its I/O and its time.
#[derive(Debug)]
pub struct WebSocket {
    wire: Wire,
    machine: Machine,
    /// What has come and is not dispatched, from `at` on.
    input: Vec<u8>,
    at: usize,
    answer: Box<Answer>,
    timers: Timers,
    /// The error that the stream is yet to give.
    failure: Option<WebSocketError>,
}

/// Why a [`WebSocket`] has ended, or did not send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The system says that the connection is gone.
    #[error("the connection was lost: {0}")]
    Io(#[from] io::Error),
    /// The server ended the connection without a Close.
    #[error("the server ended the connection without a closing handshake")]
    Ended,
    /// The server broke the protocol or a limit. It was told so, with the error's close code.
    #[error("the server broke the protocol: {0}")]
    Peer(#[from] PeerError),
    /// Nothing came for `idle_timeout`.
    #[error("the server was silent for longer than the idle timeout")]
    Idle,
    /// The server did not answer our Close within `close_timeout`.
    #[error("the server did not answer the closing handshake in time")]
    Unanswered,
    /// It is closing or closed.
    #[error("the WebSocket is closed: nothing can be sent any more")]
    Closed,
    /// A close code, a reason or a ping that may not be sent; nothing was.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

impl WebSocket {
    /// Connects to a URL (see [`Dial::to`]) with the default [`Options`].
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Dial`], [`ClientError::Connect`].
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::open(&Dial::to(url)?, &Options::default()).await
    }

    /// Connects as a [`Dial`] says. Of the options count those of messages, compression, idle sockets and timeouts.
    ///
    /// # Errors
    /// [`ClientError::Dial`], [`ClientError::Connect`].
    ///
    /// ```no_run
    /// use tidewire::Options;
    /// use tidewire::client::{Dial, WebSocket};
    ///
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let dial = Dial::to("wss://example.com/chat")?.protocol("chat.v2").header("authorization", "Bearer of-a-token");
    /// let ws = WebSocket::open(&dial, &Options { max_payload_length: 1024 * 1024, ..Options::default() }).await?;
    /// println!("the server chose {:?}", ws.answer().protocol);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(dial: &Dial, options: &Options) -> Result<Self, ClientError> {
        let conversation = dial.conversation(options)?;
        let reached = timeout(options.connect_timeout, connect::open(dial.destination(), conversation)).await;
        let (socket, tls, opened) = reached.unwrap_or(Err(crate::engine::ConnectError::TimedOut))?;
        Ok(Self {
            wire: Wire::new(socket, tls),
            machine: Machine::new(options, opened.compression.as_ref(), dial.compresses(options)),
            input: opened.early,
            at: 0,
            answer: Box::new(opened.answer),
            timers: Timers::new(options),
            failure: None,
        })
    }

    /// The server's answer to the handshake: headers, subprotocol, extensions.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// How the connection is secured; `None` in the clear.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<crate::tls::TlsDetails> {
        self.wire.tls()
    }

    /// The server's Close, once it has come: its code (1005 when it had none) and its reason.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason<'static>> {
        self.machine.closed()
    }

    /// The next message; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message<'static>, WebSocketError>> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Sends a message and waits until the kernel has it. See [`WebSocket`] for what it means to cancel that.
    ///
    /// # Errors
    /// [`WebSocketError::Closed`], [`WebSocketError::Io`].
    pub async fn send(&mut self, message: impl Payload) -> Result<(), WebSocketError> {
        self.ready().await?;
        self.put(&message)?;
        self.flush().await
    }

    /// Queues a message, and waits only while there is no room: [`WebSocket::flush`], or receiving, sends it.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub async fn feed(&mut self, message: impl Payload) -> Result<(), WebSocketError> {
        self.ready().await?;
        self.put(&message)
    }

    /// Waits until the kernel has all that is queued. Cancel-safe.
    ///
    /// # Errors
    /// [`WebSocketError::Io`].
    pub async fn flush(&mut self) -> Result<(), WebSocketError> {
        std::future::poll_fn(|cx| self.wire.poll_flush(cx, Side::Sink)).await?;
        Ok(())
    }

    /// Sends a ping. Its pong counts as a sign of life; nobody is told of it.
    ///
    /// # Errors
    /// [`WebSocketError::Usage`] for more than 125 bytes, and as [`WebSocket::send`].
    pub async fn ping(&mut self, data: &[u8]) -> Result<(), WebSocketError> {
        if data.len() > 125 {
            return Err(UsageError::ControlTooLong(data.len()).into());
        }
        self.ready().await?;
        if self.machine.phase() != Phase::Open {
            return Err(WebSocketError::Closed);
        }
        self.machine.control(&mut self.wire.out, Opcode::Ping, data);
        self.flush().await
    }

    /// Closes (RFC 6455, section 7.1.2): sends what is queued and a Close, waits for the server's, and for the end of the stream.
    /// Messages that come meanwhile are dropped; who wants them uses the sink's `close` and goes on receiving. Cancel-safe, and it
    /// may be called again.
    ///
    /// # Errors
    /// [`WebSocketError::Usage`] for a code that may not be sent (it may be 1000-1003, 1007-1014 and 3000-4999) or a reason over 123
    /// bytes of UTF-8; [`WebSocketError::Unanswered`] after [`close_timeout`](Options::close_timeout); [`WebSocketError::Io`].
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), WebSocketError> {
        match check_close(code, reason) {
            Err(SocketError::Usage(error)) => return Err(error.into()),
            _ => self.begin_closing(code, reason),
        }
        self.flush().await?;
        while let Some(message) = self.next().await {
            message?;
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), WebSocketError> {
        std::future::poll_fn(|cx| self.poll_room(cx)).await
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        if self.machine.phase() != Phase::Open {
            return Poll::Ready(Err(WebSocketError::Closed));
        }
        if self.wire.queued() > HIGH_WATER {
            ready!(self.wire.poll_flush(cx, Side::Sink))?;
        }
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, message: &impl Payload) -> Result<(), WebSocketError> {
        if self.machine.phase() != Phase::Open {
            return Err(WebSocketError::Closed);
        }
        self.machine.message(&mut self.wire.out, message.kind(), message.bytes());
        Ok(())
    }

    fn begin_closing(&mut self, code: u16, reason: &str) {
        if self.machine.close(&mut self.wire.out, code, reason) {
            self.timers.closing();
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, WebSocketError>>> {
        loop {
            if self.at < self.input.len() {
                match self.machine.next(&mut self.input, &mut self.at, &mut self.wire.out) {
                    Some(arrival) => {
                        if let Some(message) = self.arrived(arrival) {
                            return Poll::Ready(Some(Ok(message)));
                        }
                        continue;
                    }
                    None => {
                        self.input = Vec::new();
                        self.at = 0;
                    }
                }
            }
            if self.machine.phase() == Phase::Ended {
                return Poll::Ready(self.failure.take().map(Err));
            }
            match self.poll_receive(cx) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    // A pong of ours must not wait for somebody to send.
                    if let Poll::Ready(Err(error)) = self.wire.poll_flush(cx, Side::Stream) {
                        self.end(Some(error.into()));
                        continue;
                    }
                    if self.timers.poll(cx, &mut self.machine, &mut self.wire.out).is_ready() {
                        self.timed_out();
                        continue;
                    }
                    if self.wire.queued() == 0 || self.wire.poll_flush(cx, Side::Stream).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Receives once, and takes the first message of what came; the rest stays for the next call.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<'static>>> {
        let (mut scratch, machine, out) = (wire::Scratch::borrow(), &mut self.machine, &mut self.wire.out);
        let received = ready!(wire::poll_receive(&mut self.wire.socket, &mut self.wire.tls, cx, &mut scratch));
        self.timers.heard();
        let Ok(received) = received else {
            scratch.give_back();
            self.end(received.err().map(WebSocketError::Io));
            return Poll::Ready(None);
        };
        let (bytes, mut at) = (scratch.received(&received), 0);
        let arrival = machine.next(bytes, &mut at, out);
        if at < bytes.len() {
            (self.input, self.at) = (bytes[at..].to_vec(), 0);
        }
        scratch.give_back();
        let message = arrival.and_then(|arrival| self.arrived(arrival));
        if received.end && self.at >= self.input.len() {
            self.end_of_stream();
        }
        // What came with the end of the stream comes before it: the end is found again by the next receive.
        Poll::Ready(message)
    }

    /// Deals with what came; gives it if it is a message for the application.
    fn arrived(&mut self, arrival: Arrival) -> Option<Message<'static>> {
        match arrival {
            Arrival::Message(message) => return Some(message),
            Arrival::Answered => {
                // At once, if the kernel takes it. If not, it leaves when the stream is polled again.
                if let Err(error) = self.wire.try_flush() {
                    self.end(Some(error.into()));
                }
            }
            Arrival::Closed => {
                self.wire.finish();
                let _ = self.wire.try_flush();
                self.timers.closing();
            }
            Arrival::Failed(error) => {
                self.wire.finish();
                let _ = self.wire.try_flush();
                self.end(Some(error.into()));
            }
        }
        None
    }

    fn end_of_stream(&mut self) {
        let failure = match self.machine.phase() {
            Phase::Open | Phase::CloseSent => Some(WebSocketError::Ended),
            Phase::Ending | Phase::Ended => None,
        };
        self.end(failure);
    }

    fn timed_out(&mut self) {
        let failure = match self.machine.phase() {
            Phase::Open => Some(WebSocketError::Idle),
            Phase::CloseSent => Some(WebSocketError::Unanswered),
            Phase::Ending | Phase::Ended => None,
        };
        self.end(failure);
    }

    fn end(&mut self, failure: Option<WebSocketError>) {
        if self.machine.end() {
            self.failure = failure;
            // Whoever ended it may still listen; whether this arrives changes nothing.
            self.wire.finish();
            let _ = self.wire.try_flush();
        }
    }
}

impl Stream for WebSocket {
    type Item = Result<Message<'static>, WebSocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl Sink<Message<'static>> for WebSocket {
    type Error = WebSocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.poll_room(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message<'static>) -> Result<(), WebSocketError> {
        self.put(&message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.wire.poll_flush(cx, Side::Sink).map_err(WebSocketError::Io)
    }

    /// Sends what is queued and a Close with 1000. The stream goes on to the server's answer, if it is polled.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.begin_closing(1000, "");
        self.wire.poll_flush(cx, Side::Sink).map_err(WebSocketError::Io)
    }
}

/// The deadlines: of a silent server, and of one that does not end.
#[derive(Debug)]
struct Timers {
    idle: Duration,
    close: Duration,
    /// How long before the idle timeout to ping; zero: not.
    lead: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom the sleep wakes.
    waker: Option<Waker>,
    heard: bool,
    pinged: bool,
    closing: bool,
}

impl Timers {
    fn new(options: &Options) -> Self {
        // As the engine does: 8 s before the end, or half of the time if that is less.
        let lead = if options.send_pings { (options.idle_timeout / 2).min(Duration::from_secs(8)) } else { Duration::ZERO };
        let (idle, close) = (options.idle_timeout, options.close_timeout);
        Self { idle, close, lead, sleep: None, waker: None, heard: false, pinged: false, closing: false }
    }

    /// Something came. One store: the timer is asked later.
    fn heard(&mut self) {
        self.heard = true;
    }

    /// From here on the closing timeout counts.
    fn closing(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.sleep = None;
            self.waker = None;
        }
    }

    /// Ready when the time is over. A ping that is due is appended to `out`.
    fn poll(&mut self, cx: &mut Context<'_>, machine: &mut Machine, out: &mut Vec<u8>) -> Poll<()> {
        loop {
            let after = if self.closing { self.close } else { self.idle };
            if after.is_zero() && !self.closing {
                return Poll::Pending;
            }
            let first = if self.closing { after } else { after - self.lead };
            let sleeping = self.sleep.get_or_insert_with(|| Box::pin(sleep(first)));
            // Polling it costs more than all else here, and it knows already whom to wake.
            if !sleeping.is_elapsed() && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            self.waker = Some(cx.waker().clone());
            ready!(sleeping.as_mut().poll(cx));
            if self.closing {
                return Poll::Ready(());
            }
            let next = match (std::mem::take(&mut self.heard), self.lead.is_zero(), self.pinged) {
                // It was heard since the timer was set; when, is not known, so it has all of the time again.
                (true, _, _) => {
                    self.pinged = false;
                    first
                }
                (false, false, false) => {
                    self.pinged = true;
                    machine.control(out, Opcode::Ping, b"");
                    self.lead
                }
                (false, _, _) => return Poll::Ready(()),
            };
            sleeping.as_mut().reset(Instant::now() + next);
            self.waker = None;
        }
    }
}

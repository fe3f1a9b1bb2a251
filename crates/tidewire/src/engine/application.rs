//! What a worker calls, and what it hands over: the boundary between the engine and user code.
//!
//! Every method of [`Application`] is called with nothing borrowed: it may use any handle in any way, but not run a turn.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use tidewire_proto::Ahead;

use super::dialing::ConnectError;
use super::local::LocalSocket;
use super::run::Run;
use crate::http::{Request, Responder};

/// The user code of one server on one worker: `fetch` and the one handler object. What [`Builder`](crate::Builder) makes of
/// closures; for those who [turn workers](super::Worker) themselves.
///
/// ```
/// use std::rc::Rc;
/// use tidewire::engine::{Application, Group, Worker};
/// use tidewire::http::Responder;
/// use tidewire::sys::{Io, Readiness};
/// use tidewire::{LocalSocket, Message, Options, Request};
///
/// struct Echo;
///
/// impl Application for Echo {
///     fn fetch(&self, request: Request, responder: Responder) {
///         if let Err(error) = responder.upgrade(&request, &http::HeaderMap::new(), None) {
///             responder.respond(error.to_response());
///         }
///     }
///
///     fn message(&self, socket: &LocalSocket, message: Message<'_>) {
///         socket.send(message);
///     }
/// }
///
/// let io = Readiness::new()?;
/// let group = Group::new(vec![io.waker()]);
/// let worker = Worker::new(Box::new(io), &group, 0, Options::default(), Rc::new(Echo));
/// # let _ = worker;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Application {
    /// A request has come. It is answered through the responder, now or later, or upgraded; a responder that is dropped
    /// without either answers 500. Default: 404, for who only connects.
    fn fetch(&self, request: Request, responder: Responder) {
        drop(request);
        let mut response = crate::http::Response::default();
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        responder.respond(response);
    }
    /// A connection that this side began could not be opened; `close` follows, with 1006.
    fn connect_failed(&self, socket: &LocalSocket, error: &ConnectError) {
        let _ = (socket, error);
    }
    /// The server of a connection that this side began has broken the protocol: with which close code, and how. `close` follows,
    /// with the same. (A server is told in `close` alone, with 1006 and the reason, as in Bun.)
    fn peer_failed(&self, socket: &LocalSocket, code: u16, reason: &str) {
        let _ = (socket, code, reason);
    }
    /// A request was upgraded (called inside the upgrade), or a connection that this side began has opened.
    fn open(&self, socket: &LocalSocket) {
        let _ = socket;
    }
    /// A whole message has come. It is borrowed for the call.
    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        let _ = (socket, message);
    }
    /// Whether [`run`](Application::run) is called. Default: no.
    fn takes_runs(&self) -> bool {
        false
    }
    /// Short messages may have come together, perhaps none. The application [takes](Run::next) what it likes to, one after the other; the rest
    /// comes to [`message`](Application::message), and so does what is no short message. One to whom each call is dear, as one in another
    /// language, takes several [ahead](Run::next_ahead); then what follows a message whose handler closes or pauses the socket, or changes
    /// options, must be [put back](Run::keep).
    fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
        let _ = (socket, run);
    }
    /// Everything that waited behind backpressure is with the kernel. Once per stall.
    fn drain(&self, socket: &LocalSocket) {
        let _ = socket;
    }
    /// The WebSocket has ended. Exactly once for each `open`, and the last call for that socket. What the codes mean is told at
    /// [`Builder::close`](crate::Builder::close).
    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        let _ = (socket, code, reason);
    }
    /// The peer pinged; the pong is already queued.
    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        let _ = (socket, data);
    }
    /// The peer sent a pong.
    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        let _ = (socket, data);
    }
}

/// Nobody: requests are answered 404, and nothing else is of interest. For a worker whose connections are all its own.
impl Application for () {}

/// Whether a message is text or binary (RFC 6455, section 5.6).
///
/// ```
/// use tidewire::{Kind, Payload};
/// assert_eq!("text".kind(), Kind::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// A received message, whole: its fragments are joined, and text is valid UTF-8 (RFC 6455, section 8.1). It is borrowed from the
/// worker's receive buffer: what is to outlive the handler is made [owned](Message::into_owned). It can be sent again as what
/// it was, and printed as text.
///
/// ```
/// use tidewire::Message;
///
/// let message = Message::from("hello");
/// assert_eq!((message.text(), message.len()), ("hello".into(), 5));
/// let kept: Message<'static> = message.into_owned();
/// assert!(kept.is_text());
///
/// match Message::from(&[1_u8, 2][..]) {
///     Message::Text(text) => println!("{text}"),
///     Message::Binary(bytes) => assert_eq!(*bytes, [1, 2]),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Any bytes.
    Binary(Cow<'a, [u8]>),
}

impl Message<'_> {
    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload as text; of a binary message, what is not UTF-8 is replaced by U+FFFD (as JavaScript's `String(buffer)`
    /// does).
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Binary(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// Whether it was sent as text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The payload's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The same message, owning its payload: it may be kept and sent to other threads. It copies the bytes, unless they are
    /// owned already, as those of a message in fragments are.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use tidewire::{Message, Server};
    ///
    /// let (log, messages) = mpsc::channel::<Message<'static>>();
    /// let builder = Server::builder::<()>().message(move |_ws, message| {
    ///     let _ = log.send(message.into_owned());
    /// });
    /// # let _ = (builder, messages);
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<Ahead<'a>> for Message<'a> {
    fn from(message: Ahead<'a>) -> Self {
        match message {
            Ahead::Ascii(bytes) => Self::Text(String::from_utf8_lossy(bytes)),
            Ahead::Text(text) => Self::Text(Cow::Borrowed(text)),
            Ahead::Binary(bytes) => Self::Binary(Cow::Borrowed(bytes)),
        }
    }
}

impl From<String> for Message<'static> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Vec<u8>> for Message<'static> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(Cow::Owned(bytes))
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

/// What can be sent as a message: `str`, `String` and `Cow<str>` as text; `[u8]`, arrays, `Vec<u8>`, `Bytes` and `Cow<[u8]>` as
/// binary; a received [`Message`] as what it was; and references to all of these.
///
/// ```
/// use tidewire::{Kind, Payload};
/// assert_eq!("text".kind(), Kind::Text);
/// assert_eq!(vec![1_u8, 2, 3].kind(), Kind::Binary);
/// assert_eq!(String::from("text").bytes(), b"text");
/// ```
pub trait Payload {
    /// Text or binary.
    fn kind(&self) -> Kind;
    /// The bytes to send.
    fn bytes(&self) -> &[u8];
}

macro_rules! payload {
    ($($type:ty => $kind:ident, $bytes:ident;)*) => {$(
        impl Payload for $type {
            #[inline]
            fn kind(&self) -> Kind {
                Kind::$kind
            }

            #[inline]
            fn bytes(&self) -> &[u8] {
                self.$bytes()
            }
        }
    )*};
}

payload! {
    str => Text, as_bytes;
    String => Text, as_bytes;
    Cow<'_, str> => Text, borrow_bytes;
    [u8] => Binary, as_ref;
    Vec<u8> => Binary, as_ref;
    Bytes => Binary, as_ref;
    Cow<'_, [u8]> => Binary, as_ref;
}

trait BorrowBytes {
    fn borrow_bytes(&self) -> &[u8];
}

impl BorrowBytes for Cow<'_, str> {
    fn borrow_bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> Payload for [u8; N] {
    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Payload for Message<'_> {
    fn kind(&self) -> Kind {
        if self.is_text() { Kind::Text } else { Kind::Binary }
    }

    fn bytes(&self) -> &[u8] {
        Message::bytes(self)
    }
}

impl<P: Payload + ?Sized> Payload for &P {
    #[inline]
    fn kind(&self) -> Kind {
        (**self).kind()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }
}

/// What became of something that was sent (in JavaScript: the number that `send` gives).
///
/// A producer goes on while it is `Sent`, and waits for [`drain`](crate::Builder::drain) when it is not:
///
/// ```
/// use std::cell::Cell;
/// use tidewire::{SendStatus, Server, Upgrade, Ws};
///
/// fn produce(ws: &Ws<Cell<u32>>) {
///     while ws.data().get() < 1_000 {
///         let number = ws.data().replace(ws.data().get() + 1);
///         match ws.send(format!("message {number}")) {
///             SendStatus::Sent(_) => {}
///             SendStatus::Backpressure | SendStatus::Dropped => return,
///         }
///     }
/// }
///
/// let builder = Server::builder()
///     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(Cell::new(0))) })
///     .open(produce)
///     .drain(produce);
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// It is with the kernel, or will be at the end of the turn: so many payload bytes. Of a publish, the message's own.
    /// JavaScript: that number.
    Sent(usize),
    /// It is queued behind backpressure and will arrive, unless the connection is lost; `drain` follows. JavaScript: -1.
    Backpressure,
    /// It was dropped: the socket is closed, or more than the backpressure limit is queued already. JavaScript: 0.
    Dropped,
}

impl SendStatus {
    /// The number that Bun's `send` gives: bytes, -1 or 0.
    ///
    /// ```
    /// use tidewire::SendStatus;
    /// assert_eq!([SendStatus::Sent(5), SendStatus::Backpressure, SendStatus::Dropped].map(SendStatus::to_number), [5, -1, 0]);
    /// ```
    #[must_use]
    pub fn to_number(self) -> i64 {
        match self {
            Self::Sent(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
            Self::Backpressure => -1,
            Self::Dropped => 0,
        }
    }

    /// Whether it was dropped.
    #[must_use]
    pub fn is_dropped(self) -> bool {
        self == Self::Dropped
    }

    /// The worse of two, for a message that went to several.
    #[must_use]
    pub(crate) fn worst(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dropped, _) | (_, Self::Dropped) => Self::Dropped,
            (Self::Backpressure, _) | (_, Self::Backpressure) => Self::Backpressure,
            _ => self,
        }
    }
}

//! The seam between the engine and the kernel: one trait, with the clock.
//!
//! Everything the engine wants from the outside world goes through [`Io`]: sockets, readiness, and time. A worker owns
//! exactly one. There are two implementations: [`crate::readiness`], over the kernel's poller, and a simulated one in
//! `tests/kit`. The shape also suits a completion ring: received bytes come in a [`Buffer`] that the engine gives back,
//! a send says how much was taken, an accept hands over a socket.
//!
//! What may not enter: frames, HTTP, TLS, topics. This room moves bytes.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::task::Waker;
use std::time::Duration;

pub use crate::buffer::Buffer;

/// What a worker asks of the kernel. Every call is non-blocking but [`Io::wait`].
///
/// Errors are the kernel's own: [`io::ErrorKind::WouldBlock`] means "not now, an event will tell",
/// [`io::ErrorKind::Interrupted`] means "nothing happened, the event comes again" (readiness is level-triggered), any other
/// error on a socket means that the connection is lost.
pub trait Io {
    /// Monotonic time since an origin that is fixed for the life of this `Io`.
    fn now(&self) -> Duration;

    /// Opens a listening socket and says where it really listens (port 0 picks one).
    ///
    /// # Errors
    /// As `bind(2)` and `listen(2)`: address in use, permission, a unix path that exists.
    fn listen(&mut self, endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Listening>;

    /// Takes over a connected or listening descriptor that was opened elsewhere; it becomes non-blocking, and Nagle's algorithm
    /// is off.
    ///
    /// # Errors
    /// When the descriptor cannot be made non-blocking; in the simulator, when it was not released by another `Io` of the same
    /// network.
    fn adopt(&mut self, descriptor: OwnedFd) -> io::Result<Socket>;

    /// Releases a socket from this `Io` without closing it, to be adopted by another. It is no longer watched; the file of a unix
    /// listener stays.
    ///
    /// # Errors
    /// When the socket is not one of this `Io`.
    fn release(&mut self, socket: Socket) -> io::Result<OwnedFd>;

    /// Takes one connection from a listener's queue.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; `EMFILE` and its kind when there is no room for another descriptor.
    fn accept(&mut self, listener: &Socket) -> io::Result<Accepted>;

    /// Begins a connection. It is established, or has failed, when the socket becomes writable: ask [`Io::connected`].
    ///
    /// # Errors
    /// Those that are known at once.
    fn connect(&mut self, endpoint: &Endpoint) -> io::Result<Socket>;

    /// How a connection begun with [`Io::connect`] ended.
    ///
    /// # Errors
    /// The reason for which it failed.
    fn connected(&mut self, socket: &Socket) -> io::Result<()>;

    /// Asks for events of a socket under a token of the caller's choice; a later call replaces an earlier one.
    /// A hang-up is reported whatever the interest is.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    fn watch(&mut self, socket: &Socket, token: Token, interest: Interest) -> io::Result<()>;

    /// Receives once, at most a buffer full. An empty buffer is the end of the stream. The caller returns the buffer with
    /// [`Io::give_back`].
    ///
    /// # Errors
    /// As `recv(2)`.
    fn recv(&mut self, socket: &Socket) -> io::Result<Buffer>;

    /// Returns a buffer to the pool.
    fn give_back(&mut self, buffer: Buffer);

    /// Sends as much as the kernel takes, in order, in one call, and says how much that was (never 0 for a non-empty input).
    ///
    /// # Errors
    /// As `sendmsg(2)`. It never raises SIGPIPE.
    fn send(&mut self, socket: &Socket, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends to several sockets, once to each and as [`Io::send`] would, and notes what came of it.
    fn send_each(&mut self, sends: &mut [Sending<'_>]) {
        for sending in sends {
            sending.sent = self.send(sending.socket, sending.bytes);
        }
    }

    /// Whether [`Io::send_each`] is cheaper than one send after the other.
    fn gathers_sends(&self) -> bool {
        false
    }

    /// Ends the outgoing direction: what was sent still arrives, then the end of the stream.
    fn shutdown(&mut self, socket: &Socket);

    /// Closes a socket; what the kernel has taken is still delivered, on one condition (it is TCP's): everything that arrived was
    /// received. Closing with unread input, or before the peer has stopped sending, is a reset, and a reset may destroy what was
    /// sent. To be sure that last words arrive, [`Io::shutdown`], receive until the end, then close.
    fn close(&mut self, socket: Socket);

    /// Closes a socket at once with a reset; nothing more is delivered.
    fn abort(&mut self, socket: Socket);

    /// Waits for events, at most for `timeout` (`None`: for ever), and replaces the contents of `events` with them.
    /// Returns early, possibly with no events, when the waker was used.
    ///
    /// # Errors
    /// As `epoll_wait(2)`; `Interrupted` is not an error but an empty answer.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;

    /// A handle that makes [`Io::wait`] return, from any thread. Wakes are coalesced.
    fn waker(&self) -> Waker;

    /// A descriptor that is readable while [`Io::wait`] would return at once: how a foreign loop drives a worker. `None` in the
    /// simulator.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// A socket that belongs to the [`Io`] that made it. It is not closed by dropping it: give it to [`Io::close`],
/// [`Io::abort`] or [`Io::release`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Socket(i32);

impl Socket {
    /// Wraps the number by which an [`Io`] knows the socket (for the kernel's, its descriptor). For implementations of [`Io`].
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number by which its [`Io`] knows it.
    #[must_use]
    pub const fn number(&self) -> i32 {
        self.0
    }
}

/// What one socket is sent by [`Io::send_each`].
#[derive(Debug)]
pub struct Sending<'a> {
    /// To whom; each socket is there once.
    pub socket: &'a Socket,
    /// What, in order.
    pub bytes: &'a [IoSlice<'a>],
    /// How much of it was taken, as [`Io::send`] answers.
    pub sent: io::Result<usize>,
}

impl<'a> Sending<'a> {
    /// A send that is yet to happen.
    #[must_use]
    pub const fn new(socket: &'a Socket, bytes: &'a [IoSlice<'a>]) -> Self {
        Self { socket, bytes, sent: Ok(0) }
    }
}

/// The caller's name for a watched socket, handed back with each of its events. `u64::MAX` is the poller's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Which events a socket is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Bytes, a connection in the queue, or the end of the stream.
    pub readable: bool,
    /// Room in the send buffer.
    pub writable: bool,
}

impl Interest {
    /// Only hang-ups.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Incoming bytes.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Room to send.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// Something happened to a watched socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The name that it was watched under.
    pub token: Token,
    /// A receive or an accept will not block.
    pub readable: bool,
    /// A send will not block.
    pub writable: bool,
    /// The connection is gone in both directions (reset, or ended by both sides). What arrived before can still be received;
    /// behind it a receive says how it ended.
    pub hangup: bool,
}

/// Where to listen or to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel keeps for us until they are accepted.
    pub backlog: u32,
    /// Whether other sockets may listen on the same port, sharing its connections (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Whether an IPv6 listener refuses IPv4.
    pub ipv6_only: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 4096, reuse_port: false, ipv6_only: false }
    }
}

/// An open listener.
#[derive(Debug)]
pub struct Listening {
    /// The listening socket.
    pub socket: Socket,
    /// Where it listens.
    pub local: Endpoint,
}

/// A connection taken from a listener's queue, non-blocking, with Nagle's algorithm off.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: Socket,
    /// The address at its other end; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
}

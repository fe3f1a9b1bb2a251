//! [`Io`] over a completion ring (io_uring): "do this, and tell me when it is done".
//!
//! Every connection that is read has one receive under way, for as long as it lives, and the kernel takes a buffer for it when bytes
//! have come: a socket at rest holds none. What a turn costs in system calls: one, which hands over new operations, has the
//! kernel receive, and waits; one more for all that is sent at its end; one accept per connection. Watching costs none.
//!
//! The engine sees readiness all the same. A socket with received bytes is readable until they were taken, and [`Io::recv`] hands
//! them out without asking the kernel. What is not receiving is polled: listeners, sockets that wait for room or for a connection, sockets
//! that are not to be read (for their hang-up), and those whose stream has ended.
//!
//! What differs from readiness, by nature: bytes are received before they are asked for, so closing a socket with unread bytes is a
//! reset only when the ring has not received them; and a watched socket can be [released](Io::release) only if it has nothing received.
//!
//! Memory, each worker: about 90 KiB for the ring; buffers of 32 KiB, 16 at first and at most 256 (8 MiB), when so many have something to
//! say at once; and 32 bytes for each descriptor. What the kernel needs for its operations is the kernel's. None of it is locked, so `RLIMIT_MEMLOCK` does not matter.
//!
//! | room | what it is for |
//! |---|---|
//! | `ring` | operations in, completions out |
//! | `buffers` | the buffers that the kernel receives into |
//! | `sockets` | what is known of each socket, and which operations it has |
//! | `items` | what was received and not yet asked for |
//! | `operations` | beginning and ending them, and what comes of them |
//! | `sends` | a turn's sends in one call |
//! | [`Support`] | whether the kernel has all this |

mod buffers;
mod items;
mod operations;
mod ring;
mod sends;
mod sockets;
mod support;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, Shutdown};

use crate::buffer::{Buffer, Pool};
use crate::doorbell::Doorbell;
use crate::endpoint::{self, UnixListeners};
use crate::io::{Accepted, Endpoint, Event, Interest, Io, ListenOptions, Listening, Sending, Socket, Token};
use crate::readiness::{Poller, RECEIVE_SIZE, epoll::Epoll, not_ours, send};
use buffers::Buffers;
use items::{Item, Items};
use ring::{Completion, Ring};
use sockets::{Operation, Sockets};

pub use support::{Needed, Support};

/// Linux 6.18 does about 20 receives and returns, if it need not wait. Who brings fewer than this has done all.
const PORTION: usize = 16;
/// So many completions are enough for a turn: more would only leave the cache before they are dealt with, and keep buffers from others.
const ENOUGH: usize = 64;

/// [`Io`] over a ring; see the [module](self).
///
/// It may move to another thread until it first waits, and belongs to that thread then. It owns its sockets: those that are
/// open when it is dropped are closed, and the files of its unix listeners removed. It has no [`descriptor`](Io::descriptor):
/// a foreign loop drives a [`Readiness`](crate::Readiness).
///
/// # Examples
/// ```
/// use tidewire_sys::uring::{Support, Uring};
/// use tidewire_sys::{Endpoint, Interest, Io, ListenOptions, Token};
///
/// if Support::probe().verdict().is_err() {
///     return Ok(()); // a kernel without, or somebody forbids it
/// }
/// let mut io = Uring::new()?;
/// let any_port = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
/// let listening = io.listen(&any_port, &ListenOptions::default())?;
/// io.watch(&listening.socket, Token(1), Interest::READ)?;
///
/// let client = io.connect(&listening.local)?;
/// let mut events = Vec::new();
/// io.wait(None, &mut events)?;
/// assert_eq!(events[0].token, Token(1));
/// let accepted = io.accept(&listening.socket)?;
/// # for socket in [listening.socket, client, accepted.socket] {
/// #     io.close(socket);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Uring {
    // Dropped before what it may touch: sockets, buffers, bell.
    ring: Ring,
    sockets: Sockets,
    buffers: Buffers,
    /// For what is received on demand.
    large: Pool,
    items: Items,
    doorbell: Arc<Doorbell>,
    unix: UnixListeners,
    origin: Instant,
    /// Sockets whose operations may not be what they should.
    stale: Vec<i32>,
    /// Sockets about which there is something to tell.
    due: Vec<i32>,
    completed: Vec<Completion>,
    /// What came of each of a batch of sends.
    answers: Vec<Option<i32>>,
    headers: Vec<libc::msghdr>,
}

// SAFETY: the headers are scratch memory of one call; their pointers mean nothing outside it.
unsafe impl Send for Uring {}

impl fmt::Debug for Uring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uring").field("sockets", &self.sockets.numbers().count()).finish_non_exhaustive()
    }
}

impl Uring {
    /// An `Io` over a ring of its own.
    ///
    /// # Errors
    /// When the kernel gives none: [`Support`] says why.
    pub fn new() -> io::Result<Self> {
        let doorbell = Doorbell::new()?;
        let ring = Ring::new()?;
        // SAFETY: both become fields of one value that drops the ring first.
        let buffers = unsafe { Buffers::new(&ring) }?;
        Ok(Self {
            ring,
            sockets: Sockets::default(),
            buffers,
            large: Pool::new(RECEIVE_SIZE),
            items: Items::default(),
            doorbell,
            unix: UnixListeners::default(),
            origin: Instant::now(),
            stale: Vec::new(),
            due: Vec::new(),
            completed: Vec::new(),
            answers: Vec::new(),
            headers: Vec::new(),
        })
    }
}

impl Io for Uring {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn listen(&mut self, endpoint: &Endpoint, options: &ListenOptions) -> io::Result<Listening> {
        let (listener, local) = endpoint::listen(endpoint, options)?;
        if let Endpoint::Unix(path) = &local {
            self.unix.insert(listener.as_raw_fd(), path);
        }
        Ok(Listening { socket: self.sockets.insert(listener, true), local })
    }

    fn adopt(&mut self, descriptor: OwnedFd) -> io::Result<Socket> {
        Epoll::prepare(descriptor.as_fd())?;
        let is_listener = rustix::net::sockopt::socket_acceptconn(&descriptor).unwrap_or(false);
        Ok(self.sockets.insert(descriptor, is_listener))
    }

    fn release(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        self.silence(&socket)?;
        if !self.sockets.open(&socket)?.items.is_empty() {
            self.close(socket);
            return Err(io::Error::other("the socket has received bytes that its next owner would miss; it is closed"));
        }
        self.unix.remove(socket.number());
        self.sockets.remove(socket.number()).ok_or_else(not_ours)
    }

    fn accept(&mut self, listener: &Socket) -> io::Result<Accepted> {
        let (descriptor, peer) = Epoll::accept(self.sockets.borrow(listener)?)?;
        Ok(Accepted { socket: self.sockets.insert(descriptor, false), peer })
    }

    fn connect(&mut self, endpoint: &Endpoint) -> io::Result<Socket> {
        Ok(self.sockets.insert(endpoint::connect(endpoint)?, false))
    }

    fn connected(&mut self, socket: &Socket) -> io::Result<()> {
        endpoint::connected(self.sockets.borrow(socket)?)
    }

    fn watch(&mut self, socket: &Socket, token: Token, interest: Interest) -> io::Result<()> {
        let entry = self.sockets.open(socket)?;
        entry.token = token;
        entry.interest = Some(interest);
        let is_due = interest.readable && !entry.items.is_empty();
        self.mark_stale(socket.number());
        if is_due {
            self.mark_due(socket.number());
        }
        Ok(())
    }

    fn recv(&mut self, socket: &Socket) -> io::Result<Buffer> {
        let entry = self.sockets.open(socket)?;
        match self.items.pop(&mut entry.items) {
            Some(Item::Bytes(buffer)) => return Ok(buffer),
            Some(Item::End) => return Ok(Buffer::default()),
            Some(Item::Lost(error)) => return Err(io::Error::from_raw_os_error(error)),
            // What comes will be told.
            None if entry.receive != Operation::Idle => return Err(io::ErrorKind::WouldBlock.into()),
            None => {}
        }
        let mut buffer = self.large.take();
        match rustix::net::recv(self.sockets.borrow(socket)?, buffer.storage(), RecvFlags::empty()) {
            Ok((_, received)) => {
                buffer.set_filled(received);
                Ok(buffer)
            }
            Err(error) => {
                self.large.put(buffer);
                Err(error.into())
            }
        }
    }

    fn give_back(&mut self, buffer: Buffer) {
        match buffer.capacity() {
            buffers::SIZE => self.buffers.give_back(buffer),
            _ => self.large.put(buffer),
        }
    }

    fn send(&mut self, socket: &Socket, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        send(self.sockets.borrow(socket)?, bytes, Epoll::SEND_FLAGS)
    }

    fn send_each(&mut self, sends: &mut [Sending<'_>]) {
        // One by one they need no ring, and before it is enabled there is none.
        if sends.len() > 1 && self.ring.is_enabled() {
            return self.send_together(sends);
        }
        for sending in sends {
            sending.sent = self.send(sending.socket, sending.bytes);
        }
    }

    fn gathers_sends(&self) -> bool {
        true
    }

    fn shutdown(&mut self, socket: &Socket) {
        if let Ok(descriptor) = self.sockets.borrow(socket) {
            // It fails only when the connection is gone, which an event will tell.
            let _ = rustix::net::shutdown(descriptor, Shutdown::Write);
        }
    }

    fn close(&mut self, socket: Socket) {
        self.end(&socket);
        self.unix.unlink(socket.number());
    }

    fn abort(&mut self, socket: Socket) {
        if let Ok(descriptor) = self.sockets.borrow(&socket) {
            // Lingering for no time turns the close into a reset. Unix sockets have no such thing: theirs just close.
            let _ = rustix::net::sockopt::set_socket_linger(descriptor, Some(Duration::ZERO));
        }
        self.close(socket);
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        if !self.ring.enable()? {
            self.ring.listen_for(self.doorbell.as_fd())?;
        }
        self.arrange_all()?;
        self.buffers.top_up();
        let timeout = if self.still_due() { Some(Duration::ZERO) } else { timeout };
        self.ring.enter(timeout)?;
        let mut last = self.reap();
        let mut all = last;
        // A kernel may do a part of what it could. More in a turn is less for each: 16 people in a chat cost a third more without this.
        while last >= PORTION && all < ENOUGH {
            self.ring.enter(Some(Duration::ZERO))?;
            last = self.reap();
            all += last;
        }
        self.tell(events);
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::from(self.doorbell.clone())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Drop for Uring {
    /// Closing the ring would end its operations some time later, and their sockets with them: peers, and whoever wants the port, are
    /// not to wait for that.
    fn drop(&mut self) {
        if !self.ring.is_enabled() {
            return;
        }
        if self.ring.cancel_all().is_ok() {
            // A kernel may end some at a time.
            while self.ring.enter(Some(Duration::ZERO)).is_ok() {
                self.completed.clear();
                self.ring.completed(&mut self.completed);
                if self.completed.is_empty() {
                    return;
                }
            }
        }
        // Another thread's ring, or a broken one: at least nobody connects any more.
        for number in self.sockets.numbers() {
            if self.sockets.entry(number).is_some_and(|entry| entry.is_listener) {
                let _ = rustix::net::shutdown(self.sockets.descriptor(number), Shutdown::Both);
            }
        }
    }
}

//! [`Io`] over a completion ring (io_uring): "do this, and tell me when it is done".
//!
//! Every connection that is read has one receive under way, for as long as it lives, and the kernel takes a buffer for it when bytes
//! have come: a socket at rest holds none. What a turn costs in system calls: one, which hands over new operations, has the
//! kernel receive, and waits; one send per socket that has something to say; one accept per connection. Watching costs none.
//!
//! The engine sees readiness all the same. A socket with received bytes is readable until they were taken, and [`Io::recv`] hands
//! them out without asking the kernel. What is not receiving is polled: listeners, sockets that wait for room or for a connection, sockets
//! that are not to be read (for their hang-up), and those whose stream has ended.
//!
//! What differs from readiness, by nature: bytes are received before they are asked for, so closing a socket with unread bytes is a
//! reset only when the ring has not received them; and a watched socket can be [released](Io::release) only if it has nothing received.
//!
//! Memory, each worker: about 80 KiB for the ring, buffers of 64 KiB each, 16 at first and at most 256, and 32 bytes for each
//! descriptor. None of it is locked, so `RLIMIT_MEMLOCK` does not matter.
//!
//! | room | what it is for |
//! |---|---|
//! | `ring` | operations in, completions out |
//! | `buffers` | the buffers that the kernel receives into |
//! | `sockets` | what is known of each socket, and which operations it has |
//! | `items` | what was received and not yet asked for |
//! | [`Support`] | whether the kernel has all this |

mod buffers;
mod items;
mod ring;
mod sockets;
mod support;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};

use crate::buffer::{Buffer, Pool};
use crate::doorbell::Doorbell;
use crate::endpoint::{self, UnixListeners};
use crate::io::{Accepted, Endpoint, Event, Interest, Io, ListenOptions, Listening, Sending, Socket, Token};
use crate::readiness::{Poller, RECEIVE_SIZE, epoll::Epoll, not_ours, send};
use buffers::Buffers;
use items::{Item, Items};
use ring::{Completion, Key, Purpose, Ring};
use sockets::{Entry, Found, Operation, Phase, Sockets};

pub use support::{Operation as Needed, Support};

/// Whether somebody who has sent so much at once, perhaps before the last of it was dealt with, will send much more. That is received on
/// demand from then on, into buffers as large as readiness has: a message of 1 MiB in small pieces would cost a third more.
const fn is_bulk(bytes: usize, more_waits: bool) -> bool {
    bytes >= if more_waits { buffers::SIZE / 8 } else { buffers::SIZE / 4 * 3 }
}

/// Linux 6.18 does about 20 receives and returns, if it need not wait. Who brings fewer than this has done all.
const PORTION: usize = 16;
/// So many completions are enough for a turn: more would only leave the cache before they are dealt with.
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
        let ring = Ring::new()?;
        // SAFETY: both become fields of one value that drops the ring first.
        let buffers = unsafe { Buffers::new(&ring) }?;
        Ok(Self {
            ring,
            sockets: Sockets::default(),
            buffers,
            large: Pool::new(RECEIVE_SIZE),
            items: Items::default(),
            doorbell: Doorbell::new()?,
            unix: UnixListeners::default(),
            origin: Instant::now(),
            stale: Vec::new(),
            due: Vec::new(),
            completed: Vec::new(),
            answers: Vec::new(),
            headers: Vec::new(),
        })
    }

    /// Notes that a socket's operations may not be what they should.
    fn mark_stale(&mut self, number: i32) {
        if let Some(entry) = self.sockets.any(number)
            && !std::mem::replace(&mut entry.is_stale, true)
        {
            self.stale.push(number);
        }
    }

    /// Notes that there is something to tell about a socket.
    fn mark_due(&mut self, number: i32) {
        if let Some(entry) = self.sockets.any(number)
            && !std::mem::replace(&mut entry.is_due, true)
        {
            self.due.push(number);
        }
    }

    /// Begins and ends operations so that they become what they should be.
    fn arrange_all(&mut self) -> io::Result<()> {
        let mut stale = std::mem::take(&mut self.stale);
        for number in stale.drain(..) {
            if let Some(entry) = self.sockets.any(number) {
                entry.is_stale = false;
            }
            self.arrange(number)?;
        }
        // Handing many over may have completed some.
        if self.stale.is_empty() {
            self.stale = stale;
        }
        Ok(())
    }

    fn arrange(&mut self, number: i32) -> io::Result<()> {
        let Some(&mut entry) = self.sockets.entry(number) else { return Ok(()) };
        let (receive, poll) = (entry.should_receive(), entry.should_poll());
        let mut now = entry;
        match (entry.receive, receive) {
            (Operation::Idle, true) => {
                self.ring.receive(self.sockets.descriptor(number))?;
                now.receive = Operation::Begun;
            }
            (Operation::Begun, false) => {
                self.ring.cancel(Key(Purpose::Receive, number))?;
                now.receive = Operation::Ending;
            }
            _ => {}
        }
        match (entry.poll, poll) {
            (Operation::Idle, Some(events)) => {
                self.ring.poll(self.sockets.descriptor(number), events)?;
                now.poll = Operation::Begun;
                now.polled = events;
            }
            (Operation::Begun, wanted) if wanted != Some(entry.polled) => {
                self.ring.cancel(Key(Purpose::Poll, number))?;
                now.poll = Operation::Ending;
            }
            _ => {}
        }
        if !now.wants_bytes() && !now.items.is_empty() {
            self.set_aside(&mut now);
        }
        if let Some(entry) = self.sockets.entry(number) {
            *entry = now;
        }
        Ok(())
    }

    /// What was received for a socket that is not to be read may lie there for long: it moves to memory of its own size, and the
    /// buffers are free for others.
    fn set_aside(&mut self, entry: &mut Entry) {
        let mut kept = Default::default();
        while let Some(item) = self.items.pop(&mut entry.items) {
            let item = match item {
                Item::Bytes(buffer) if buffer.capacity() == buffers::SIZE => {
                    let mut own = Buffer::with_capacity(buffer.len());
                    own.storage().copy_from_slice(&buffer);
                    own.set_filled(buffer.len());
                    self.buffers.give_back(buffer);
                    Item::Bytes(own)
                }
                item => item,
            };
            self.items.push(&mut kept, item);
        }
        entry.items = kept;
    }

    /// Takes note of all that has completed.
    fn reap(&mut self) -> usize {
        let mut completed = std::mem::take(&mut self.completed);
        self.ring.completed(&mut completed);
        let count = completed.len();
        for completion in completed.drain(..) {
            match completion.key {
                Key(Purpose::Receive, number) => self.received(number, &completion),
                Key(Purpose::Poll, number) => self.polled(number, &completion),
                Key(Purpose::Doorbell, _) => {
                    self.doorbell.heard();
                    if !completion.more {
                        // It fails only with the ring, and then so does the next wait.
                        let _ = self.ring.listen_for(self.doorbell.as_fd());
                    }
                }
                Key(Purpose::Send, place) => {
                    if let Some(answer) = self.answers.get_mut(place as usize) {
                        *answer = Some(completion.result);
                    }
                }
                // There was nothing left to cancel.
                Key(Purpose::Cancel, _) => {}
            }
        }
        self.completed = completed;
        count
    }

    fn received(&mut self, number: i32, completion: &Completion) {
        let buffer = completion.buffer.and_then(|id| self.buffers.taken(id, completion.result.max(0) as usize));
        let item = match (completion.result, buffer) {
            (1.., Some(buffer)) => Some(Item::Bytes(buffer)),
            (result, buffer) => {
                if let Some(buffer) = buffer {
                    self.buffers.give_back(buffer);
                }
                self.without_bytes(result)
            }
        };
        let Some(entry) = self.sockets.entry(number) else { return };
        if !completion.more {
            entry.receive = Operation::Idle;
        }
        match item {
            Some(item) if entry.phase == Phase::Open => {
                match &item {
                    Item::Bytes(buffer) => entry.in_bulk |= is_bulk(buffer.len(), !entry.items.is_empty()),
                    Item::End | Item::Lost(_) => entry.has_ended = true,
                }
                self.items.push(&mut entry.items, item);
                self.mark_due(number);
            }
            Some(Item::Bytes(buffer)) => self.buffers.give_back(buffer),
            _ => {}
        }
        if !completion.more {
            self.ended(number);
        }
    }

    /// What a receive says that has brought no bytes.
    fn without_bytes(&mut self, result: i32) -> Option<Item> {
        if result >= 0 {
            return Some(Item::End);
        }
        match Errno::from_raw_os_error(-result) {
            Errno::NOBUFS => {
                self.buffers.ran_out();
                None
            }
            Errno::CANCELED | Errno::INTR | Errno::AGAIN => None,
            _ => Some(Item::Lost(-result)),
        }
    }

    fn polled(&mut self, number: i32, completion: &Completion) {
        let Some(entry) = self.sockets.entry(number) else { return };
        entry.poll = Operation::Idle;
        if let Ok(events) = u16::try_from(completion.result) {
            let events = PollFlags::from_bits_retain(events);
            entry.found = Found {
                readable: events.contains(PollFlags::IN),
                writable: events.contains(PollFlags::OUT),
                hangup: events.intersects(PollFlags::HUP | PollFlags::ERR),
            };
            self.mark_due(number);
        }
        self.ended(number);
    }

    /// An operation of a socket has ended: another is begun before the next wait, or the socket closed for which nobody waits.
    fn ended(&mut self, number: i32) {
        match self.sockets.entry(number) {
            Some(entry) if entry.phase == Phase::Closing && entry.is_idle() => drop(self.sockets.remove(number)),
            _ => self.mark_stale(number),
        }
    }

    /// Forgets those about which there is nothing more to tell; whether any are left.
    fn still_due(&mut self) -> bool {
        let sockets = &mut self.sockets;
        self.due.retain(|number| {
            let Some(entry) = sockets.any(*number) else { return false };
            entry.is_due = entry.wants_bytes() && !entry.items.is_empty();
            entry.is_due
        });
        !self.due.is_empty()
    }

    fn tell(&mut self, events: &mut Vec<Event>) {
        for number in &self.due {
            let Some(entry) = self.sockets.any(*number) else { continue };
            let Found { readable, writable, hangup } = std::mem::take(&mut entry.found);
            let Some(interest) = entry.interest else { continue };
            let event = Event {
                token: entry.token,
                readable: interest.readable && (readable || !entry.items.is_empty()),
                writable: interest.writable && writable,
                hangup,
            };
            if event.readable || event.writable || event.hangup {
                events.push(event);
            }
        }
    }

    /// Sends in one system call. It ends when all answers are there: the kernel is asked for what it can do at once, so that is when
    /// it has seen them, and nothing that the caller lent is used later.
    fn send_together(&mut self, sends: &mut [Sending<'_>]) {
        self.answers.clear();
        self.answers.resize(sends.len(), None);
        self.headers.clear();
        // SAFETY: zeroes are a header that names nothing: null pointers and lengths of 0.
        self.headers.resize_with(sends.len(), || unsafe { std::mem::zeroed() });
        for (place, (sending, header)) in sends.iter_mut().zip(&mut self.headers).enumerate() {
            // SAFETY: neither the slices, which the caller has lent for this call, nor the header, whose list does not grow below,
            // change before `answer_all` returns.
            let pushed = self
                .sockets
                .borrow(sending.socket)
                .and_then(|socket| unsafe { self.ring.send(socket, place as i32, sending.bytes, header) });
            if let Err(error) = pushed {
                self.answers[place] = Some(0);
                sending.sent = Err(error);
            }
        }
        self.answer_all();
        for (sending, answer) in sends.iter_mut().zip(&self.answers) {
            if sending.sent.is_ok() {
                sending.sent = match answer {
                    Some(error @ ..0) => Err(io::Error::from_raw_os_error(-error)),
                    Some(count) => Ok(*count as usize),
                    None => Err(ring::abandoned()),
                };
            }
        }
    }

    /// Waits until there is an answer to every send, or there will never be one.
    fn answer_all(&mut self) {
        while self.answers.contains(&None) {
            if self.ring.submit().is_err() {
                return self.ring.abandon();
            }
            self.reap();
        }
    }

    /// Makes a socket's operations end, and closes it behind them: now, if they end at once, as they do.
    fn end(&mut self, socket: &Socket) {
        let Ok(entry) = self.sockets.open(socket) else { return };
        entry.phase = Phase::Closing;
        entry.interest = None;
        let mut items = std::mem::take(&mut entry.items);
        let is_idle = entry.is_idle();
        while let Some(item) = self.items.pop(&mut items) {
            if let Item::Bytes(buffer) = item {
                self.buffers.give_back(buffer);
            }
        }
        if is_idle {
            drop(self.sockets.remove(socket.number()));
        } else if self.arrange(socket.number()).is_ok() && self.ring.enter(Some(Duration::ZERO)).is_ok() {
            self.reap();
        }
    }

    /// Ends a socket's operations and waits for that.
    fn silence(&mut self, socket: &Socket) -> io::Result<()> {
        self.sockets.open(socket)?.interest = None;
        self.arrange(socket.number())?;
        while !self.sockets.open(socket)?.is_idle() {
            self.ring.enter(None)?;
            self.reap();
        }
        Ok(())
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
        if self.ring.is_enabled() && self.ring.cancel_all().is_err() {
            // Another thread's ring: at least nobody connects any more.
            for number in self.sockets.numbers() {
                let is_listener = self.sockets.entry(number).is_some_and(|entry| entry.is_listener);
                if is_listener {
                    let _ = rustix::net::shutdown(self.sockets.descriptor(number), Shutdown::Both);
                }
            }
        }
    }
}

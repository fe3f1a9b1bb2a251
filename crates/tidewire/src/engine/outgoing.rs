//! The way out: outboxes, the turn log and the kernel's send. What goes wrong here is noted in lists, and dealt with by the
//! worker when no connection is borrowed; no user code runs in this room.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use tidewire_proto::{Head, Opcode, frame};
use tidewire_sys::{Io, Token};

use super::application::SendStatus;
use super::compression::{Shared, Way};
use super::connection::{Connection, Flags, PeerAddress, Stage};
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::limits::{Limit, Notices};
use super::log::{LogRange, TurnLog};
use super::masks::Masks;
use super::outbox::{MAX_SLICES, Outbox, Shelf};
use super::packing::{Copies, Outbound};
use super::table::SocketId;
use super::transport::{self, Scratch};

/// An outbox that holds this much is flushed without waiting for the end of the turn.
pub(crate) const CORK: usize = 64 * 1024;
/// A payload of this size goes to the kernel from where it is, without a copy into the outbox.
const DIRECT: usize = 8 * 1024;

pub(crate) struct Outgoing {
    pub io: Box<dyn Io>,
    pub log: TurnLog,
    pub shelf: Shelf,
    pub masks: Masks,
    pub shared: Shared,
    /// Messages below are not compressed.
    pub compression_threshold: usize,
    /// Who has something to flush at the end of the turn.
    pub dirty: Vec<SocketId>,
    /// Whose connection the kernel has declared lost.
    pub lost: Vec<SocketId>,
    /// Whose stall has ended and who is owed a `drain`.
    pub drained: Vec<SocketId>,
    /// Who is in [`Stage::Ending`] and has nothing left to send.
    pub ended: Vec<SocketId>,
    /// Whose HTTP output was taken whole: there is room for more.
    pub room: Vec<SocketId>,
    pub counters: Arc<Counters>,
    pub notices: Notices,
    /// What the deadlines of connections become when something moves in this turn.
    pub deadlines: Deadlines,
    pub scratch: Scratch,
    /// Where the head of a large frame is written.
    head: Vec<u8>,
}

impl Outgoing {
    pub fn new(io: Box<dyn Io>, counters: Arc<Counters>) -> Self {
        Self {
            io,
            log: TurnLog::default(),
            shelf: Shelf::default(),
            masks: Masks::default(),
            shared: Shared::default(),
            compression_threshold: 0,
            dirty: Vec::new(),
            lost: Vec::new(),
            drained: Vec::new(),
            ended: Vec::new(),
            room: Vec::new(),
            counters,
            notices: Notices::default(),
            deadlines: Deadlines::default(),
            scratch: Scratch::default(),
            head: Vec::with_capacity(16),
        }
    }

    /// Sends one frame of a WebSocket: the contract's `send`. `limit` is the backpressure limit.
    #[inline]
    pub fn send(&mut self, connection: &mut Connection, id: SocketId, message: &Outbound<'_>, limit: usize) -> SendStatus {
        if connection.queued() > limit && !self.make_room(connection, id, limit) {
            return SendStatus::Dropped;
        }
        self.counters.messages_out.add(1);
        if connection.compression.send != Way::Plain && self.is_packed(message) {
            self.put_packed(connection, id, message);
        } else {
            self.put_frame(connection, id, message.opcode, message.payload);
        }
        self.status(connection, message.payload.len())
    }

    /// What a sender is told after its bytes were queued.
    #[inline]
    fn status(&self, connection: &mut Connection, payload: usize) -> SendStatus {
        if connection.flags.lost {
            SendStatus::Dropped
        } else if connection.flags.stalled {
            connection.flags.owes_drain = true;
            SendStatus::Backpressure
        } else {
            SendStatus::Sent(payload)
        }
    }

    /// Whether a queue over the limit gets under it when the kernel is asked now; counts the drop when it does not.
    #[cold]
    fn make_room(&mut self, connection: &mut Connection, id: SocketId, limit: usize) -> bool {
        if !connection.flags.stalled {
            self.flush(connection, id);
        }
        if connection.queued() <= limit {
            return true;
        }
        connection.flags.owes_drain = true;
        self.reached(Limit::Backpressure, connection.peer);
        false
    }

    /// A limit was reached: see [`Notices::reached`].
    #[cold]
    pub fn reached(&mut self, limit: Limit, peer: PeerAddress) {
        self.notices.reached(limit, peer, self.deadlines.now, &self.counters);
    }

    /// Queues a frame whatever the limit is: control frames, and data that was admitted.
    #[inline]
    pub fn put_frame(&mut self, connection: &mut Connection, id: SocketId, opcode: Opcode, payload: &[u8]) {
        self.put(connection, id, opcode, false, payload);
    }

    /// Queues a frame; `rsv1` says that its payload is compressed.
    #[inline]
    pub fn put(&mut self, connection: &mut Connection, id: SocketId, opcode: Opcode, rsv1: bool, payload: &[u8]) {
        if payload.len() >= DIRECT && !connection.flags.stalled && !connection.flags.client {
            return self.send_direct(connection, id, opcode, rsv1, payload);
        }
        let mask = connection.flags.client.then(|| self.masks.next());
        let outbox = outbox(&mut connection.outbox, &mut self.shelf);
        outbox.write(|out| encode(out, opcode, rsv1, payload, mask));
        self.queued(connection, id);
    }

    /// Adds the copy of a publish that suits one subscriber; the contract's answer for that subscriber.
    #[inline]
    pub fn deliver(
        &mut self,
        connection: &mut Connection,
        id: SocketId,
        message: &Outbound<'_>,
        packed: bool,
        copies: &mut Copies,
        limit: usize,
    ) -> SendStatus {
        if connection.flags.lost || (connection.queued() > limit && !self.make_room(connection, id, limit)) {
            return SendStatus::Dropped;
        }
        let copy = copies.of(self, message, packed, connection.compression.send);
        if copy.packed {
            self.counters.messages_out_compressed.add(1);
            if let Some(deflater) = connection.contexts.as_mut().and_then(|contexts| contexts.deflater.as_mut()) {
                // The peer's window gets something that our own compressor does not know.
                deflater.restart();
            }
        }
        outbox(&mut connection.outbox, &mut self.shelf).refer(copy.range, &mut self.log);
        self.queued(connection, id);
        self.status(connection, message.payload.len())
    }

    /// Adds messages that are framed in the log to an outbox that [admits](Connection::admits) them. What a sender would be told of each,
    /// nobody asks for; but a stall owes its `drain`.
    #[inline]
    pub fn deliver_stretch(&mut self, connection: &mut Connection, id: SocketId, frames: LogRange) {
        outbox(&mut connection.outbox, &mut self.shelf).refer(frames, &mut self.log);
        self.queued(connection, id);
        connection.flags.owes_drain |= connection.flags.stalled;
    }

    /// Queues raw bytes: an HTTP head or body.
    pub fn put_bytes(&mut self, connection: &mut Connection, id: SocketId, bytes: &[u8]) {
        if !bytes.is_empty() {
            outbox(&mut connection.outbox, &mut self.shelf).write(|out| out.extend_from_slice(bytes));
            self.queued(connection, id);
        }
    }

    /// After something was queued: flush when there is much, else at the end of the turn. (Left to itself, the compiler makes a call
    /// of it: 12 instructions for each message.)
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured")]
    fn queued(&mut self, connection: &mut Connection, id: SocketId) {
        if connection.flags.stalled || connection.flags.lost {
            return;
        }
        if connection.queued() >= CORK {
            self.flush(connection, id);
        } else {
            self.mark(&mut connection.flags, id);
        }
    }

    /// Has the connection flushed at the end of the turn.
    #[inline]
    pub fn mark(&mut self, flags: &mut Flags, id: SocketId) {
        if !flags.dirty {
            flags.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Sends a large frame from the caller's memory, after what is queued; copies only what the kernel does not take.
    #[inline(never)]
    fn send_direct(&mut self, connection: &mut Connection, id: SocketId, opcode: Opcode, rsv1: bool, payload: &[u8]) {
        if connection.queued() > 0 {
            self.flush(connection, id);
            if connection.flags.stalled || connection.flags.lost {
                let outbox = outbox(&mut connection.outbox, &mut self.shelf);
                outbox.write(|out| encode(out, opcode, rsv1, payload, None));
                return;
            }
        }
        self.head.clear();
        frame::encode_head(&mut self.head, Head { opcode, fin: true, rsv1, len: payload.len() }, None);
        let (length, whole) = (self.head.len(), self.head.len() + payload.len());
        let sent = loop {
            let slices = [IoSlice::new(&self.head), IoSlice::new(payload)];
            match transport::send(&mut *self.io, &mut self.scratch, &connection.socket, &mut connection.tls, &slices, false) {
                Ok(sent) => break sent,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(_) => return self.lose(connection, id),
            }
        };
        self.counters.bytes_out.add(sent as u64);
        if sent < whole || connection.holds_sealed() {
            let head = &self.head;
            outbox(&mut connection.outbox, &mut self.shelf).write(|out| {
                out.extend_from_slice(&head[sent.min(length)..]);
                out.extend_from_slice(&payload[sent.saturating_sub(length)..]);
            });
            self.stall(connection, id);
        }
    }

    /// Gives the kernel what is queued, until it takes no more or there is no more.
    pub fn flush(&mut self, connection: &mut Connection, id: SocketId) {
        if connection.flags.lost || !self.push_sealed(connection, id) {
            return;
        }
        while let Some(outbox) = connection.outbox.as_deref().filter(|outbox| outbox.queued() > 0) {
            let (one, mut many);
            let (slices, offered) = match outbox.whole(&self.log) {
                Some(piece) => {
                    one = [IoSlice::new(piece)];
                    (&one[..], piece.len())
                }
                None => {
                    many = [IoSlice::new(&[]); MAX_SLICES];
                    let count = outbox.slices(&self.log, &mut many);
                    (&many[..count], many[..count].iter().map(|slice| slice.len()).sum())
                }
            };
            let last = offered == outbox.queued() && outbox.pong.is_none() && connection.ends_with_outbox();
            let answer = transport::send(&mut *self.io, &mut self.scratch, &connection.socket, &mut connection.tls, slices, last);
            if !self.sent(connection, id, offered, answer) {
                return;
            }
            self.put_waiting_pong(connection);
        }
        if self.finish_sealed(connection, id) {
            self.emptied(connection, id);
        }
    }

    /// What the kernel answered when it was offered so many bytes of the outbox; whether it may take more. (As a call it takes 30 more
    /// instructions for each delivery.)
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured")]
    pub(super) fn sent(&mut self, connection: &mut Connection, id: SocketId, offered: usize, answer: io::Result<usize>) -> bool {
        match answer {
            Ok(sent) => {
                self.counters.bytes_out.add(sent as u64);
                if sent > 0 {
                    self.moved_on(connection);
                }
                if let Some(outbox) = &mut connection.outbox {
                    outbox.advance(sent, &mut self.log);
                }
                if sent < offered || connection.holds_sealed() {
                    self.stall(connection, id);
                    return false;
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.stall(connection, id);
                false
            }
            Err(_) => {
                self.lose(connection, id);
                false
            }
        }
    }

    /// The kernel took some of what waited for a peer, so the peer reads.
    #[inline]
    pub(super) fn moved_on(&self, connection: &mut Connection) {
        let deadlines = &self.deadlines;
        match &connection.stage {
            // A ping waits behind the rest, and is not answered before that is read. What nothing waits for proves nothing.
            Stage::Open(_) if connection.flags.stalled => {
                connection.deadline = deadlines.idle;
                connection.flags.pinged = false;
            }
            Stage::Open(_) | Stage::Dialing(_) | Stage::Attempt(_) | Stage::Accepted | Stage::Lingering => {}
            // A head that has begun has its own deadline.
            Stage::Http(exchange) => {
                if connection.flags.stalled && exchange.as_ref().is_some_and(|exchange| !exchange.head_begun) {
                    connection.deadline = deadlines.http_idle;
                }
            }
            Stage::CloseSent(_) | Stage::Ending(_) => {
                let until = connection.outbox.as_ref().and_then(|outbox| outbox.until).unwrap_or(deadlines.close);
                connection.deadline = deadlines.close.min(until);
            }
        }
    }

    /// The pong that waited behind a stall goes when the rest is gone.
    fn put_waiting_pong(&mut self, connection: &mut Connection) {
        let Some(outbox) = connection.outbox.as_mut().filter(|outbox| outbox.queued() == 0) else { return };
        if let Some(pong) = outbox.pong.take() {
            let mask = connection.flags.client.then(|| self.masks.next());
            outbox.write(|out| frame::encode_frame(out, Opcode::Pong, &pong, mask));
        }
    }

    pub(super) fn stall(&mut self, connection: &mut Connection, id: SocketId) {
        if !connection.flags.stalled {
            connection.flags.stalled = true;
            self.watch(connection, id);
        }
    }

    /// Everything is with the kernel: the outbox goes back, and who waited for this is noted.
    fn emptied(&mut self, connection: &mut Connection, id: SocketId) {
        if let Some(outbox) = connection.outbox.take() {
            self.shelf.put(outbox);
        }
        if connection.flags.stalled {
            connection.flags.stalled = false;
            self.watch(connection, id);
        }
        if std::mem::take(&mut connection.flags.owes_drain) && connection.is_open() {
            self.drained.push(id);
        }
        match connection.stage {
            Stage::Ending(_) => self.ended.push(id),
            Stage::Http(_) => self.room.push(id),
            _ => {}
        }
    }

    /// The kernel says that the connection is gone: nothing more is sent, and the worker is told.
    pub fn lose(&mut self, connection: &mut Connection, id: SocketId) {
        if let Some(mut outbox) = connection.outbox.take() {
            outbox.clear(&mut self.log);
            self.shelf.put(outbox);
        }
        if !connection.flags.lost {
            connection.flags.lost = true;
            self.lost.push(id);
        }
    }

    /// Tells the poller what the connection waits for now.
    pub fn watch(&mut self, connection: &mut Connection, id: SocketId) {
        if self.io.watch(&connection.socket, Token(id.to_bits()), connection.interest()).is_err() {
            self.lose(connection, id);
        }
    }
}

#[inline]
fn encode(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    if rsv1 {
        frame::encode_compressed(out, opcode, payload, mask);
    } else {
        frame::encode_frame(out, opcode, payload, mask);
    }
}

/// The connection's outbox, lent now if it has none.
#[inline]
pub(crate) fn outbox<'a>(place: &'a mut Option<Box<Outbox>>, shelf: &mut Shelf) -> &'a mut Outbox {
    place.get_or_insert_with(|| shelf.take())
}

//! Connections: two streams, a link in each direction, and what Linux's TCP does with them.
//!
//! This room knows no descriptors and no listeners. It says which streams changed ([`Tcp::changed`]); whoever holds them looks
//! again. What it models, from the sources of Linux:
//!
//! - data that arrived before a FIN or a reset stays readable; after it a receive brings the end, or the reset, once;
//! - a close with unread input is a reset, and what had not arrived at the other side is lost;
//! - data for a stream that was closed is answered with a reset, which also ends what that stream had under way;
//! - a send after the other side's reset fails once with its reason (`ECONNRESET`, or `EPIPE` behind a FIN), then with `EPIPE`;
//! - a stream is writable when a third of its send buffer is free, not when one byte is.

use super::Faults;
use crate::Random;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

/// A stream's name; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(u64);

/// Who looks at a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A descriptor of the program.
    Program(i32),
    /// A listener's queue, until it is accepted.
    Queue,
    /// The test.
    Peer,
    /// Nobody: it was closed, and the kernel delivers what is left.
    Nobody,
}

/// What happens at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// A piece of this stream's link may have arrived.
    Deliver(StreamId),
    /// A reset arrives at this stream.
    Reset(StreamId),
    /// A connection attempt arrives at the listener.
    Knock(StreamId),
}

/// What a stream is ready for, as `poll(2)` would say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) hangup: bool,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) holder: Holder,
    pub(super) address: Option<SocketAddr>,
    other: Option<StreamId>,
    connecting: bool,
    /// Arrived, not read.
    arrived: VecDeque<u8>,
    arrived_limit: usize,
    fin_arrived: bool,
    /// Sent, not arrived. What the receiver has no room for waits here.
    link: VecDeque<Segment>,
    link_bytes: usize,
    link_limit: usize,
    fin_sent: bool,
    stalled_until: Duration,
    /// What a test's peer still wants to send: its own memory, without limit.
    unsent: VecDeque<u8>,
    fin_wanted: bool,
    /// Reset, or refused: nothing moves any more.
    dead: bool,
    /// The reason, until somebody was told.
    error: Option<ErrorKind>,
}

#[derive(Debug)]
struct Segment {
    due: Duration,
    load: Load,
}

#[derive(Debug)]
enum Load {
    Data(VecDeque<u8>),
    Fin,
}

/// All connections, and the clock.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) faults: Faults,
    /// Streams whose readiness may have changed since somebody last looked.
    pub(super) changed: Vec<StreamId>,
    /// Counts what has moved: equal numbers mean that nothing happened.
    pub(super) progress: u64,
    streams: BTreeMap<StreamId, Stream>,
    agenda: BTreeMap<(Duration, u64), Action>,
    next_name: u64,
    next_entry: u64,
}

impl Tcp {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random::new(seed),
            faults,
            changed: Vec::new(),
            progress: 0,
            streams: BTreeMap::new(),
            agenda: BTreeMap::new(),
            next_name: 0,
            next_entry: 0,
        }
    }

    /// The time of the next action.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.agenda.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Takes the next action that is due by `limit`, and sets the clock to its time.
    pub(super) fn pop_due(&mut self, limit: Duration) -> Option<Action> {
        let entry = self.agenda.first_entry().filter(|entry| entry.key().0 <= limit)?;
        self.now = self.now.max(entry.key().0);
        Some(entry.remove())
    }

    pub(super) fn schedule(&mut self, due: Duration, action: Action) {
        self.next_entry += 1;
        self.agenda.insert((due, self.next_entry), action);
    }

    /// A stream that is nobody's peer yet. Its connection attempt is the caller's to schedule.
    pub(super) fn open(&mut self, holder: Holder, address: Option<SocketAddr>, connecting: bool) -> StreamId {
        self.next_name += 1;
        let id = StreamId(self.next_name);
        let buffer = self.faults.buffer.clone();
        let stream = Stream {
            holder,
            address,
            other: None,
            connecting,
            arrived: VecDeque::new(),
            arrived_limit: self.random.within(buffer.clone()),
            fin_arrived: false,
            link: VecDeque::new(),
            link_bytes: 0,
            link_limit: self.random.within(buffer),
            fin_sent: false,
            stalled_until: Duration::ZERO,
            unsent: VecDeque::new(),
            fin_wanted: false,
            dead: false,
            error: None,
        };
        self.streams.insert(id, stream);
        id
    }

    /// Makes a connection of the stream that attempted one and a new one, which waits in a listener's queue.
    pub(super) fn establish(&mut self, initiator: StreamId) -> StreamId {
        let acceptor = self.open(Holder::Queue, None, false);
        if let Some(stream) = self.streams.get_mut(&acceptor) {
            stream.other = Some(initiator);
        }
        if let Some(stream) = self.streams.get_mut(&initiator) {
            stream.other = Some(acceptor);
            stream.connecting = false;
        }
        self.touch(initiator);
        self.pump(initiator);
        self.deliver(initiator);
        acceptor
    }

    /// The connection attempt failed.
    pub(super) fn refuse(&mut self, initiator: StreamId) {
        if let Some(stream) = self.streams.get_mut(&initiator) {
            stream.connecting = false;
            stream.dead = true;
            stream.error = Some(ErrorKind::ConnectionRefused);
            self.touch(initiator);
        }
    }

    /// How many streams there are, those that nobody holds any more included.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    pub(super) fn set_holder(&mut self, id: StreamId, holder: Holder) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.holder = holder;
        }
    }

    pub(super) fn other(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&self.streams.get(&id)?.other?)
    }

    /// How many bytes a receive may bring.
    pub(super) fn readable_bytes(&self, id: StreamId) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.arrived.len())
    }

    pub(super) fn recv(&mut self, id: StreamId, into: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = self.streams.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        if stream.arrived.is_empty() {
            // Behind a FIN the end comes first, and the reason of a later reset is left for the next send.
            let reason = if stream.fin_arrived { None } else { stream.error.take() };
            return match reason {
                Some(reason) => self.tell(id, reason),
                None if stream.fin_arrived || stream.dead => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let count = into.len().min(stream.arrived.len());
        for (slot, byte) in into.iter_mut().zip(stream.arrived.drain(..count)) {
            *slot = byte;
        }
        let other = stream.other;
        self.progress += 1;
        self.touch(id);
        // There is room again for what waited in the link.
        other.into_iter().for_each(|other| self.deliver(other));
        Ok(count)
    }

    /// Takes up to `limit` bytes, as far as the send buffer has room.
    pub(super) fn send(&mut self, id: StreamId, slices: &[IoSlice<'_>], limit: usize) -> io::Result<usize> {
        let Some(stream) = self.streams.get_mut(&id) else { return Err(ErrorKind::NotConnected.into()) };
        if stream.connecting {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(reason) = stream.error.take() {
            return self.tell(id, reason);
        }
        if stream.dead || stream.fin_sent {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = (stream.link_limit - stream.link_bytes).min(limit);
        let data: VecDeque<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(room).collect();
        let count = data.len();
        if count == 0 {
            let empty = slices.iter().all(|slice| slice.is_empty());
            return if empty { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        self.enqueue_data(id, data);
        self.deliver(id);
        Ok(count)
    }

    /// What a test's peer wants to send; it goes out as the buffers have room.
    pub(super) fn send_unbounded(&mut self, id: StreamId, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.dead
        {
            stream.unsent.extend(bytes);
            self.pump(id);
            self.deliver(id);
        }
    }

    /// Ends the outgoing direction, after what is unsent.
    pub(super) fn shutdown(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.fin_wanted = true;
            self.pump(id);
            self.deliver(id);
        }
    }

    /// What `close(2)` does.
    pub(super) fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.arrived.is_empty() && !stream.dead {
            return self.abort(id);
        }
        if stream.dead || stream.other.is_none() {
            self.streams.remove(&id);
            return;
        }
        stream.holder = Holder::Nobody;
        self.shutdown(id);
        self.bury(id);
    }

    /// Closes with a reset.
    pub(super) fn abort(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.remove(&id)
            && let Some(other) = stream.other
            && !stream.dead
        {
            self.send_reset(other);
        }
    }

    /// The network itself resets the connection.
    pub(super) fn break_connection(&mut self, id: StreamId) {
        let other = self.streams.get(&id).and_then(|stream| stream.other);
        self.apply_reset(id);
        other.into_iter().for_each(|other| self.apply_reset(other));
    }

    /// Holds up everything in both directions for a time.
    pub(super) fn stall(&mut self, id: StreamId, time: Duration) {
        let until = self.now + time;
        let other = self.streams.get(&id).and_then(|stream| stream.other);
        for id in [Some(id), other].into_iter().flatten() {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.stalled_until = stream.stalled_until.max(until);
                let until = stream.stalled_until;
                self.schedule(until, Action::Deliver(id));
            }
        }
    }

    /// How a connection attempt ended.
    pub(super) fn connected(&mut self, id: StreamId) -> io::Result<()> {
        match self.streams.get_mut(&id) {
            Some(stream) => match stream.error.take() {
                Some(reason) => self.tell(id, reason),
                None if stream.connecting => Err(ErrorKind::WouldBlock.into()),
                None if stream.dead => Err(ErrorKind::NotConnected.into()),
                None => Ok(()),
            },
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// An error is told once.
    fn tell<T>(&mut self, id: StreamId, reason: ErrorKind) -> io::Result<T> {
        self.progress += 1;
        self.touch(id);
        Err(reason.into())
    }

    fn touch(&mut self, id: StreamId) {
        self.changed.push(id);
    }

    /// Puts data on the way: in one piece or in two, now or later. A link is a queue, so nothing overtakes what was sent before.
    fn enqueue_data(&mut self, id: StreamId, mut data: VecDeque<u8>) {
        if data.len() > 1 && self.random.chance(self.faults.split) {
            let rest = data.split_off(1 + self.random.below(data.len() - 1));
            self.enqueue(id, Load::Data(data));
            data = rest;
        }
        self.enqueue(id, Load::Data(data));
    }

    fn enqueue(&mut self, id: StreamId, load: Load) {
        let mut due = self.now + self.random.time_within(self.faults.delay.clone());
        if self.random.chance(self.faults.stall) {
            due += self.random.time_within(self.faults.stall_for.clone());
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Load::Data(data) = &load {
            stream.link_bytes += data.len();
        }
        stream.link.push_back(Segment { due, load });
        self.progress += 1;
        self.touch(id);
        if due > self.now {
            self.schedule(due, Action::Deliver(id));
        }
    }

    /// Moves what a peer wants to send into its send buffer, and the FIN behind it.
    fn pump(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.connecting || stream.dead || stream.fin_sent {
            return;
        }
        let room = stream.unsent.len().min(stream.link_limit - stream.link_bytes);
        let data: VecDeque<u8> = stream.unsent.drain(..room).collect();
        let ends = stream.fin_wanted && stream.unsent.is_empty();
        stream.fin_sent = ends;
        if !data.is_empty() {
            self.enqueue_data(id, data);
        }
        if ends {
            self.enqueue(id, Load::Fin);
        }
    }

    /// Delivers what is due of a stream's link.
    pub(super) fn deliver(&mut self, from: StreamId) {
        while let Some((segment, to)) = self.take_due(from) {
            if self.random.chance(self.faults.reset) {
                return self.break_connection(from);
            }
            match segment.load {
                Load::Data(data) => {
                    if !self.deliver_data(from, to, segment.due, data) {
                        return;
                    }
                }
                Load::Fin => self.deliver_fin(from, to),
            }
            self.pump(from);
        }
    }

    /// The first piece of a link, if it has arrived. A piece that finds no room stays where it is.
    fn take_due(&mut self, from: StreamId) -> Option<(Segment, StreamId)> {
        let now = self.now;
        let sender = self.streams.get(&from)?;
        let to = sender.other?;
        let due = sender.link.front()?.due.max(sender.stalled_until);
        let is_data = matches!(sender.link.front()?.load, Load::Data(_));
        let has_room = self.streams.get(&to).is_none_or(|receiver| {
            receiver.holder == Holder::Nobody || receiver.dead || receiver.arrived.len() < receiver.arrived_limit
        });
        if due > now || (is_data && !has_room) {
            return None;
        }
        Some((self.streams.get_mut(&from)?.link.pop_front()?, to))
    }

    /// Says whether delivery may go on.
    fn deliver_data(&mut self, from: StreamId, to: StreamId, due: Duration, mut data: VecDeque<u8>) -> bool {
        let receiver = self.streams.get_mut(&to).filter(|receiver| receiver.holder != Holder::Nobody && !receiver.dead);
        let Some(receiver) = receiver else {
            // Nobody can read this any more. A closed stream that gets data is gone with all that it had under way.
            self.forget_closed(to);
            self.send_reset(from);
            return false;
        };
        let count = data.len().min(receiver.arrived_limit - receiver.arrived.len());
        receiver.arrived.extend(data.drain(..count));
        if let Some(sender) = self.streams.get_mut(&from) {
            sender.link_bytes -= count;
            if !data.is_empty() {
                sender.link.push_front(Segment { due, load: Load::Data(data) });
            }
        }
        self.progress += 1;
        self.touch(from);
        self.touch(to);
        true
    }

    fn deliver_fin(&mut self, from: StreamId, to: StreamId) {
        match self.streams.get_mut(&to) {
            Some(receiver) => receiver.fin_arrived = true,
            None => self.forget_closed(from),
        }
        self.progress += 1;
        self.touch(to);
        self.bury(to);
        self.bury(from);
    }

    /// Removes a stream that nobody holds.
    fn forget_closed(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.holder == Holder::Nobody) {
            self.streams.remove(&id);
        }
    }

    /// Removes a closed stream when both directions are done.
    fn bury(&mut self, id: StreamId) {
        let done = |stream: &Stream| stream.holder == Holder::Nobody && stream.fin_arrived && stream.link.is_empty();
        if self.streams.get(&id).is_some_and(done) {
            self.streams.remove(&id);
        }
    }

    fn send_reset(&mut self, to: StreamId) {
        let due = self.now + self.random.time_within(self.faults.delay.clone());
        if due > self.now { self.schedule(due, Action::Reset(to)) } else { self.apply_reset(to) }
    }

    /// A reset arrives.
    pub(super) fn apply_reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.dead {
            return;
        }
        if stream.holder == Holder::Nobody {
            self.streams.remove(&id);
            return;
        }
        stream.dead = true;
        stream.error = Some(if stream.fin_arrived { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset });
        stream.link.clear();
        stream.link_bytes = 0;
        stream.unsent.clear();
        self.progress += 1;
        self.touch(id);
    }
}

impl Stream {
    pub(super) fn ready(&self) -> Ready {
        if self.connecting {
            return Ready::default();
        }
        let incoming_ended = self.fin_arrived || self.dead;
        let outgoing_ended = self.fin_sent || self.dead;
        let free = self.link_limit - self.link_bytes;
        Ready {
            readable: incoming_ended || !self.arrived.is_empty(),
            writable: outgoing_ended || free * 3 >= self.link_limit,
            hangup: (incoming_ended && outgoing_ended) || self.error.is_some(),
        }
    }

    /// The attempt is still under way.
    pub(super) const fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Reset or refused.
    pub(super) const fn is_dead(&self) -> bool {
        self.dead
    }

    /// The other side has ended its direction, and everything before that was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.fin_arrived && self.arrived.is_empty()
    }

    /// Bytes that have left the holder and not arrived at the other side.
    pub(super) fn under_way(&self) -> usize {
        self.unsent.len() + self.link_bytes
    }
}

//! Beginning and ending a socket's operations, and what comes of them.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::items::Item;
use super::ring::{Completion, Key, Purpose};
use super::sockets::{Entry, Found, Operation, Phase};
use super::{Uring, buffers};
use crate::buffer::Buffer;
use crate::io::{Event, Socket};

/// Whether somebody who has sent so much at once, perhaps before the last of it was dealt with, will send much more. That is received on
/// demand from then on, into a buffer as large as readiness has, and the same one for everybody. Measured, of readiness: echoes of 1 MiB
/// 1.3 in pieces of a small buffer's size and 1.05 so, of 16 KiB (100 connections, a buffer each) 1.10 and 1.04.
const fn is_bulk(bytes: usize, more_waits: bool) -> bool {
    bytes >= if more_waits { buffers::SIZE / 8 } else { buffers::SIZE / 4 }
}

impl Uring {
    /// Notes that a socket's operations may not be what they should.
    pub(super) fn mark_stale(&mut self, number: i32) {
        if let Some(entry) = self.sockets.any(number)
            && !std::mem::replace(&mut entry.is_stale, true)
        {
            self.stale.push(number);
        }
    }

    /// Notes that there is something to tell about a socket.
    pub(super) fn mark_due(&mut self, number: i32) {
        if let Some(entry) = self.sockets.any(number)
            && !std::mem::replace(&mut entry.is_due, true)
        {
            self.due.push(number);
        }
    }

    /// Begins and ends operations so that they become what they should be.
    pub(super) fn arrange_all(&mut self) -> io::Result<()> {
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

    pub(super) fn arrange(&mut self, number: i32) -> io::Result<()> {
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
    pub(super) fn set_aside(&mut self, entry: &mut Entry) {
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
    pub(super) fn reap(&mut self) -> usize {
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

    pub(super) fn received(&mut self, number: i32, completion: &Completion) {
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
                let is_to_end = entry.in_bulk;
                self.items.push(&mut entry.items, item);
                self.mark_due(number);
                if is_to_end {
                    self.mark_stale(number);
                }
            }
            Some(Item::Bytes(buffer)) => self.buffers.give_back(buffer),
            _ => {}
        }
        if !completion.more {
            self.ended(number);
        }
    }

    /// What a receive says that has brought no bytes.
    pub(super) fn without_bytes(&mut self, result: i32) -> Option<Item> {
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

    pub(super) fn polled(&mut self, number: i32, completion: &Completion) {
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
    pub(super) fn ended(&mut self, number: i32) {
        match self.sockets.entry(number) {
            Some(entry) if entry.phase == Phase::Closing && entry.is_idle() => drop(self.sockets.remove(number)),
            _ => self.mark_stale(number),
        }
    }

    /// Forgets those about which there is nothing more to tell; whether any are left.
    pub(super) fn still_due(&mut self) -> bool {
        let sockets = &mut self.sockets;
        self.due.retain(|number| {
            let Some(entry) = sockets.any(*number) else { return false };
            // A poll may have found something while a socket was closed or a batch sent.
            entry.is_due = entry.found != Found::default() || (entry.wants_bytes() && !entry.items.is_empty());
            entry.is_due
        });
        !self.due.is_empty()
    }

    pub(super) fn tell(&mut self, events: &mut Vec<Event>) {
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

    /// Makes a socket's operations end, and closes it behind them: now, if they end at once, as they do.
    pub(super) fn end(&mut self, socket: &Socket) {
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
    pub(super) fn silence(&mut self, socket: &Socket) -> io::Result<()> {
        self.sockets.open(socket)?.interest = None;
        self.arrange(socket.number())?;
        while !self.sockets.open(socket)?.is_idle() {
            self.ring.enter(None)?;
            self.reap();
        }
        Ok(())
    }
}

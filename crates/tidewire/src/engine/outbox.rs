//! The outbox: what one connection has yet to send, in order.
//!
//! A list of segments, each either bytes of its own or a range of the worker's [turn log](super::log). Outboxes are lent to
//! connections that have something to send, and come back to the worker's [`Shelf`] when it is sent.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::log::{LogRange, TurnLog};
use super::timer::Tick;

/// The most slices that one vectored send is given.
pub(crate) const MAX_SLICES: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Bytes of our own; those before `own_sent` are gone.
    own: Vec<u8>,
    own_sent: usize,
    segments: VecDeque<Segment>,
    /// How many of the bytes of `own` come behind all segments: most outboxes have nothing else.
    tail: usize,
    queued: usize,
    /// The payload of the one pong that waits for a stall to end; a newer ping replaces it.
    pub pong: Option<Box<[u8]>>,
    /// The connection ends: when what waits must be sent at the latest.
    pub until: Option<Tick>,
}

#[derive(Debug, Clone, Copy)]
enum Segment {
    /// So many of the bytes of `own` that no earlier segment has.
    Own(usize),
    Log(LogRange),
}

impl Outbox {
    /// How many bytes wait here.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Adds what `write` appends.
    #[inline]
    pub fn write<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.own.len();
        let result = write(&mut self.own);
        let added = self.own.len() - before;
        self.queued += added;
        self.tail += added;
        result
    }

    /// Adds a range of the log: a few nanoseconds when it follows the last one. (As a call it takes 20 more instructions.)
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured")]
    pub fn refer(&mut self, range: LogRange, log: &mut TurnLog) {
        self.queued += range.len();
        if self.tail > 0 {
            self.end_tail();
        }
        match self.segments.back_mut() {
            Some(Segment::Log(last)) if last.chunk == range.chunk && last.end == range.start => last.end = range.end,
            _ => {
                log.hold(range.chunk);
                self.segments.push_back(Segment::Log(range));
            }
        }
    }

    /// Something else comes behind our own bytes.
    #[inline(never)]
    fn end_tail(&mut self) {
        self.segments.push_back(Segment::Own(std::mem::take(&mut self.tail)));
    }

    /// All that waits, where that is one piece: after one message, or after publishes that follow each other.
    #[inline]
    pub fn whole<'a>(&'a self, log: &'a TurnLog) -> Option<&'a [u8]> {
        let own = &self.own[self.own_sent..];
        match self.segments.front() {
            None => (self.tail > 0).then_some(own),
            Some(segment) if self.segments.len() == 1 && self.tail == 0 => Some(match *segment {
                Segment::Own(_) => own,
                Segment::Log(range) => log.bytes(range),
            }),
            Some(_) => None,
        }
    }

    /// The next bytes to send, in order, at most [`MAX_SLICES`] pieces and as many as `out` takes; says how many pieces there are.
    pub fn slices<'a>(&'a self, log: &'a TurnLog, out: &mut [IoSlice<'a>]) -> usize {
        let mut own = &self.own[self.own_sent..];
        let mut count = 0;
        let tail = (self.tail > 0).then_some(Segment::Own(self.tail));
        for (slot, segment) in out.iter_mut().take(MAX_SLICES).zip(self.segments.iter().copied().chain(tail)) {
            *slot = IoSlice::new(match segment {
                Segment::Own(length) => {
                    let (piece, rest) = own.split_at(length);
                    own = rest;
                    piece
                }
                Segment::Log(range) => log.bytes(range),
            });
            count += 1;
        }
        count
    }

    /// The first `sent` bytes are with the kernel.
    #[inline]
    pub fn advance(&mut self, sent: usize, log: &mut TurnLog) {
        if sent == self.queued {
            self.forget(log);
        } else {
            self.advance_within(sent, log);
        }
    }

    fn advance_within(&mut self, mut sent: usize, log: &mut TurnLog) {
        self.queued -= sent;
        while sent > 0 {
            let Some(first) = self.segments.front_mut() else {
                self.own_sent += sent;
                self.tail -= sent;
                break;
            };
            match first {
                Segment::Own(length) => {
                    let step = sent.min(*length);
                    self.own_sent += step;
                    *length -= step;
                    sent -= step;
                    if *length > 0 {
                        break;
                    }
                }
                Segment::Log(range) => {
                    let step = sent.min(range.len());
                    range.start += step as u32;
                    sent -= step;
                    if range.len() > 0 {
                        break;
                    }
                    log.release(range.chunk);
                }
            }
            self.segments.pop_front();
        }
        self.compact();
    }

    fn compact(&mut self) {
        if self.own_sent == self.own.len() {
            self.own.clear();
            self.own_sent = 0;
        } else if self.own_sent >= 64 * 1024 && self.own_sent * 2 >= self.own.len() {
            self.own.drain(..self.own_sent);
            self.own_sent = 0;
        }
    }

    /// Drops everything that waits.
    pub fn clear(&mut self, log: &mut TurnLog) {
        self.forget(log);
        self.pong = None;
        self.until = None;
    }

    /// Lets go of what waits: it is sent, or dropped.
    #[inline]
    fn forget(&mut self, log: &mut TurnLog) {
        while let Some(segment) = self.segments.pop_front() {
            if let Segment::Log(range) = segment {
                log.release(range.chunk);
            }
        }
        self.own.clear();
        self.own_sent = 0;
        self.tail = 0;
        self.queued = 0;
    }
}

/// Empty outboxes that wait to be lent again.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    // Boxed, because a connection holds one by a pointer: lending it must move eight bytes.
    #[expect(clippy::vec_box)]
    free: Vec<Box<Outbox>>,
}

impl Shelf {
    /// How many are kept: enough for a publish to a large room to allocate nothing.
    const KEPT: usize = 8 * 1024;
    /// An outbox with more storage than this is not kept, or once there are some, than the smaller number: after a burst to a
    /// large room the many must not hold what only a few need.
    const KEPT_BYTES: usize = 16 * 1024;
    const KEPT_BYTES_OF_MANY: usize = 256;
    const MANY: usize = 64;

    #[inline]
    pub fn take(&mut self) -> Box<Outbox> {
        self.free.pop().unwrap_or_default()
    }

    #[inline]
    pub fn put(&mut self, mut outbox: Box<Outbox>) {
        debug_assert_eq!(outbox.queued, 0, "an outbox comes back empty");
        outbox.until = None;
        let most = if self.free.len() < Self::MANY { Self::KEPT_BYTES } else { Self::KEPT_BYTES_OF_MANY };
        if self.free.len() < Self::KEPT && outbox.own.capacity() <= most && outbox.segments.capacity() <= 16 {
            self.free.push(outbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, log: &mut TurnLog, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while outbox.queued() > 0 {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = outbox.slices(log, &mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            outbox.advance(bytes.len(), log);
            all.extend(bytes);
        }
        all
    }

    #[test]
    fn own_bytes_and_log_ranges_keep_their_order_at_any_split() {
        for step in 1..20 {
            let (mut outbox, mut log) = (Outbox::default(), TurnLog::default());
            outbox.write(|out| out.extend_from_slice(b"one "));
            for text in [&b"two "[..], b"three "] {
                let range = log.append(text.len(), |out| out.extend_from_slice(text));
                outbox.refer(range, &mut log);
            }
            assert_eq!(outbox.segments.len(), 2, "the second range extends the first");
            assert_eq!(outbox.tail, 0);
            outbox.write(|out| out.extend_from_slice(b"four "));
            outbox.write(|out| out.extend_from_slice(b"five"));
            assert_eq!(outbox.queued(), 23);
            assert_eq!(drain(&mut outbox, &mut log, step), b"one two three four five");
            assert!(outbox.segments.is_empty() && outbox.tail == 0 && outbox.own.is_empty());
        }
    }

    #[test]
    fn one_piece_is_whole_and_what_is_left_of_it_as_well() {
        let (mut outbox, mut log) = (Outbox::default(), TurnLog::default());
        assert_eq!(outbox.whole(&log), None);
        outbox.write(|out| out.extend_from_slice(b"own bytes"));
        assert_eq!(outbox.whole(&log), Some(&b"own bytes"[..]));
        outbox.advance(4, &mut log);
        assert_eq!(outbox.whole(&log), Some(&b"bytes"[..]));
        let range = log.append(6, |out| out.extend_from_slice(b"public"));
        outbox.refer(range, &mut log);
        assert_eq!(outbox.whole(&log), None, "two pieces");
        outbox.advance(7, &mut log);
        assert_eq!(outbox.whole(&log), Some(&b"blic"[..]));
        outbox.advance(4, &mut log);
        assert_eq!((outbox.queued(), outbox.whole(&log)), (0, None));
    }

    #[test]
    fn clearing_lets_go_of_the_log() {
        let (mut outbox, mut log) = (Outbox::default(), TurnLog::default());
        for _ in 0..10 {
            let range = log.append(1000, |out| out.resize(out.len() + 1000, 1));
            outbox.refer(range, &mut log);
        }
        outbox.clear(&mut log);
        let range = log.append(1, |out| out.push(1));
        assert_eq!(range.start, 0, "the chunk is free again");
    }
}

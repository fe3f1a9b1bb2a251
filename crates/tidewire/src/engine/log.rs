//! The turn log: what is published is framed into it once, and every subscriber's outbox refers to it.
//!
//! The log is a sequence of chunks. A range of a chunk is counted for each outbox segment that holds it; a chunk that nobody
//! holds is used again. The bytes of a chunk are only ever appended, so a range stays what it was while somebody holds it.

use std::collections::VecDeque;

/// The size of an ordinary chunk. A message that is larger gets a chunk of its own.
pub(crate) const CHUNK: usize = 64 * 1024;

/// A part of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogRange {
    pub chunk: u32,
    pub start: u32,
    pub end: u32,
}

impl LogRange {
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// A part of it, between two offsets from its beginning.
    pub fn part(&self, start: usize, end: usize) -> Self {
        Self { start: self.start + start as u32, end: self.start + end as u32, ..*self }
    }
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    holders: u32,
}

#[derive(Debug, Default)]
pub(crate) struct TurnLog {
    /// Chunks by number; `first` is the number of the one in front. A number is never used twice while anybody can hold it.
    chunks: VecDeque<Chunk>,
    first: u32,
    /// The storage of one released chunk, kept warm.
    spare: Vec<u8>,
}

impl TurnLog {
    /// Appends one message by letting `write` append to the chunk; `size` is what it will need. Nobody holds the range yet.
    pub fn append(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>)) -> LogRange {
        let fits = self.chunks.back().is_some_and(|chunk| chunk.bytes.capacity() - chunk.bytes.len() >= size);
        if !fits {
            self.open_chunk(size);
        }
        let chunk = self.first.wrapping_add(self.chunks.len() as u32 - 1);
        let Some(last) = self.chunks.back_mut() else { return LogRange { chunk, start: 0, end: 0 } };
        let start = last.bytes.len();
        write(&mut last.bytes);
        LogRange { chunk, start: start as u32, end: last.bytes.len() as u32 }
    }

    fn open_chunk(&mut self, size: usize) {
        // The open chunk that nobody holds is only in the way.
        if self.chunks.back().is_some_and(|chunk| chunk.holders == 0) {
            self.pop_back();
        }
        let mut bytes = std::mem::take(&mut self.spare);
        if bytes.capacity() < size.max(CHUNK) {
            bytes = Vec::with_capacity(size.max(CHUNK));
        }
        self.chunks.push_back(Chunk { bytes, holders: 0 });
    }

    fn pop_back(&mut self) {
        if let Some(chunk) = self.chunks.pop_back() {
            self.keep(chunk.bytes);
        }
    }

    fn keep(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() == CHUNK {
            bytes.clear();
            self.spare = bytes;
        }
    }

    fn index(&self, chunk: u32) -> usize {
        chunk.wrapping_sub(self.first) as usize
    }

    /// The bytes of a range that is held.
    #[inline]
    pub fn bytes(&self, range: LogRange) -> &[u8] {
        &self.chunks[self.index(range.chunk)].bytes[range.start as usize..range.end as usize]
    }

    /// One more segment holds the chunk.
    #[inline]
    pub fn hold(&mut self, chunk: u32) {
        let index = self.index(chunk);
        self.chunks[index].holders += 1;
    }

    /// A segment lets go of the chunk.
    pub fn release(&mut self, chunk: u32) {
        let index = self.index(chunk);
        self.chunks[index].holders -= 1;
        if self.chunks[index].holders > 0 {
            return;
        }
        if index + 1 == self.chunks.len() {
            // The open chunk: start it again, its memory is warm. Nobody can hold a range of it.
            self.chunks[index].bytes.clear();
            if self.chunks[index].bytes.capacity() > CHUNK {
                self.pop_back();
            }
        } else {
            let bytes = std::mem::take(&mut self.chunks[index].bytes);
            self.keep(bytes);
        }
        while self.chunks.len() > 1 && self.chunks.front().is_some_and(|chunk| chunk.holders == 0) {
            self.chunks.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// How many bytes of memory the chunks take.
    #[cfg(test)]
    pub fn retained(&self) -> usize {
        self.spare.capacity() + self.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(log: &mut TurnLog, text: &[u8]) -> LogRange {
        let range = log.append(text.len(), |out| out.extend_from_slice(text));
        log.hold(range.chunk);
        range
    }

    #[test]
    fn ranges_follow_each_other_and_read_back() {
        let mut log = TurnLog::default();
        let (a, b) = (add(&mut log, b"one"), add(&mut log, b"three"));
        assert_eq!((a.chunk, a.end), (b.chunk, b.start));
        assert_eq!((log.bytes(a), log.bytes(b)), (&b"one"[..], &b"three"[..]));
        log.release(a.chunk);
        assert_eq!(log.bytes(b), b"three");
        log.release(b.chunk);
        assert_eq!(add(&mut log, b"x").start, 0);
    }

    #[test]
    fn a_slow_reader_pins_its_chunk_only() {
        let mut log = TurnLog::default();
        let big = vec![7; CHUNK - 10];
        let slow = add(&mut log, &big);
        let rest: Vec<_> = (0..20).map(|_| add(&mut log, &big)).collect();
        for range in rest {
            log.release(range.chunk);
        }
        assert!(log.retained() <= 3 * CHUNK, "{} chunks", log.retained() / CHUNK);
        assert_eq!(log.bytes(slow), big);
        log.release(slow.chunk);
        assert!(log.retained() <= 2 * CHUNK);
    }

    #[test]
    fn a_large_message_has_its_own_chunk_and_gives_it_back() {
        let mut log = TurnLog::default();
        let small = add(&mut log, b"s");
        let large = add(&mut log, &vec![1; 5 * CHUNK]);
        assert_ne!(small.chunk, large.chunk);
        log.release(large.chunk);
        log.release(small.chunk);
        assert!(log.retained() <= 2 * CHUNK);
        // Numbers go on: nothing stale can be read.
        assert!(add(&mut log, b"t").chunk >= small.chunk);
    }
}

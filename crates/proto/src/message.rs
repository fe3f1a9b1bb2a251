//! A message that does not come in one piece: it spans frames, or inputs.

use std::borrow::Cow;

use crate::deflate::{Inflater, Sink};
use crate::error::PeerError;
use crate::event::Event;
use crate::frame::Opcode;
use crate::head::Open;
use crate::utf8::{Gathered, Invalid};

/// The smallest allocation for a message under way, so that a trickle of bytes does not grow it each time.
const MIN_CAPACITY: usize = 64;

/// The fragments of a message that have arrived.
#[derive(Debug)]
pub(crate) struct Message {
    body: Body,
    fragments: u32,
    /// Payload bytes that have arrived, as they came.
    arrived: usize,
    packed: Packed,
}

/// How far a compressed message is from its text or bytes.
#[derive(Debug)]
enum Packed {
    /// It is not compressed.
    Not,
    /// Its beginning, as it came, until it is whole or worth a decompressor: one that many connections share is not there
    /// for a message that may stay under way for ever.
    Waiting(Vec<u8>),
    /// It has a decompressor to itself until its end.
    Leased(Box<Inflater>),
    /// The connection has its own.
    Own,
}

/// The most of a compressed message that waits. A decompressor and its room take some 55 KiB, so a peer that begins messages and
/// does not end them makes us hold seven times what it sent, and not fifty thousand times.
const MAX_WAITING: usize = 8 * 1024;

#[derive(Debug)]
enum Body {
    Text(Gathered),
    Binary(Vec<u8>),
}

impl From<Invalid> for PeerError {
    fn from(_: Invalid) -> Self {
        Self::InvalidUtf8
    }
}

impl Message {
    /// An empty message of the kind that its first frame says; with a decompressor if that frame is compressed.
    pub(crate) fn new(opcode: Opcode, inflater: Option<&Inflater>) -> Self {
        let body = if opcode == Opcode::Text { Body::Text(Gathered::default()) } else { Body::Binary(Vec::new()) };
        let packed = match inflater {
            None => Packed::Not,
            Some(inflater) if inflater.takeover() => Packed::Own,
            Some(_) => Packed::Waiting(Vec::new()),
        };
        Self { body, fragments: 0, arrived: 0, packed }
    }

    /// What the head of the next frame is judged by.
    pub(crate) fn progress(&self) -> Open {
        Open { len: self.arrived, fragments: self.fragments, compressed: !matches!(self.packed, Packed::Not) }
    }

    /// Counts a frame whose head has arrived.
    pub(crate) fn begin_fragment(&mut self) {
        self.fragments += 1;
    }

    /// Takes payload. `to_come` is how much there will be, this piece included, if that is known; otherwise a message cannot
    /// exceed `max_message`. Both bound how far ahead of the payload the memory may run.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        to_come: Option<usize>,
        max_message: usize,
        inflater: Option<&mut Inflater>,
    ) -> Result<(), PeerError> {
        self.arrived += piece.len();
        match (&mut self.packed, inflater) {
            (Packed::Not, _) => {
                let ceiling = to_come.map_or(max_message, |to_come| self.body.len() + to_come);
                self.body.make_room(piece.len(), ceiling);
                self.body.take(piece)
            }
            (Packed::Own, Some(own)) => own.piece(piece, max_message, &mut Growing { body: &mut self.body, max_message }),
            (Packed::Leased(leased), _) => leased.piece(piece, max_message, &mut Growing { body: &mut self.body, max_message }),
            (Packed::Waiting(waiting), Some(shared)) => {
                if waiting.len() + piece.len() <= MAX_WAITING {
                    waiting.extend_from_slice(piece);
                    return Ok(());
                }
                let (waiting, mut leased) = (std::mem::take(waiting), shared.sibling());
                let mut growing = Growing { body: &mut self.body, max_message };
                leased.piece(&waiting, max_message, &mut growing)?;
                leased.piece(piece, max_message, &mut growing)?;
                self.packed = Packed::Leased(leased);
                Ok(())
            }
            // Whoever had an inflater for the first frame has it for all.
            (Packed::Own | Packed::Waiting(_), None) => Err(PeerError::ReservedBits),
        }
    }

    /// The message, once its last frame has arrived.
    pub(crate) fn finish(mut self, max_message: usize, inflater: Option<&mut Inflater>) -> Result<Event<'_>, PeerError> {
        let mut growing = Growing { body: &mut self.body, max_message };
        match (self.packed, inflater) {
            (Packed::Not, _) => {}
            (Packed::Own, Some(own)) => own.end(&mut growing)?,
            (Packed::Leased(mut leased), _) => leased.end(&mut growing)?,
            (Packed::Waiting(waiting), Some(shared)) => return shared.message(growing.body.opcode(), &waiting, max_message),
            (Packed::Own | Packed::Waiting(_), None) => return Err(PeerError::ReservedBits),
        }
        match self.body {
            Body::Text(text) => Ok(Event::Text(Cow::Owned(text.finish()?))),
            Body::Binary(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
        }
    }
}

#[cfg(test)]
impl Message {
    pub(crate) fn capacity(&self) -> usize {
        self.body.capacity()
    }
}

/// A body that grows by what is inflated.
#[cfg_attr(not(feature = "deflate"), allow(dead_code, reason = "nobody can make an inflater then"))]
struct Growing<'a> {
    body: &'a mut Body,
    max_message: usize,
}

impl Sink for Growing<'_> {
    fn len(&self) -> usize {
        self.body.len()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.body.make_room(bytes.len(), self.max_message);
        self.body.take(bytes)
    }
}

impl Body {
    fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), PeerError> {
        match self {
            Self::Text(text) => text.push(piece)?,
            Self::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Doubles, as a `Vec` does, but never beyond `ceiling`: what is held is at most the limit, and twice it while it moves.
    fn make_room(&mut self, additional: usize, ceiling: usize) {
        let (len, capacity) = (self.len(), self.capacity());
        let needed = len + additional;
        if needed <= capacity {
            return;
        }
        let target = (2 * capacity).max(MIN_CAPACITY).min(ceiling).max(needed);
        match self {
            Self::Text(text) => text.reserve_exact(target - len),
            Self::Binary(bytes) => bytes.reserve_exact(target - len),
        }
    }
}

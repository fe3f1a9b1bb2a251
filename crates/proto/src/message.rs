//! A message that does not come in one piece: it spans frames, or inputs.

use std::borrow::Cow;

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
}

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
    /// An empty message of the kind that its first frame says.
    pub(crate) fn new(opcode: Opcode) -> Self {
        let body = if opcode == Opcode::Text { Body::Text(Gathered::default()) } else { Body::Binary(Vec::new()) };
        Self { body, fragments: 0 }
    }

    /// What the head of the next frame is judged by.
    pub(crate) fn progress(&self) -> Open {
        Open { len: self.len(), fragments: self.fragments }
    }

    /// Counts a frame whose head has arrived.
    pub(crate) fn begin_fragment(&mut self) {
        self.fragments += 1;
    }

    /// Takes payload. `to_come` is how much there will be, this piece included, if that is known; otherwise a message cannot
    /// exceed `max_message`. Both bound how far ahead of the payload the memory may run.
    pub(crate) fn push(&mut self, piece: &[u8], to_come: Option<usize>, max_message: usize) -> Result<(), PeerError> {
        self.make_room(piece.len(), to_come.map_or(max_message, |to_come| self.len() + to_come));
        match &mut self.body {
            Body::Text(text) => text.push(piece)?,
            Body::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    /// The message, once its last frame has arrived.
    pub(crate) fn finish(self) -> Result<Event<'static>, PeerError> {
        match self.body {
            Body::Text(text) => Ok(Event::Text(Cow::Owned(text.finish()?))),
            Body::Binary(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
        }
    }

    fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) => bytes.len(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
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
        match &mut self.body {
            Body::Text(text) => text.reserve_exact(target - len),
            Body::Binary(bytes) => bytes.reserve_exact(target - len),
        }
    }
}

//! DEFLATE into messages.

use std::borrow::Cow;
use std::fmt;
use std::mem;

use super::codec::{self, Progress, RawInflate, Stream};
use super::{Sink, TAIL};
use crate::error::PeerError;
use crate::event::Event;
use crate::frame::Opcode;
use crate::utf8;

/// Decompresses messages of one peer, or, where none refers to another, of many.
///
/// Nothing that a peer sends makes it produce more than the limit and one byte, and after an error it is as new.
pub struct Inflater {
    /// Made for the first message: many connections never get one.
    codec: Option<Box<dyn RawInflate>>,
    make: fn() -> Box<dyn RawInflate>,
    takeover: bool,
    /// The stream stands where a message may end: at its beginning, or right behind a final block.
    at_rest: bool,
    /// Where output is made: its length is all room that there is.
    out: Vec<u8>,
    /// How many times as large as what came a message may become.
    ratio: u32,
    /// How much has come of the message that is under way.
    came: usize,
}

/// What one call of the codec makes at most, but for messages that lie whole in the input.
const CHUNK: usize = 16 * 1024;
/// A larger message is given away with its memory, which is not kept.
const KEPT: usize = 64 * 1024;
/// A message that becomes no larger than this is right, whatever it came from.
const UNJUDGED: usize = 64 * 1024;
/// What a sender has left out of a message, and an empty stored block behind it.
const END: [u8; 9] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0x00, TAIL[0], TAIL[1], TAIL[2], TAIL[3]];

impl Inflater {
    /// A decompressor of zlib-rs, for any window. With `takeover` a message may refer to those before it.
    #[must_use]
    pub fn new(takeover: bool) -> Self {
        Self::with_codec(codec::decompressor, takeover)
    }

    /// A decompressor that uses another codec, made when it is needed, whose window must be as large as the peer's may be.
    #[must_use]
    pub const fn with_codec(make: fn() -> Box<dyn RawInflate>, takeover: bool) -> Self {
        Self { codec: None, make, takeover, at_rest: true, out: Vec::new(), ratio: Self::MAX_RATIO, came: 0 }
    }

    /// The most that DEFLATE can do: 258 bytes, its longest match, from 2 bits.
    pub const MAX_RATIO: u32 = 1032;

    /// Sets how many times as large as it came a message may become, if it becomes larger than 64 KiB. One that becomes larger is
    /// [`PeerError::InflatesTooMuch`]. [`Inflater::MAX_RATIO`], which refuses nothing, until it is set.
    pub const fn limit_ratio(&mut self, ratio: u32) {
        self.ratio = ratio;
    }

    /// Lends memory to make messages in, which [`Inflater::take_room`] gives back: so that a connection's own decompressor holds none
    /// while nothing comes.
    pub fn lend_room(&mut self, room: Vec<u8>) {
        self.out = room;
    }

    /// Gives the memory back that was lent, or what has become of it.
    #[must_use]
    pub fn take_room(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// A new decompressor of zlib-rs for one message of the many that this one serves.
    pub(crate) fn sibling(&self) -> Box<Self> {
        Box::new(Self { ratio: self.ratio, ..Self::new(false) })
    }

    /// Whether messages may refer to those before them.
    #[must_use]
    pub const fn takeover(&self) -> bool {
        self.takeover
    }

    /// A message whose compressed payload is all there. It is lent from this decompressor's memory unless it is large.
    pub(crate) fn message(&mut self, opcode: Opcode, payload: &[u8], max_message: usize) -> Result<Event<'_>, PeerError> {
        let mut whole = Whole { out: mem::take(&mut self.out), len: 0, valid: 0, text: opcode == Opcode::Text };
        self.came = payload.len();
        let outcome = self.run(payload, max_message, &mut whole).and_then(|()| self.finish(&mut whole));
        if let Err(error) = outcome {
            self.reset();
            return Err(error);
        }
        let Whole { mut out, len, text, .. } = whole;
        if out.len() > KEPT {
            out.truncate(len);
            return match text {
                true => String::from_utf8(out).map(|text| Event::Text(Cow::Owned(text))).map_err(|_| PeerError::InvalidUtf8),
                false => Ok(Event::Binary(Cow::Owned(out))),
            };
        }
        self.out = out;
        let bytes = &self.out[..len];
        match text {
            true => utf8::validate(bytes).map(|text| Event::Text(Cow::Borrowed(text))).ok_or(PeerError::InvalidUtf8),
            false => Ok(Event::Binary(Cow::Borrowed(bytes))),
        }
    }

    /// The next piece of a compressed message, which goes on.
    pub(crate) fn piece(&mut self, piece: &[u8], max_message: usize, sink: &mut impl Sink) -> Result<(), PeerError> {
        self.came = self.came.saturating_add(piece.len());
        self.in_chunks(sink, |this, chunked| this.run(piece, max_message, chunked))
    }

    /// The end of a message that came in pieces.
    pub(crate) fn end(&mut self, sink: &mut impl Sink) -> Result<(), PeerError> {
        self.in_chunks(sink, |this, chunked| this.finish(chunked))
    }

    fn in_chunks<S: Sink>(
        &mut self,
        sink: &mut S,
        run: impl FnOnce(&mut Self, &mut Chunked<'_, S>) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        let mut chunk = mem::take(&mut self.out);
        if chunk.len() < CHUNK {
            chunk.resize(CHUNK, 0);
        }
        let mut chunked = Chunked { chunk, sink };
        let outcome = run(self, &mut chunked);
        self.out = chunked.chunk;
        if outcome.is_err() {
            self.reset();
        }
        outcome
    }

    /// Decompresses all of the input.
    fn run(&mut self, mut input: &[u8], max_message: usize, place: &mut impl Place) -> Result<(), PeerError> {
        let most = max_message.min(self.came.saturating_mul(self.ratio as usize).max(UNJUDGED));
        loop {
            // One more than is allowed, so that too much is seen; a place that is asked again has judged what it has.
            let room = place.room(most.saturating_sub(place.len()).saturating_add(1))?;
            let size = room.len();
            let codec = self.codec.get_or_insert_with(self.make);
            let progress = codec.inflate(input, room);
            input = &input[progress.used..];
            place.filled(progress.made)?;
            if place.len() > most {
                place.judge()?;
                return Err(if most < max_message { PeerError::InflatesTooMuch } else { PeerError::MessageTooBig });
            }
            let ended = match progress.stream {
                Stream::Open => false,
                Stream::Ended => true,
                Stream::Broken => {
                    place.judge()?;
                    return Err(PeerError::InvalidCompression);
                }
            };
            if ended {
                // What follows a final block is a new stream (as every peer on zlib has it): RFC 7692, section 7.2.3.5.
                codec.reset();
                self.at_rest = true;
            } else if progress.used > 0 {
                self.at_rest = false;
            }
            if input.is_empty() && (ended || progress.made < size) {
                return Ok(());
            }
            if progress.used == 0 && progress.made == 0 {
                place.judge()?;
                return Err(PeerError::InvalidCompression);
            }
        }
    }

    /// Appends what the sender has left out, and sees that the message ends there.
    fn finish(&mut self, place: &mut impl Place) -> Result<(), PeerError> {
        if !self.at_rest && !self.ends_a_block() {
            place.judge()?;
            return Err(PeerError::InvalidCompression);
        }
        if self.takeover {
            self.at_rest = true;
            self.came = 0;
        } else {
            self.reset();
        }
        Ok(())
    }

    /// Whether what was left out ends a block, and ends it at its last bit: so a message that was cut off is not taken for a short
    /// one. Inside a block the codec takes what is behind the end too; the head of a dynamic block would swallow any number of bytes
    /// without a word.
    fn ends_a_block(&mut self) -> bool {
        let Some(codec) = &mut self.codec else { return false };
        // For what must not come.
        let mut room = [0];
        let tail = codec.inflate_block(&END, &mut room);
        if tail.used != TAIL.len() || tail.made > 0 || tail.stream == Stream::Broken {
            return false;
        }
        // A block that ended within the last byte has left bits of it, with which an empty block is none.
        let empty = &END[TAIL.len()..];
        let mut behind = codec.inflate(empty, &mut room);
        if behind.stream == Stream::Ended && behind.used == 0 {
            // It was the length of a final stored block.
            codec.reset();
            behind = codec.inflate(empty, &mut room);
        }
        behind == Progress { used: empty.len(), made: 0, stream: Stream::Open }
    }

    /// How much memory it holds for output.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.out.capacity()
    }

    fn reset(&mut self) {
        if let Some(codec) = &mut self.codec {
            codec.reset();
        }
        self.at_rest = true;
        self.came = 0;
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("takeover", &self.takeover).finish_non_exhaustive()
    }
}

/// Where the codec writes.
trait Place {
    /// How many bytes of the message there are.
    fn len(&self) -> usize;

    /// Room for at most `wanted` bytes, at least one. What there is already is judged first.
    fn room(&mut self, wanted: usize) -> Result<&mut [u8], PeerError>;

    /// So many bytes of the room were written.
    fn filled(&mut self, made: usize) -> Result<(), PeerError>;

    /// Judges the text so far.
    fn judge(&mut self) -> Result<(), PeerError>;
}

/// A message that grows in one piece of memory. Text is judged when more of it is to come, and as a whole by whoever takes it:
/// so a message of one chunk is looked at once.
struct Whole {
    out: Vec<u8>,
    len: usize,
    /// The length of what is known to be UTF-8.
    valid: usize,
    text: bool,
}

impl Place for Whole {
    fn len(&self) -> usize {
        self.len
    }

    fn room(&mut self, wanted: usize) -> Result<&mut [u8], PeerError> {
        if self.len > 0 {
            self.judge()?;
        }
        if self.len == self.out.len() {
            let more = self.len.max(CHUNK).min(wanted.max(CHUNK));
            // Exactly: a `Vec` that doubles by itself would go far beyond the limit for its last byte.
            self.out.reserve_exact(more);
            self.out.resize(self.len + more, 0);
        }
        let end = self.out.len().min(self.len.saturating_add(wanted));
        Ok(&mut self.out[self.len..end])
    }

    fn filled(&mut self, made: usize) -> Result<(), PeerError> {
        self.len += made;
        Ok(())
    }

    fn judge(&mut self) -> Result<(), PeerError> {
        if self.text {
            self.valid += utf8::hopeful(&self.out[self.valid..self.len])?;
        }
        Ok(())
    }
}

/// A message that is gathered elsewhere, which judges what it is given.
struct Chunked<'a, S> {
    chunk: Vec<u8>,
    sink: &'a mut S,
}

impl<S: Sink> Place for Chunked<'_, S> {
    fn len(&self) -> usize {
        self.sink.len()
    }

    fn room(&mut self, wanted: usize) -> Result<&mut [u8], PeerError> {
        let end = self.chunk.len().min(wanted);
        Ok(&mut self.chunk[..end])
    }

    fn filled(&mut self, made: usize) -> Result<(), PeerError> {
        self.sink.push(&self.chunk[..made])
    }

    fn judge(&mut self) -> Result<(), PeerError> {
        Ok(())
    }
}

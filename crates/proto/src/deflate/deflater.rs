//! Messages into DEFLATE.

use std::fmt;
use std::mem;

use super::TAIL;
use super::codec::{self, RawDeflate, Stream};
use super::whole::Whole;
use crate::extension::Direction;

/// Compresses messages for one peer, or, where none refers to another, for many.
///
/// ```
/// use tidewire_proto::deflate::{Deflater, Inflater};
/// use tidewire_proto::extension::Direction;
///
/// let mut deflater = Deflater::new(Direction::TAKEOVER, Deflater::DEFAULT_LEVEL);
/// let first = deflater.message(b"to be or not to be").map(<[u8]>::len);
/// let second = deflater.message(b"to be or not to be").map(<[u8]>::len);
/// assert!(second < first, "the second refers to the first");
/// ```
pub struct Deflater {
    codec: Box<dyn RawDeflate>,
    takeover: bool,
    /// The codec holds something of a message, so the next one may refer to it.
    dirty: bool,
    /// Where messages are made: its length is all room that there is, so that it is zeroed once and not for each message.
    out: Vec<u8>,
}

impl Deflater {
    /// zlib's own default.
    pub const DEFAULT_LEVEL: i32 = 6;

    /// Room that is kept between messages.
    const KEPT: usize = 64 * 1024;

    /// A compressor of zlib-rs for one direction, with a level of 1 (fast) to 9 (small).
    #[must_use]
    pub fn new(direction: Direction, level: i32) -> Self {
        Self::with_codec(codec::compressor(level.clamp(1, 9), direction.window_bits), direction.takeover)
    }

    /// A compressor for messages by themselves, of at most [`Deflater::MAX_WHOLE`] bytes: a longer one is made into nothing. Its
    /// matches stay inside a window of 2^`window_bits` bytes.
    #[must_use]
    pub fn whole(window_bits: u8) -> Self {
        Self::with_codec(Box::new(Whole::new(window_bits)), false)
    }

    /// The longest message for [`Deflater::whole`].
    pub const MAX_WHOLE: usize = Whole::MAX_INPUT;

    /// A compressor that uses another codec, whose distances must stay inside the window that was agreed on.
    #[must_use]
    pub fn with_codec(codec: Box<dyn RawDeflate>, takeover: bool) -> Self {
        Self { codec, takeover, dirty: false, out: Vec::new() }
    }

    /// Lends memory to make messages in, which [`Deflater::take_room`] gives back: so that a connection's own compressor holds none
    /// while nothing comes.
    pub fn lend_room(&mut self, room: Vec<u8>) {
        self.out = room;
    }

    /// Gives the memory back that was lent, or what has become of it.
    #[must_use]
    pub fn take_room(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// The next message refers to nothing before it: the peer's window holds something that this compressor does not know.
    pub fn restart(&mut self) {
        if self.dirty {
            self.codec.reset();
            self.dirty = false;
        }
    }

    /// The payload of a message, compressed (RFC 7692, section 7.2.1).
    ///
    /// With context takeover it must be sent: later messages refer to it. `None` when the codec fails, which a working one
    /// never does: the message goes as it is then.
    pub fn message(&mut self, payload: &[u8]) -> Option<&[u8]> {
        if payload.is_empty() {
            // An empty stored block less the tail (section 7.2.3.6). The codec would flush nothing twice in a row.
            return Some(&[0]);
        }
        if !self.takeover {
            self.restart();
        }
        self.dirty = true;
        let made = self.compress(payload);
        if made.is_none() {
            self.restart();
        }
        self.out.get(..made?)
    }

    /// Compresses into `out`; the length without the tail.
    fn compress(&mut self, payload: &[u8]) -> Option<usize> {
        if self.out.len() > Self::KEPT {
            self.out = Vec::new();
        }
        // Text that does not compress grows by an eighth at most (fixed codes of nine bits), and the flush adds a few bytes.
        self.make_room(payload.len() + payload.len() / 8 + 64);
        let (mut used, mut made) = (0, 0);
        loop {
            let progress = self.codec.deflate(&payload[used..], &mut self.out[made..]);
            if progress.stream != Stream::Open {
                return None;
            }
            used += progress.used;
            made += progress.made;
            if made < self.out.len() {
                break;
            }
            self.make_room(2 * self.out.len());
        }
        debug_assert_eq!(used, payload.len(), "a codec that leaves room has taken everything");
        self.out[..made].ends_with(&TAIL).then(|| made - TAIL.len())
    }

    fn make_room(&mut self, room: usize) {
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("takeover", &self.takeover).field("dirty", &self.dirty).finish_non_exhaustive()
    }
}

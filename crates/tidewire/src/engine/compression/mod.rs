//! Compression as the engine does it: what each connection has agreed on, whose compressor makes its messages, and the
//! compressors that a worker's connections share. The negotiation and the codec are proto's.
//!
//! | | shared | dedicated, or a size |
//! |---|---|---|
//! | refers to | nothing before the message | the connection's earlier messages |
//! | memory | one compressor for each window on a worker, one decompressor | each connection its own, made when first used |
//! | answer | `server_no_context_takeover`, `client_no_context_takeover` | neither, unless the client asks |
//! | a publish | is compressed once, for all | the same bytes; the connection's own compressor restarts |

#[cfg(feature = "deflate")]
mod options;
#[cfg(feature = "zlib")]
mod small;

use tidewire_proto::deflate::{Deflater, Inflater};
use tidewire_proto::extension::{Agreement, Direction, MAX_WINDOW_BITS, MIN_WINDOW_BITS};

use super::options::Options;

#[cfg(feature = "deflate")]
pub use options::{Compressor, Deflate, ParseCompressorError};

/// Whether a message is compressed, where that was agreed on.
///
/// As in Bun 1.4.5, `send` and a socket's `publish` do not compress unless they are asked to, and a server's `publish` does
/// unless it is asked not to. A message under [`compression_threshold`](super::Options::compression_threshold), or one that a
/// shared compressor makes no smaller, goes as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compress {
    /// As it is.
    No,
    /// Compressed.
    Yes,
}

impl From<bool> for Compress {
    fn from(compress: bool) -> Self {
        if compress { Self::Yes } else { Self::No }
    }
}

/// How a connection's messages travel. Four bytes, since every connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Compression {
    pub send: Way,
    pub receive: Way,
}

/// How the messages of one direction are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Way {
    /// Not at all.
    #[default]
    Plain,
    /// By the worker's, within a window of so many bits.
    Shared(u8),
    /// By the connection's own, within a window of so many bits.
    Own(u8),
}

/// What a connection keeps from message to message, if it does.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    pub deflater: Option<Box<Deflater>>,
    pub inflater: Option<Box<Inflater>>,
}

impl Compression {
    /// What follows from an agreement, for an endpoint that compresses what it sends or does not.
    pub fn agreed(agreement: &Agreement, compresses: bool) -> Self {
        let way = |direction: Direction| match direction.takeover {
            true => Way::Own(direction.window_bits),
            false => Way::Shared(direction.window_bits),
        };
        Self { send: if compresses { way(agreement.send) } else { Way::Plain }, receive: way(agreement.receive) }
    }
}

/// Names one compressed form of a message: that for windows of so many bits.
///
/// A distance is always shorter than the message that it lies in. So a message of up to 2^bits bytes, compressed by itself in
/// the largest window, suits a window of `bits`: small messages have one form, whatever was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    window_bits: u8,
    size: Size,
}

impl Form {
    pub fn of(payload: usize, window_bits: u8) -> Self {
        let window_bits = if payload <= 1 << window_bits { MAX_WINDOW_BITS } else { window_bits };
        Self { window_bits, size: Size::of(payload) }
    }

    /// A place in a list of [`FORMS`]. Those of one message are not of two sizes.
    pub fn index(self) -> usize {
        usize::from(self.window_bits - MIN_WINDOW_BITS)
    }
}

/// Which compressor suits a message by itself: one that knows it to be a whole message, up to the largest that it takes, and zlib-rs
/// above that.
///
/// Measured, microseconds and bytes (`bench/codecs`); the bytes of level 6 are also what Bun 1.4.5 sends:
///
/// | | JSON 64 | 256 | 1 KiB | 4 KiB | 16 KiB | text 1 KiB | 4 KiB | 16 KiB |
/// |---|---|---|---|---|---|---|---|---|
/// | **ours** | 0.87, 63 | 1.37, 111 | 2.27, 250 | 5.2, 790 | 15, 2919 | 3.9, 528 | 11, 1971 | 34, 7331 |
/// | C zlib, level 1 | 2.02, 62 | 2.72, 115 | 3.54, 258 | 7.0, 842 | 22, 3312 | 5.5, 545 | 15, 2042 | 48, 7542 |
/// | the same, small tables | 1.70, 62 | 2.48, 115 | 3.35, 258 | 7.0, 842 | 29, 3165 | 5.3, 545 | 15, 2048 | 111, 7795 |
/// | zlib-rs, level 1 | 1.34, 63 | 1.56, 121 | 2.28, 339 | 5.1, 1169 | 16, 4279 | 3.5, 730 | 10, 2753 | 35, 9850 |
/// | level 2 | 3.52, 63 | 4.47, 111 | 5.74, 254 | 10, 797 | 27, 2962 | 8.2, 529 | 19, 1962 | 54, 7185 |
/// | level 6 | 3.57, 63 | 4.68, 112 | 6.70, 247 | 14, 762 | 48, 2790 | 9.2, 523 | 23, 1920 | 87, 6823 |
///
/// The same message again and again, which flatters those whose branches a processor can learn. With 64 different ones in turn 1 KiB of
/// JSON takes ours 2.8 and C zlib with small tables 6.6, of text 6.5 and 17.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Whole,
    Large,
}

impl Size {
    /// How many there are.
    const COUNT: usize = 2;

    const fn of(payload: usize) -> Self {
        if payload <= Deflater::MAX_WHOLE { Self::Whole } else { Self::Large }
    }
}

/// How many forms there are.
pub(crate) const FORMS: usize = (MAX_WINDOW_BITS - MIN_WINDOW_BITS + 1) as usize;

/// zlib's memory level for compressors that a worker's connections share, when a level was asked for: its default.
#[cfg(feature = "deflate")]
const SHARED_MEMORY: u8 = 8;

/// A worker's compressors, one for each form that was needed so far, and its decompressor; and how all compressors are made.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    level: i32,
    /// zlib's memory level for compressors of a connection's own.
    memory_level: u8,
    deflaters: [[Option<Box<Deflater>>; FORMS]; Size::COUNT],
    inflater: Option<Box<Inflater>>,
    /// What connections' own compressors and decompressors make their messages in, one at a time.
    pub room: Room,
}

/// Memory that is lent.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub deflate: Vec<u8>,
    pub inflate: Vec<u8>,
}

impl Shared {
    /// Compressors made from now on are made so.
    pub fn configure(&mut self, options: &Options) {
        if self.level != options.compression_level {
            self.deflaters = Default::default();
        }
        self.level = options.compression_level;
        self.memory_level = options.memory_level();
    }

    /// A compressor of a connection's own.
    pub fn own_deflater(&self, window_bits: u8) -> Option<Box<Deflater>> {
        new_deflater(Direction { takeover: true, window_bits }, self.level, self.memory_level)
    }

    /// Takes the compressor for a form out, made now if there was none; [`Shared::put_deflater`] gives it back.
    pub fn take_deflater(&mut self, form: Form) -> Option<Box<Deflater>> {
        let level = self.level;
        self.deflaters[form.size as usize][form.index()].take().or_else(|| shared_deflater(form, level))
    }

    pub fn put_deflater(&mut self, form: Form, deflater: Box<Deflater>) {
        self.deflaters[form.size as usize][form.index()] = Some(deflater);
    }

    /// Takes the decompressor out, while events are dispatched that borrow from it.
    pub fn take_inflater(&mut self) -> Option<Box<Inflater>> {
        self.inflater.take().or_else(|| new_inflater(false))
    }

    pub fn put_inflater(&mut self, inflater: Box<Inflater>) {
        self.inflater = Some(inflater);
    }
}

/// A decompressor of a connection's own. zlib's is as small as the window; zlib-rs' always has the largest.
pub(crate) fn own_inflater(window_bits: u8) -> Option<Box<Inflater>> {
    #[cfg(feature = "zlib")]
    if window_bits < MAX_WINDOW_BITS {
        return Some(Box::new(small::inflater(window_bits)));
    }
    let _ = window_bits;
    new_inflater(true)
}

/// A compressor for messages by themselves.
#[cfg(feature = "deflate")]
fn shared_deflater(form: Form, level: i32) -> Option<Box<Deflater>> {
    let direction = Direction { takeover: false, window_bits: form.window_bits };
    match form.size {
        Size::Whole if level == 0 => Some(Box::new(Deflater::whole(form.window_bits))),
        Size::Whole => new_deflater(direction, level, SHARED_MEMORY),
        Size::Large => Some(rust_deflater(direction, level)),
    }
}

#[cfg(feature = "deflate")]
fn rust_deflater(direction: Direction, level: i32) -> Box<Deflater> {
    Box::new(Deflater::new(direction, if level == 0 { 2 } else { level }))
}

/// A compressor that is called again and again: of C zlib where that is there, which takes no more memory than its window needs, and for
/// one message by itself less time (zlib-rs clears 128 KiB of its memory before each).
#[cfg(feature = "zlib")]
fn new_deflater(direction: Direction, level: i32, memory_level: u8) -> Option<Box<Deflater>> {
    match small::deflater(direction, if level == 0 { 1 } else { level }, memory_level) {
        Some(zlib) => Some(Box::new(zlib)),
        None => Some(rust_deflater(direction, level)),
    }
}

#[cfg(all(feature = "deflate", not(feature = "zlib")))]
fn new_deflater(direction: Direction, level: i32, _: u8) -> Option<Box<Deflater>> {
    Some(rust_deflater(direction, level))
}

#[cfg(feature = "deflate")]
fn new_inflater(takeover: bool) -> Option<Box<Inflater>> {
    Some(Box::new(Inflater::new(takeover)))
}

/// Nothing is ever agreed on without the feature.
#[cfg(not(feature = "deflate"))]
fn shared_deflater(_: Form, _: i32) -> Option<Box<Deflater>> {
    None
}

#[cfg(not(feature = "deflate"))]
fn new_deflater(_: Direction, _: i32, _: u8) -> Option<Box<Deflater>> {
    None
}

#[cfg(not(feature = "deflate"))]
fn new_inflater(_: bool) -> Option<Box<Inflater>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_have_one_form() {
        for bits in MIN_WINDOW_BITS..=MAX_WINDOW_BITS {
            assert_eq!(Form::of(256, bits).window_bits, 15);
            assert_eq!(Form::of((1 << bits) + 1, bits).window_bits, bits);
            assert!(Form::of(1 << 20, bits).index() < FORMS);
        }
    }

    /// What the windows hold is shown from outside, by the contract's behaviour 24.
    #[cfg(feature = "zlib")]
    #[test]
    fn every_size_has_a_compressor_that_is_kept_for_the_next() {
        use std::ptr::from_ref;

        let text: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut shared = Shared::default();
        for size in [64, 2048, 16_385, Deflater::MAX_WHOLE, Deflater::MAX_WHOLE + 1, 2 * Deflater::MAX_WHOLE] {
            for bits in MIN_WINDOW_BITS..=MAX_WINDOW_BITS {
                let form = Form::of(size, bits);
                let mut deflater = shared.take_deflater(form).unwrap();
                let packed = [deflater.message(&text[..size]).unwrap(), &[0x00, 0x00, 0xff, 0xff]].concat();
                let mut inflated = vec![0; size + 1];
                let step = tidewire_sys::zlib::Decompressor::new(15).unwrap().decompress(&packed, &mut inflated);
                assert_eq!((step.made, &inflated[..size]), (size, &text[..size]), "{size} bytes in a window of {bits} bits");
                let address = from_ref(&*deflater);
                shared.put_deflater(form, deflater);
                assert_eq!(shared.take_deflater(form).map(|again| from_ref(&*again)), Some(address));
            }
        }
    }

    #[test]
    fn every_connection_has_one_so_it_is_small() {
        assert_eq!(size_of::<Compression>(), 4);
    }
}

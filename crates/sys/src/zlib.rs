//! C zlib (feature `zlib`): raw DEFLATE with windows and memory as small as they are asked for.
//!
//! A compressor takes 2^(window bits + 2) + 2^(memory level + 9) bytes and some 6 KB of tables, a decompressor 2^(window bits) and some
//! 7 KB, which zlib itself allocates. Who wants speed and has memory uses another codec; this room knows no WebSocket.

use std::mem::MaybeUninit;
use std::ptr;

use libz_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_OK, Z_STREAM_END, Z_SYNC_FLUSH, deflate, deflateEnd, deflateInit2_,
    deflateReset, inflate, inflateEnd, inflateInit2_, inflateReset, uInt, z_stream, zlibVersion,
};

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes taken from the input.
    pub used: usize,
    /// Bytes written to the output.
    pub made: usize,
    /// What zlib says.
    pub outcome: Outcome,
}

/// What zlib says after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Open,
    /// A final block has ended the stream.
    Ended,
    /// The data are no DEFLATE stream.
    Broken,
}

/// zlib's state. It is boxed and never moves: zlib keeps its address.
type Stream = Box<MaybeUninit<z_stream>>;

/// A stream as `deflateInit2` and `inflateInit2` expect it: all null, which asks for zlib's own allocator.
fn blank() -> Stream {
    Box::new(MaybeUninit::zeroed())
}

const SIZE: i32 = size_of::<z_stream>() as i32;

/// A compressor.
#[derive(Debug)]
pub struct Compressor(Stream);

// SAFETY: zlib keeps no state of a stream's outside of that stream and of what it has allocated for it, which nobody else points to;
// it may be used from any thread, by one at a time.
unsafe impl Send for Compressor {}

impl Compressor {
    /// A compressor with a level of 1 (fast) to 9 (small), a window of 2^`window_bits` bytes (9 to 15), and a memory level of 1 to 9.
    /// `None` when a value is out of its range, or there is no memory.
    #[must_use]
    pub fn new(level: i32, window_bits: u8, memory_level: u8) -> Option<Self> {
        if !(9..=15).contains(&window_bits) {
            // zlib would take 8 for 9, and negative or larger values for other formats.
            return None;
        }
        let mut stream = blank();
        // SAFETY: the stream is zeroed as zlib wants it, lives in a box until it is dropped, and zlib is told its true size and
        // the version whose header it was built with. zlib checks all other arguments.
        let code = unsafe {
            let (bits, memory) = (-i32::from(window_bits), i32::from(memory_level));
            deflateInit2_(stream.as_mut_ptr(), level, Z_DEFLATED, bits, memory, Z_DEFAULT_STRATEGY, zlibVersion(), SIZE)
        };
        (code == Z_OK).then_some(Self(stream))
    }

    /// Begins a new stream.
    pub fn reset(&mut self) {
        // SAFETY: the stream was initialised by `deflateInit2_`, and has not ended.
        unsafe { deflateReset(self.0.as_mut_ptr()) };
    }

    /// Compresses with a sync flush. When the output is not filled, all of the input is in it.
    pub fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        // SAFETY: the stream was initialised by `deflateInit2_`, and has not ended.
        unsafe { step(&mut self.0, input, output, |stream| deflate(stream, Z_SYNC_FLUSH)) }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised by `deflateInit2_`, and this is the last use of it.
        unsafe { deflateEnd(self.0.as_mut_ptr()) };
    }
}

/// A decompressor.
#[derive(Debug)]
pub struct Decompressor(Stream);

// SAFETY: as of a compressor.
unsafe impl Send for Decompressor {}

impl Decompressor {
    /// A decompressor with a window of 2^`window_bits` bytes (8 to 15), which is allocated when it is needed. `None` when the
    /// value is out of its range, or there is no memory.
    #[must_use]
    pub fn new(window_bits: u8) -> Option<Self> {
        if !(8..=15).contains(&window_bits) {
            return None;
        }
        let mut stream = blank();
        // SAFETY: as for the compressor.
        let code = unsafe { inflateInit2_(stream.as_mut_ptr(), -i32::from(window_bits), zlibVersion(), SIZE) };
        (code == Z_OK).then_some(Self(stream))
    }

    /// Begins a new stream.
    pub fn reset(&mut self) {
        // SAFETY: the stream was initialised by `inflateInit2_`, and has not ended.
        unsafe { inflateReset(self.0.as_mut_ptr()) };
    }

    /// Decompresses until the input is used, the output is filled, or the stream ends.
    pub fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        // SAFETY: the stream was initialised by `inflateInit2_`, and has not ended.
        unsafe { step(&mut self.0, input, output, |stream| inflate(stream, Z_SYNC_FLUSH)) }
    }

    /// The same, but no further than to the end of a block: what is behind it is not taken. A call at the end of a block goes to the
    /// end of the next one.
    pub fn decompress_block(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        // SAFETY: the stream was initialised by `inflateInit2_`, and has not ended.
        unsafe { step(&mut self.0, input, output, |stream| inflate(stream, Z_BLOCK)) }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised by `inflateInit2_`, and this is the last use of it.
        unsafe { inflateEnd(self.0.as_mut_ptr()) };
    }
}

/// Makes one call with an input and an output.
///
/// # Safety
/// The stream must be initialised for `call`.
unsafe fn step(stream: &mut Stream, input: &[u8], output: &mut [u8], call: impl FnOnce(*mut z_stream) -> i32) -> Step {
    // zlib counts in 32 bits. Who has more calls again.
    let available = |length: usize| uInt::try_from(length).unwrap_or(uInt::MAX);
    let (given, room) = (available(input.len()), available(output.len()));
    let stream = stream.as_mut_ptr();
    // SAFETY: the pointer is to the box's own memory, all of whose fields `blank` has zeroed and zlib has set since. The input
    // and the output live longer than the call, are as long as zlib is told, and zlib never writes to the input. No reference
    // to the stream is made, because its function pointers may be null.
    unsafe {
        (*stream).next_in = input.as_ptr().cast_mut();
        (*stream).avail_in = given;
        (*stream).next_out = output.as_mut_ptr();
        (*stream).avail_out = room;
        let code = call(stream);
        let (used, made) = (given - (*stream).avail_in, room - (*stream).avail_out);
        (*stream).next_in = ptr::null_mut();
        (*stream).next_out = ptr::null_mut();
        let outcome = match code {
            Z_OK | Z_BUF_ERROR => Outcome::Open,
            Z_STREAM_END => Outcome::Ended,
            _ => Outcome::Broken,
        };
        Step { used: used as usize, made: made as usize, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(compressor: &mut Compressor, text: &[u8]) -> Vec<u8> {
        let mut out = vec![0; text.len() + 1000];
        let step = compressor.compress(text, &mut out);
        assert_eq!((step.used, step.outcome), (text.len(), Outcome::Open));
        out.truncate(step.made);
        out
    }

    #[test]
    fn what_is_compressed_is_decompressed_in_every_window() {
        let text = b"to be or not to be, that is the question; ".repeat(100);
        for bits in 9..=15 {
            for memory in 1..=9 {
                let (mut there, mut back) = (Compressor::new(6, bits, memory).unwrap(), Decompressor::new(bits).unwrap());
                for round in 0..3 {
                    let packed = compress(&mut there, &text);
                    let mut out = vec![0; text.len() + 1];
                    let step = back.decompress(&packed, &mut out);
                    assert_eq!((step.used, step.made, step.outcome), (packed.len(), text.len(), Outcome::Open));
                    assert_eq!(out[..text.len()], text);
                    if round == 1 {
                        there.reset();
                        back.reset();
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert!(Compressor::new(6, 8, 8).is_none() && Compressor::new(6, 16, 8).is_none());
        assert!(
            Compressor::new(6, 15, 0).is_none() && Compressor::new(6, 15, 10).is_none() && Compressor::new(10, 15, 8).is_none()
        );
        assert!(Decompressor::new(7).is_none() && Decompressor::new(16).is_none());
    }

    #[test]
    fn blocks_end_where_they_end() {
        let mut back = Decompressor::new(15).unwrap();
        let mut out = [0; 16];
        // "Hello" in a fixed block, then two empty stored ones and half of a third.
        let blocks = b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff\x00\x00";
        let mut at = 0;
        for (used, made) in [(7, 5), (4, 0), (5, 0), (2, 0)] {
            let step = back.decompress_block(&blocks[at..], &mut out);
            assert_eq!(step, Step { used, made, outcome: Outcome::Open }, "at {at}");
            at += used;
        }
        assert_eq!(at, blocks.len());
    }

    #[test]
    fn ends_and_errors_are_told_and_output_is_not_overrun() {
        let mut back = Decompressor::new(15).unwrap();
        let mut out = [0; 16];
        let step = back.decompress(b"\xf3\x48\xcd\xc9\xc9\x07\x00rest", &mut out);
        assert_eq!((step, &out[..5]), (Step { used: 7, made: 5, outcome: Outcome::Ended }, &b"Hello"[..]));
        back.reset();
        assert_eq!(back.decompress(b"\xff\xff", &mut out).outcome, Outcome::Broken);
        back.reset();
        let long = compress(&mut Compressor::new(6, 15, 8).unwrap(), &[7; 1000]);
        assert_eq!(back.decompress(&long, &mut out[..10]).made, 10);
        assert_eq!(out[10..], [0; 6]);
    }
}

//! DEFLATE itself, as [`Deflater`](super::Deflater) and [`Inflater`](super::Inflater) use it: zlib-rs, or what the caller brings
//! (C zlib keeps honest small windows, and its calls are not for this crate).

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use crate::extension::MAX_WINDOW_BITS;

/// How far one call of a codec came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the input.
    pub used: usize,
    /// Bytes written to the output.
    pub made: usize,
    /// Whether it goes on from here.
    pub stream: Stream,
}

/// Where a stream stands after a call of its codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// It goes on.
    Open,
    /// A final block has ended it. The codec is to be reset before more input.
    Ended,
    /// The data, or the codec, are broken; what was made before that counts. The codec is to be reset.
    Broken,
}

/// A raw DEFLATE compressor (RFC 1951, without header or checksum).
pub trait RawDeflate: Send {
    /// Begins a new stream, which refers to nothing before it.
    fn reset(&mut self);

    /// Compresses input with a sync flush: when the output is not filled, all input is in it, and it ends in an empty stored
    /// block. When it is filled, there is more; call again with the rest.
    fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress;
}

/// A raw DEFLATE decompressor with a window of 2^15 bytes, or of as many as the peer has promised.
pub trait RawInflate: Send {
    /// Begins a new stream.
    fn reset(&mut self);

    /// Decompresses until the input is used, the output is filled, or the stream ends.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress;

    /// The same, but no further than to the end of a block (`Z_BLOCK` of zlib): what is behind it is not taken. A call at the end
    /// of a block goes to the end of the next one.
    fn inflate_block(&mut self, input: &[u8], output: &mut [u8]) -> Progress;
}

/// A compressor of zlib-rs. With 8 bits, that of 9 bits: zlib's distances stay 262 bytes short of the window, so what it
/// makes fits (and zlib-rs panics on 8). The test of distances holds us to it.
pub(super) fn compressor(level: i32, window_bits: u8) -> Box<dyn RawDeflate> {
    let bits = window_bits.clamp(9, MAX_WINDOW_BITS);
    let config = DeflateConfig { level, window_bits: -i32::from(bits), ..DeflateConfig::default() };
    Box::new(Deflate::new_with_config(config))
}

/// A decompressor of zlib-rs: always for the largest window, which reads every smaller one.
pub(super) fn decompressor() -> Box<dyn RawInflate> {
    Box::new(Inflate::new(false, MAX_WINDOW_BITS))
}

impl RawDeflate for Deflate {
    fn reset(&mut self) {
        Self::reset(self);
    }

    fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let (used, made) = (self.total_in(), self.total_out());
        let stream = match self.compress(input, output, DeflateFlush::SyncFlush) {
            Ok(_) => Stream::Open,
            Err(_) => Stream::Broken,
        };
        Progress { used: (self.total_in() - used) as usize, made: (self.total_out() - made) as usize, stream }
    }
}

impl RawInflate for Inflate {
    fn reset(&mut self) {
        Self::reset(self, false);
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        decompress(self, input, output, InflateFlush::SyncFlush)
    }

    fn inflate_block(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        decompress(self, input, output, InflateFlush::Block)
    }
}

fn decompress(codec: &mut Inflate, input: &[u8], output: &mut [u8], flush: InflateFlush) -> Progress {
    let (used, made) = (codec.total_in(), codec.total_out());
    let stream = match codec.decompress(input, output, flush) {
        Ok(Status::StreamEnd) => Stream::Ended,
        Ok(_) => Stream::Open,
        Err(_) => Stream::Broken,
    };
    Progress { used: (codec.total_in() - used) as usize, made: (codec.total_out() - made) as usize, stream }
}

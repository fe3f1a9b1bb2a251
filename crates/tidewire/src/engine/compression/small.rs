//! C zlib as proto's codec (feature `zlib`): compressors, and decompressors with small windows.

use tidewire_proto::deflate::{Deflater, Inflater, Progress, RawDeflate, RawInflate, Stream};
use tidewire_proto::extension::Direction;
use tidewire_sys::zlib::{Compressor, Decompressor, Outcome, Step};

struct Small<T>(T);

/// A compressor; `None` when there is no memory. A window of 8 bits is that of 9: zlib's distances stay 262 bytes short of the
/// window.
pub(super) fn deflater(direction: Direction, level: i32, memory_level: u8) -> Option<Deflater> {
    let compressor = Compressor::new(level.clamp(1, 9), direction.window_bits.clamp(9, 15), memory_level.clamp(1, 9))?;
    Some(Deflater::with_codec(Box::new(Small(compressor)), direction.takeover))
}

/// A decompressor with context takeover, for a peer that has promised to stay inside the window.
pub(super) fn inflater(window_bits: u8) -> Inflater {
    const MAKE: [fn() -> Box<dyn RawInflate>; 7] =
        [make::<8>, make::<9>, make::<10>, make::<11>, make::<12>, make::<13>, make::<14>];
    let place = usize::from(window_bits.clamp(8, 14) - 8);
    Inflater::with_codec(MAKE[place], true)
}

fn make<const BITS: u8>() -> Box<dyn RawInflate> {
    Box::new(Small(Decompressor::new(BITS)))
}

fn progress(step: Step) -> Progress {
    let stream = match step.outcome {
        Outcome::Open => Stream::Open,
        Outcome::Ended => Stream::Ended,
        Outcome::Broken => Stream::Broken,
    };
    Progress { used: step.used, made: step.made, stream }
}

impl RawDeflate for Small<Compressor> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        progress(self.0.compress(input, output))
    }
}

/// `None`: there was no memory for it. Then every message is broken, and costs its connection.
impl RawInflate for Small<Option<Decompressor>> {
    fn reset(&mut self) {
        if let Some(decompressor) = &mut self.0 {
            decompressor.reset();
        }
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        match &mut self.0 {
            Some(decompressor) => progress(decompressor.decompress(input, output)),
            None => NO_MEMORY,
        }
    }

    fn inflate_block(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        match &mut self.0 {
            Some(decompressor) => progress(decompressor.decompress_block(input, output)),
            None => NO_MEMORY,
        }
    }
}

const NO_MEMORY: Progress = Progress { used: 0, made: 0, stream: Stream::Broken };

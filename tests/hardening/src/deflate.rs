//! DEFLATE (RFC 1951) as the tests need it: a reader that looks at how a stream refers back, and streams made by C zlib.

use flate2::{Compress, Compression, FlushCompress};

/// What every message ends in, and what is not sent of it (RFC 7692, section 7.2.1).
pub const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses messages with C zlib: level 0 stores. Each refers to nothing before it, but for what one call is given.
///
/// # Panics
/// When zlib fails, which it does not.
#[must_use]
#[allow(clippy::expect_used, reason = "a test from end to end: what goes wrong has to be loud")]
pub fn zlib(level: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + payload.len() / 8 + 1000];
    let mut zlib = Compress::new(Compression::new(level), false);
    zlib.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate(zlib.total_out() as usize);
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// What a stream does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The bytes that it stands for.
    pub len: usize,
    /// The farthest that it refers back.
    pub distance: usize,
    /// How far it refers back before its own first byte.
    pub before: usize,
}

/// Reads a message less its tail, and says how far it reaches. A plain reader of the RFC's text, slow and without tables.
///
/// # Panics
/// When it is no DEFLATE stream that ends at the end of a block.
#[must_use]
pub fn reach(message: &[u8]) -> Reach {
    let bytes = [message, &TAIL].concat();
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let mut reach = Reach::default();
    while bits.at < 8 * bytes.len() {
        let _last = bits.take(1);
        match bits.take(2) {
            0 => stored(&mut bits, &mut reach),
            1 => {
                let literals: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    })
                    .collect();
                block(&mut bits, &Code::new(&literals), &Code::new(&[5; 30]), &mut reach);
            }
            2 => {
                let (literals, distances) = codes(&mut bits);
                block(&mut bits, &literals, &distances, &mut reach);
            }
            _ => panic!("section 3.2.3: a reserved type of block"),
        }
    }
    reach
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, place| value | self.bit() << place)
    }

    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }
}

/// A canonical code (section 3.2.2).
struct Code {
    /// Symbols by length, then by value.
    symbols: Vec<usize>,
    counts: [usize; 16],
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[usize::from(*length)] += 1);
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| (lengths[*symbol], *symbol));
        Self { symbols, counts }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("section 3.2.2: no such code");
    }
}

fn stored(bits: &mut Bits<'_>, reach: &mut Reach) {
    bits.at = bits.at.next_multiple_of(8);
    let (len, complement) = (bits.take(16), bits.take(16));
    assert_eq!(len ^ 0xffff, complement, "section 3.2.4: the length of a stored block");
    bits.at += 8 * len;
    reach.len += len;
}

/// The codes of a dynamic block (section 3.2.7).
fn codes(bits: &mut Bits<'_>) -> (Code, Code) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, count) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut lengths = [0; 19];
    ORDER[..count].iter().for_each(|place| lengths[*place] = bits.take(3) as u8);
    let code = Code::new(&lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits) {
            16 => (*lengths.last().unwrap_or(&0), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
}

/// The symbols of a block (section 3.2.5).
fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code, reach: &mut Reach) {
    const LENGTHS: [usize; 29] =
        [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
    loop {
        let symbol = literals.read(bits);
        match symbol {
            0..=255 => reach.len += 1,
            256 => return,
            _ => {
                let place = symbol - 257;
                let extra = if place < 8 || place == 28 { 0 } else { place / 4 - 1 };
                let len = LENGTHS[place] + bits.take(extra);
                let code = distances.read(bits);
                let distance = match code {
                    0..=3 => code + 1,
                    _ => ((2 + code % 2) << (code / 2 - 1)) + 1 + bits.take(code / 2 - 1),
                };
                reach.distance = reach.distance.max(distance);
                reach.before = reach.before.max(distance.saturating_sub(reach.len));
                reach.len += len;
            }
        }
    }
}

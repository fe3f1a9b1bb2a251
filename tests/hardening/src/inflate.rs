//! DEFLATE (RFC 1951) read bit by bit, without tables, and what RFC 7692 makes of it: a second opinion on compressed messages, and
//! how far they refer back. It is as strict as zlib: incomplete codes are none, but for one of a single bit.

use tidewire_proto::PeerError;

use crate::deflate::{Reach, TAIL};

const LENGTHS: [usize; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What a message means when none was before it: blocks that end where the bytes end, the tail behind them included. Behind a final
/// block, at the next byte, another stream may begin, and the message may end without a tail (section 7.2.3.5).
///
/// # Errors
/// [`PeerError::InvalidCompression`], and [`PeerError::MessageTooBig`] when it is more than `limit` bytes before that.
pub fn message(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    read(bytes, limit, false).map(|(out, _)| out)
}

/// How far a message refers back, also to what is before it.
///
/// # Errors
/// [`PeerError::InvalidCompression`].
pub fn reach(bytes: &[u8]) -> Result<Reach> {
    read(bytes, usize::MAX, true).map(|(out, reach)| Reach { len: out.len(), ..reach })
}

type Result<T> = std::result::Result<T, PeerError>;
const INVALID: PeerError = PeerError::InvalidCompression;

fn read(bytes: &[u8], limit: usize, context: bool) -> Result<(Vec<u8>, Reach)> {
    let bits = [bytes, &TAIL].concat();
    let (given, end) = (8 * bytes.len(), 8 * bits.len());
    let mut reader = Reader { bits: &bits, at: 0, given, out: Vec::new(), start: 0, limit, context, reach: Reach::default() };
    let mut at_rest = true;
    while reader.at != end && !(at_rest && reader.at == given) {
        if reader.at > given {
            // The tail is the length of a stored block; nothing else may end in it.
            return Err(INVALID);
        }
        at_rest = reader.block()?;
        if at_rest {
            reader.at = reader.at.next_multiple_of(8);
            reader.start = reader.out.len();
        }
    }
    Ok((reader.out, reader.reach))
}

struct Reader<'a> {
    bits: &'a [u8],
    /// In bits.
    at: usize,
    /// Where the tail begins, in bits.
    given: usize,
    out: Vec<u8>,
    /// Where this stream began in the output.
    start: usize,
    limit: usize,
    /// Whether it may refer to what is before it, which is taken for zeros.
    context: bool,
    reach: Reach,
}

impl Reader<'_> {
    fn bit(&mut self) -> Result<usize> {
        let byte = self.bits.get(self.at / 8).ok_or(INVALID)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Ok(usize::from(bit))
    }

    fn take(&mut self, count: usize) -> Result<usize> {
        (0..count).try_fold(0, |value, place| Ok(value | self.bit()? << place))
    }

    fn push(&mut self, byte: u8) -> Result<()> {
        if self.at > self.given {
            return Err(INVALID);
        }
        self.out.push(byte);
        if self.out.len() > self.limit { Err(PeerError::MessageTooBig) } else { Ok(()) }
    }

    /// One block; whether it is a final one.
    fn block(&mut self) -> Result<bool> {
        let last = self.bit()? == 1;
        match self.take(2)? {
            0 => self.stored()?,
            1 => {
                let mut literals = [8; 288];
                literals[144..256].fill(9);
                literals[256..280].fill(7);
                self.symbols(&Code::new(&literals)?, &Code::new(&[5; 32])?)?;
            }
            2 => self.dynamic()?,
            _ => return Err(INVALID),
        }
        Ok(last)
    }

    fn stored(&mut self) -> Result<()> {
        self.at = self.at.next_multiple_of(8);
        let (len, complement) = (self.take(16)?, self.take(16)?);
        if len != complement ^ 0xffff {
            return Err(INVALID);
        }
        for _ in 0..len {
            let byte = self.take(8)? as u8;
            self.push(byte)?;
        }
        Ok(())
    }

    fn dynamic(&mut self) -> Result<()> {
        let (literals, distances, count) = (self.take(5)? + 257, self.take(5)? + 1, self.take(4)? + 4);
        if literals > 286 || distances > 30 {
            return Err(INVALID);
        }
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = self.take(3)? as u8;
        }
        let code = Code::new(&lengths)?;
        if !code.complete {
            return Err(INVALID);
        }
        let mut lengths: Vec<u8> = Vec::new();
        while lengths.len() < literals + distances {
            let (value, times) = match code.read(self)? {
                16 => (*lengths.last().ok_or(INVALID)?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(value, times));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(INVALID);
        }
        let (literals, distances) = (Code::new(&lengths[..literals])?, Code::new(&lengths[literals..])?);
        let usable = |code: &Code| code.complete || code.longest <= 1;
        if !usable(&literals) || !usable(&distances) {
            return Err(INVALID);
        }
        self.symbols(&literals, &distances)
    }

    fn symbols(&mut self, literals: &Code, distances: &Code) -> Result<()> {
        loop {
            let symbol = literals.read(self)?;
            match symbol {
                0..=255 => self.push(symbol as u8)?,
                256 => return Ok(()),
                _ => {
                    let place = symbol - 257;
                    let extra = if place < 8 || place == 28 { 0 } else { place / 4 - 1 };
                    let len = LENGTHS.get(place).ok_or(INVALID)? + self.take(extra)?;
                    let distance = match distances.read(self)? {
                        code @ 0..=3 => code + 1,
                        code @ 4..=29 => ((2 + code % 2) << (code / 2 - 1)) + 1 + self.take(code / 2 - 1)?,
                        _ => return Err(INVALID),
                    };
                    let before = distance.saturating_sub(self.out.len() - self.start);
                    if before > 0 && !self.context {
                        return Err(INVALID);
                    }
                    self.reach.distance = self.reach.distance.max(distance);
                    self.reach.before = self.reach.before.max(before);
                    for _ in 0..len {
                        let from = self.out.len().checked_sub(distance);
                        self.push(from.map_or(0, |from| self.out[from]))?;
                    }
                }
            }
        }
    }
}

/// A canonical code (section 3.2.2).
struct Code {
    /// Symbols by length, then by value.
    symbols: Vec<usize>,
    counts: [usize; 16],
    longest: usize,
    complete: bool,
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Self> {
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[usize::from(*length)] += 1);
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| (lengths[*symbol], *symbol));
        // How many of the codes of 15 bits are taken.
        let taken: usize = counts.iter().enumerate().map(|(length, count)| count << 15 >> length).sum();
        if taken > 1 << 15 {
            return Err(INVALID);
        }
        let longest = lengths.iter().copied().max().map_or(0, usize::from);
        Ok(Self { symbols, counts, longest, complete: taken == 1 << 15 })
    }

    fn read(&self, reader: &mut Reader<'_>) -> Result<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= reader.bit()?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(INVALID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::zlib;

    #[test]
    fn what_zlib_makes_is_read_and_nothing_less() {
        let payload: Vec<u8> = (0..3000_u32).map(|number| (number * number % 97) as u8).collect();
        for level in [0, 1, 6, 9] {
            let whole = zlib(level, &payload);
            assert_eq!(message(&whole, payload.len()), Ok(payload.clone()));
            assert_eq!(message(&whole, payload.len() - 1), Err(PeerError::MessageTooBig));
            for end in 2..whole.len() {
                assert_eq!(message(&whole[..end], payload.len()), Err(INVALID), "{end} of level {level}");
            }
        }
        for (bytes, text) in
            [(&b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"[..], "Hello"), (b"\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"), (b"", "")]
        {
            assert_eq!(message(bytes, 5), Ok(text.into()));
        }
        assert_eq!(message(b"\x31", 5), Ok(vec![]), "the tail is the length of a final block");
        assert_eq!(message(b"\x03", 5), Err(INVALID), "the tail ends a fixed block");
    }
}

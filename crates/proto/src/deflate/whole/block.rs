//! Which kind of block is the shortest (RFC 1951, section 3.2.3), and the block.

use super::bits::Bits;
use super::huffman::{Alphabet, Code, MAX_BITS, Tree, row};
use super::matches::{DISTANCES, END_OF_BLOCK, LITERALS, Matches, Token, distance_extra, length_extra};

/// Symbols of the code for code lengths (section 3.2.7): the lengths themselves, and three kinds of runs.
const LENGTHS: usize = 19;
const REPEAT: u8 = 16;
const ZEROS: u8 = 17;
const MANY_ZEROS: u8 = 18;
/// The order in which their own lengths are written.
const ORDER: [usize; LENGTHS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// The longest code of theirs.
const MAX_LENGTH_BITS: usize = 7;
/// How many bits stand behind each.
const fn length_code_extra(symbol: usize) -> u8 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Room for all values that the fields of a token may have, so that none has to be checked.
const LITERAL_ROOM: usize = 1 << 9;
const DISTANCE_ROOM: usize = 1 << 5;

/// No codes yet, but what stands behind them.
macro_rules! blank {
    ($symbols:expr, $extra:expr) => {{
        let mut codes = [Code::none(0); $symbols];
        let mut symbol = 0;
        while symbol < $symbols {
            codes[symbol] = Code::none($extra(symbol));
            symbol += 1;
        }
        codes
    }};
}
const NO_LITERALS: [Code; LITERAL_ROOM] = blank!(LITERAL_ROOM, length_extra);
const NO_DISTANCES: [Code; DISTANCE_ROOM] = blank!(DISTANCE_ROOM, distance_extra);
const NO_LENGTHS: [Code; LENGTHS] = blank!(LENGTHS, length_code_extra);

/// The codes of a fixed block (section 3.2.6).
const FIXED_LITERALS: [Code; LITERAL_ROOM] = {
    let mut codes = NO_LITERALS;
    row(&mut codes, 0..144, 0b0011_0000, 8);
    row(&mut codes, 144..256, 0b1_1001_0000, 9);
    row(&mut codes, 256..280, 0, 7);
    row(&mut codes, 280..LITERALS, 0b1100_0000, 8);
    codes
};
const FIXED_DISTANCES: [Code; DISTANCE_ROOM] = {
    let mut codes = NO_DISTANCES;
    row(&mut codes, 0..DISTANCES, 0, 5);
    codes
};

/// The codes that suit a message, and how they are written.
pub(super) struct Plan {
    literals: Alphabet<LITERALS, LITERAL_ROOM>,
    distances: Alphabet<DISTANCES, DISTANCE_ROOM>,
    /// The lengths of both, as runs: symbol, and what stands behind it.
    runs: Vec<(u8, u8)>,
    lengths: Alphabet<LENGTHS, LENGTHS>,
    tree: Tree,
}

impl Plan {
    pub const fn new() -> Self {
        Self {
            literals: Alphabet::new(NO_LITERALS),
            distances: Alphabet::new(NO_DISTANCES),
            runs: Vec::new(),
            lengths: Alphabet::new(NO_LENGTHS),
            tree: Tree::new(),
        }
    }

    /// Writes a message as the shortest block.
    pub fn write<'a>(&mut self, matches: &Matches, input: &[u8], mut bits: Bits<'a>) -> Bits<'a> {
        let fixed = fixed_bits(matches);
        // A block of few symbols gains less by codes of its own than these take.
        let dynamic = if matches.tokens().len() < FEW { u32::MAX } else { self.build(matches) };
        let stored = 8 * (input.len() as u32 + 5);
        if stored <= fixed.min(dynamic) {
            bits.stored(input);
            bits
        } else if fixed <= dynamic {
            bits.put(0b010, 3);
            write_tokens(matches, &FIXED_LITERALS, &FIXED_DISTANCES, bits)
        } else {
            bits.put(0b100, 3);
            write_tokens(matches, self.literals.codes(), self.distances.codes(), self.write_codes(bits))
        }
    }

    /// Builds codes; how many bits the block takes with them.
    fn build(&mut self, matches: &Matches) -> u32 {
        let symbols = self.literals.build(&mut self.tree, &matches.counts.literals, MAX_BITS)
            + self.distances.build(&mut self.tree, &matches.counts.distances, MAX_BITS);
        let counts = self.describe();
        let runs = self.lengths.build(&mut self.tree, &counts, MAX_LENGTH_BITS);
        3 + 14 + 3 * self.described() as u32 + runs + symbols
    }

    /// Puts the lengths of both codes into runs; how often each symbol occurs in them.
    fn describe(&mut self) -> [u16; LENGTHS] {
        let mut runs = Runs { runs: &mut self.runs, counts: [0; LENGTHS], length: 0, count: 0 };
        runs.runs.clear();
        let mut next = 0;
        let literals = self.literals.used();
        // The distances follow the literals as if they were more of them.
        let last = self.literals.last() + 1;
        for (symbol, code) in literals.chain(self.distances.used().map(|(symbol, code)| (last + symbol, code))) {
            if symbol > next {
                runs.push(0, symbol - next);
            }
            runs.push(code.len(), 1);
            next = symbol + 1;
        }
        runs.end();
        runs.counts
    }

    /// How many lengths of code length codes are written.
    fn described(&self) -> usize {
        let has = |symbol: &usize| self.lengths.used().any(|(used, _)| used == *symbol);
        ORDER.iter().rposition(has).map_or(0, |last| last + 1).max(4)
    }

    /// Writes the codes (section 3.2.7).
    fn write_codes<'a>(&self, mut bits: Bits<'a>) -> Bits<'a> {
        let described = self.described();
        bits.put((self.literals.last() + 1 - 257) as u64, 5);
        bits.put(self.distances.last() as u64, 5);
        bits.put((described - 4) as u64, 4);
        let mut lengths = [0; LENGTHS];
        self.lengths.used().for_each(|(symbol, code)| lengths[symbol] = code.len());
        for symbol in &ORDER[..described] {
            bits.put(u64::from(lengths[*symbol]), 3);
            bits.flush();
        }
        for (symbol, behind) in &self.runs {
            let code = self.lengths.codes()[usize::from(*symbol)];
            bits.put(u64::from(code.and(u32::from(*behind))), code.total());
            bits.flush();
        }
        bits
    }
}

/// Makes runs of lengths.
struct Runs<'a> {
    runs: &'a mut Vec<(u8, u8)>,
    counts: [u16; LENGTHS],
    /// The run that is under way.
    length: u8,
    count: usize,
}

impl Runs<'_> {
    fn push(&mut self, length: u8, count: usize) {
        if self.count > 0 && length != self.length {
            self.end();
        }
        self.length = length;
        self.count += count;
    }

    /// Ends the run that is under way.
    fn end(&mut self) {
        let (length, mut run) = (self.length, self.count);
        self.count = 0;
        if length == 0 {
            while run >= 11 {
                self.symbol(MANY_ZEROS, run.min(138) - 11);
                run -= run.min(138);
            }
            if run >= 3 {
                self.symbol(ZEROS, run - 3);
                run = 0;
            }
        } else {
            self.symbol(length, 0);
            run -= 1;
            while run >= 3 {
                self.symbol(REPEAT, run.min(6) - 3);
                run -= run.min(6);
            }
        }
        (0..run).for_each(|_| self.symbol(length, 0));
    }

    fn symbol(&mut self, symbol: u8, behind: usize) {
        self.counts[usize::from(symbol)] += 1;
        self.runs.push((symbol, behind as u8));
    }
}

/// Fewer symbols than this are not worth a code.
const FEW: usize = 48;

/// How many bits a message takes with the fixed codes.
fn fixed_bits(matches: &Matches) -> u32 {
    let sum = |counts: &[u16]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
    let behind = |counts: &[u16], codes: &[Code]| -> u32 {
        counts.iter().zip(codes).map(|(count, code)| u32::from(*count) * code.total()).sum()
    };
    // Eight bits for each literal but for these, and what lengths and distances take. Literals are most symbols, and all alike.
    let (literals, others) = matches.counts.literals.split_at(END_OF_BLOCK);
    3 + 8 * sum(literals)
        + sum(&literals[144..])
        + behind(others, &FIXED_LITERALS[END_OF_BLOCK..])
        + behind(&matches.counts.distances, &FIXED_DISTANCES)
}

fn write_tokens<'a>(
    matches: &Matches,
    literals: &[Code; LITERAL_ROOM],
    distances: &[Code; DISTANCE_ROOM],
    mut bits: Bits<'a>,
) -> Bits<'a> {
    let whole = |token: &Token| -> (u64, u32) {
        let (code, distance) = (literals[token.symbol()], distances[token.distance_symbol()]);
        let behind = u64::from(distance.and(token.behind_distance()));
        (u64::from(code.and(token.behind())) | behind << code.total(), code.total() + distance.total())
    };
    // Two at a time: what waits for its byte is waited for half as often.
    let (pairs, last) = matches.tokens().as_chunks::<2>();
    for [one, other] in pairs {
        let ((first, len), (second, more)) = (whole(one), whole(other));
        if len + more <= Bits::MOST {
            bits.put(first | second << len, len + more);
        } else {
            bits.put(first, len);
            bits.flush();
            bits.put(second, more);
        }
        bits.flush();
    }
    for token in last {
        let (token, len) = whole(token);
        bits.put(token, len);
        bits.flush();
    }
    let end = literals[END_OF_BLOCK];
    bits.put(u64::from(end.and(0)), end.total());
    bits.flush();
    bits
}

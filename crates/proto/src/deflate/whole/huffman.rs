//! Prefix codes (RFC 1951, section 3.2.2): the lengths that suit how often symbols occur, and the codes that follow from lengths.

use std::ops::Range;

/// The longest code of literals, lengths and distances.
pub(super) const MAX_BITS: usize = 15;

/// A symbol's code, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    bits: u16,
    /// 0 for a symbol that has no code.
    len: u8,
    /// How many bits stand behind the symbol, with those of the code.
    total: u8,
}

impl Code {
    /// No code, of a symbol with so many bits behind it.
    pub const fn none(extra: u8) -> Self {
        Self { bits: 0, len: 0, total: extra }
    }

    /// Codes are written from their highest bit on, everything else from the lowest.
    const fn with(self, code: u16, len: u8) -> Self {
        Self { bits: code.reverse_bits() >> (16 - len), len, total: self.total - self.len + len }
    }

    #[inline]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// How many bits the symbol takes, with those behind it.
    #[inline]
    pub const fn total(self) -> u32 {
        self.total as u32
    }

    /// The code with the bits behind it.
    #[inline]
    pub const fn and(self, behind: u32) -> u32 {
        self.bits as u32 | behind << self.len
    }
}

/// The most symbols that an alphabet has.
const SYMBOLS: usize = 286;

/// A code for the symbols that occur in a message.
pub(super) struct Alphabet<const N: usize, const ROOM: usize> {
    /// The symbols that have a code, in their order.
    used: [u16; N],
    len: usize,
    /// The lengths of their codes; those of others are of messages before.
    codes: [Code; ROOM],
}

impl<const N: usize, const ROOM: usize> Alphabet<N, ROOM> {
    /// Without codes, but with how many bits stand behind each symbol.
    pub const fn new(blank: [Code; ROOM]) -> Self {
        Self { used: [0; N], len: 0, codes: blank }
    }

    /// The symbols that have a code, in their order, each with its code.
    pub fn used(&self) -> impl Iterator<Item = (usize, Code)> {
        self.used[..self.len].iter().map(|symbol| (usize::from(*symbol), self.codes[usize::from(*symbol)]))
    }

    /// The last symbol that has a code.
    pub fn last(&self) -> usize {
        usize::from(self.used[self.len.clamp(1, N) - 1])
    }

    pub const fn codes(&self) -> &[Code; ROOM] {
        &self.codes
    }

    /// Makes the code for symbols that occur so often, with at most `longest` bits for each; how many bits they take together. A code
    /// has at least two symbols, as in zlib, because some decompressors want a complete one.
    pub fn build(&mut self, counts: &[u16; N], longest: usize) -> u32 {
        self.collect(counts);
        let mut sorted = [0_u32; SYMBOLS];
        for (place, symbol) in sorted.iter_mut().zip(&self.used[..self.len]) {
            *place = u32::from(counts[usize::from(*symbol)].max(1)) << 16 | u32::from(*symbol);
        }
        let sorted = &mut sorted[..self.len];
        sorted.sort_unstable();
        let mut at_length = depths(sorted);
        limit(&mut at_length, longest);
        // The rarest have the longest codes.
        let (mut rest, mut bits) = (&*sorted, 0);
        for length in (1..=longest).rev() {
            let (these, others) = rest.split_at(usize::from(at_length[length]));
            for one in these {
                let code = &mut self.codes[(one & 0xffff) as usize];
                *code = code.with(0, length as u8);
                bits += (one >> 16) * code.total();
            }
            rest = others;
        }
        self.number(&at_length);
        bits
    }

    /// Finds the symbols that occur.
    fn collect(&mut self, counts: &[u16; N]) {
        self.len = 0;
        let (fours, rest) = counts.as_chunks::<4>();
        let mut push = |symbol: usize, count: u16| {
            self.used[self.len.min(N - 1)] = symbol as u16;
            self.len += usize::from(count > 0);
        };
        for (first, four) in (0..).step_by(4).zip(fours) {
            if *four != [0; 4] {
                for (place, count) in four.iter().enumerate() {
                    push(first + place, *count);
                }
            }
        }
        for (place, count) in rest.iter().enumerate() {
            push(fours.len() * 4 + place, *count);
        }
        match (self.len, self.used[0]) {
            (0, _) => self.used[..2].copy_from_slice(&[0, 1]),
            (1, 0) => self.used[1] = 1,
            (1, only) => self.used[..2].copy_from_slice(&[0, only]),
            _ => {}
        }
        self.len = self.len.max(2);
    }

    /// Numbers the codes: within a length by the symbols' order.
    fn number(&mut self, at_length: &[u16; LEVELS]) {
        let mut next = [0_u16; MAX_BITS + 1];
        let mut code = 0;
        for length in 1..=MAX_BITS {
            next[length] = code;
            code = (code + at_length[length]) << 1;
        }
        for symbol in &self.used[..self.len] {
            let code = &mut self.codes[usize::from(*symbol)];
            let length = code.len() as usize & MAX_BITS;
            *code = code.with(next[length], length as u8);
            next[length] += 1;
        }
    }
}

/// The most levels that a tree can have: a count of 16 bits in a sum of at most 2^17 allows no more, and less than this.
const LEVELS: usize = 32;

/// Huffman's algorithm: how many leaves there are at each depth of the tree for weights that are sorted.
fn depths(used: &[u32]) -> [u16; LEVELS] {
    let leaves = used.len();
    // Inner nodes in the order in which they are made, which is that of their weights. What is not there yet weighs most.
    let mut weights = [u32::MAX; SYMBOLS];
    let mut parents = [0_u16; SYMBOLS];
    let (mut leaf, mut node) = (0, 0);
    for made in 0..leaves - 1 {
        let mut take = || {
            let (of_leaf, of_node) = (used.get(leaf).map_or(u32::MAX, |used| used >> 16), weights[node]);
            // Written without a branch, which nothing could foresee: a parent that is not yet right is replaced later.
            let from_leaf = of_leaf <= of_node;
            parents[node] = made as u16;
            leaf += usize::from(from_leaf);
            node += usize::from(!from_leaf);
            of_leaf.min(of_node)
        };
        weights[made] = take() + take();
    }
    // From the root down: what is not an inner node at a depth is a leaf.
    let mut depth_of = [0_u8; SYMBOLS];
    let mut inner = [0_u16; LEVELS];
    inner[0] = 1;
    for node in (0..leaves - 2).rev() {
        let depth = depth_of[usize::from(parents[node])] + 1;
        depth_of[node] = depth;
        inner[usize::from(depth)] += 1;
    }
    let mut at_depth = [0; LEVELS];
    let mut there = 1;
    for (leaves, inner) in at_depth.iter_mut().zip(inner) {
        *leaves = there - inner;
        there = 2 * inner;
    }
    at_depth
}

/// Makes no code longer than `longest`: those that are get that length, and others are lengthened until there is a code for each.
fn limit(at_length: &mut [u16; LEVELS], longest: usize) {
    let too_long: u16 = at_length[longest + 1..].iter().sum();
    if too_long == 0 {
        return;
    }
    at_length[longest + 1..].fill(0);
    at_length[longest] += too_long;
    // In codes of the longest length: a code that is shorter takes the place of several.
    let mut taken: u32 = (1..=longest).map(|length| u32::from(at_length[length]) << (longest - length)).sum();
    while taken > 1 << longest {
        // One of the longest becomes the sister of one that is shorter, which is lengthened by a bit.
        at_length[longest] -= 1;
        if let Some(length) = (1..longest).rev().find(|length| at_length[*length] > 0) {
            at_length[length] -= 1;
            at_length[length + 1] += 2;
        }
        taken -= 1;
    }
}

/// Codes of a number of symbols in a row, all of one length.
pub(super) const fn row(codes: &mut [Code], symbols: Range<usize>, first: u16, len: u8) {
    let mut place = 0;
    while symbols.start + place < symbols.end {
        codes[symbols.start + place] = codes[symbols.start + place].with(first + place as u16, len);
        place += 1;
    }
}

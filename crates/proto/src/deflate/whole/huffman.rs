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
    /// Their codes. Those of other symbols are of messages before.
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
    /// has at least two symbols, as in zlib, because some decompressors want a complete one: each that does not occur is taken to do
    /// so once.
    pub fn build(&mut self, tree: &mut Tree, counts: &[u16; N], longest: usize) -> u32 {
        self.collect(counts);
        for (place, symbol) in tree.sorted.iter_mut().zip(&self.used[..self.len]) {
            *place = u32::from(counts[usize::from(*symbol)].max(1)) << 16 | u32::from(*symbol);
        }
        let mut at_length = tree.grow(self.len);
        limit(&mut at_length, longest);
        // The rarest have the longest codes.
        let (mut rest, mut bits) = (&tree.sorted[..self.len], 0);
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

/// Heavier than all symbols of a message together.
const NOT_THERE: u32 = 1 << 24;

/// Where a tree is made. It is kept, because to clear so much would cost more than to use what is needed of it.
pub(super) struct Tree {
    /// Symbols that occur, the rarest first: how often in the upper half, and which.
    sorted: [u32; SYMBOLS],
    /// How often alone. Behind what is there two that are not.
    leaves: [u32; SYMBOLS + 2],
    /// The weights of inner nodes in the order in which they are made, which is that of their weights.
    weights: [u32; SYMBOLS + 2],
    parents: [u16; SYMBOLS + 2],
    depths: [u8; SYMBOLS],
}

impl Tree {
    pub const fn new() -> Self {
        Self {
            sorted: [0; SYMBOLS],
            leaves: [0; SYMBOLS + 2],
            weights: [0; SYMBOLS + 2],
            parents: [0; SYMBOLS + 2],
            depths: [0; SYMBOLS],
        }
    }

    /// Sorts so many symbols, at least two, and makes Huffman's tree: how many leaves there are at each depth.
    fn grow(&mut self, count: usize) -> [u16; LEVELS] {
        let sorted = &mut self.sorted[..count];
        sorted.sort_unstable();
        self.leaves.iter_mut().zip(&*sorted).for_each(|(weight, used)| *weight = used >> 16);
        self.leaves[count..count + 2].fill(NOT_THERE);
        self.weights[..2].fill(NOT_THERE);
        let (mut leaf, mut node) = (0, 0);
        for made in 0..count - 1 {
            let ([one, two], [first, second]) = (pair(&self.leaves, leaf), pair(&self.weights, node));
            // The two lightest of all are the lightest of these three pairs. All of it is written without a branch, which nothing
            // could foresee: a parent that is not yet right is replaced later.
            let (of_leaves, of_both, of_nodes) = (one + two, one + first, first + second);
            let (weight, nodes) = if of_both < of_leaves { (of_both, 1) } else { (of_leaves, 0) };
            let (weight, nodes) = if of_nodes < weight { (of_nodes, 2) } else { (weight, nodes) };
            self.weights[made] = weight;
            self.weights[made + 2] = NOT_THERE;
            self.parents[node..node + 2].fill(made as u16);
            node += nodes;
            leaf += 2 - nodes;
        }
        self.leaves_at(count)
    }

    /// From the root down: what is not an inner node at a depth is a leaf. Depths only grow.
    fn leaves_at(&mut self, count: usize) -> [u16; LEVELS] {
        let mut inner = [0_u16; LEVELS];
        let (mut depth, mut there) = (0, 1);
        self.depths[count - 2] = 0;
        for node in (0..count - 2).rev() {
            let deeper = self.depths[usize::from(self.parents[node])] + 1;
            self.depths[node] = deeper;
            if deeper != depth {
                inner[usize::from(depth)] = there;
                (depth, there) = (deeper, 0);
            }
            there += 1;
        }
        inner[usize::from(depth)] = there;
        let mut leaves_at = [0; LEVELS];
        let mut there = 1;
        for (leaves, inner) in leaves_at.iter_mut().zip(inner) {
            *leaves = there - inner;
            there = 2 * inner;
        }
        leaves_at
    }
}

/// Two weights in a row.
#[inline]
fn pair(weights: &[u32; SYMBOLS + 2], at: usize) -> [u32; 2] {
    weights.get(at..).and_then(<[u32]>::first_chunk).copied().unwrap_or([NOT_THERE; 2])
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

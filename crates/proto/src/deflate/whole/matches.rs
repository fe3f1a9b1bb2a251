//! Bytes to literals and matches.

/// The longest message: positions are numbers of sixteen bits, of which 0 is nobody's.
pub(super) const MAX_INPUT: usize = 0xfffe;

/// A match is at least so long. DEFLATE has shorter ones, of three bytes, which save hardly anything, and hide longer ones.
const MIN_MATCH: usize = 4;
/// And at most so (RFC 1951, section 3.2.5).
const MAX_MATCH: usize = 258;
/// A match so long is taken without a look at the older one.
const NICE: usize = 8;
/// Length symbols follow the literals and the end of the block.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;
pub(super) const END_OF_BLOCK: usize = 256;

/// The table takes 16 KiB.
const HASH_BITS: u32 = 12;
const PLACES: usize = 1 << HASH_BITS;

/// A literal, or a match (section 3.2.5), as it is written: so that nothing has to be decided then, which costs a processor more than
/// to write nothing. From the lowest bit on nine bits of a literal's or a length's symbol, five that stand behind it, five of a
/// distance's symbol, and thirteen behind that.
#[derive(Clone, Copy)]
pub(super) struct Token(u32);

/// The symbol of no distance, for a literal.
pub(super) const NO_DISTANCE: usize = DISTANCES;

impl Token {
    #[inline]
    const fn literal(byte: u8) -> Self {
        Self(byte as u32 | (NO_DISTANCE as u32) << 14)
    }

    #[inline]
    fn matched(len: usize, distance: usize) -> Self {
        let distance = (distance - 1) as u32 & 0x7fff;
        // Two symbols for each power of two.
        let extra = (distance | 2).ilog2() - 1;
        let symbol = 2 * extra + (distance >> extra);
        let behind = distance & ((1 << extra) - 1);
        Self(u32::from(LENGTH_TOKENS[len.saturating_sub(3) & 0xff]) | symbol << 14 | behind << 19)
    }

    #[inline]
    pub const fn symbol(self) -> usize {
        (self.0 & 0x1ff) as usize
    }

    /// What is written behind the symbol.
    #[inline]
    pub const fn behind(self) -> u32 {
        self.0 >> 9 & 0x1f
    }

    #[inline]
    pub const fn distance_symbol(self) -> usize {
        (self.0 >> 14 & 0x1f) as usize
    }

    #[inline]
    pub const fn behind_distance(self) -> u32 {
        self.0 >> 19
    }
}

/// How many bits stand behind a literal's or a length's symbol.
pub(super) const fn length_extra(symbol: usize) -> u8 {
    match symbol {
        265..285 => ((symbol - 261) / 4) as u8,
        _ => 0,
    }
}

/// How many bits stand behind a distance's symbol.
pub(super) const fn distance_extra(symbol: usize) -> u8 {
    match symbol {
        4..DISTANCES => symbol as u8 / 2 - 1,
        _ => 0,
    }
}

/// The lower half of a token, for each length less three.
const LENGTH_TOKENS: [u16; 256] = {
    let mut tokens = [0; 256];
    let (mut len, mut symbol, mut behind) = (0, 257, 0);
    while len < 255 {
        tokens[len] = symbol | behind << 9;
        behind += 1;
        if behind == 1 << length_extra(symbol as usize) {
            (symbol, behind) = (symbol + 1, 0);
        }
        len += 1;
    }
    // The longest has a symbol of its own, though the one before could say it.
    tokens[255] = 285;
    tokens
};

/// Finds matches and counts symbols.
pub(super) struct Matches {
    places: Box<Places>,
    max_distance: usize,
    /// Room for tokens, of which so many are those of the message.
    room: Vec<Token>,
    len: usize,
    pub counts: Counts,
}

/// How often each symbol occurs.
pub(super) struct Counts {
    pub literals: [u16; LITERALS],
    pub distances: [u16; DISTANCES],
}

impl Matches {
    /// Room for so many tokens is kept between messages.
    const KEPT: usize = 16 * 1024;

    pub fn new(max_distance: usize) -> Self {
        Self {
            places: Box::new(Places { table: [0; PLACES], base: 1, next: 1 }),
            max_distance,
            room: Vec::new(),
            len: 0,
            counts: Counts { literals: [0; LITERALS], distances: [0; DISTANCES] },
        }
    }

    /// What was found.
    pub fn tokens(&self) -> &[Token] {
        &self.room[..self.len]
    }

    /// Replaces what was found in the last message by what is found in this one, of at most [`MAX_INPUT`] bytes.
    pub fn find(&mut self, input: &[u8]) {
        if self.room.len() > Self::KEPT {
            self.room = Vec::new();
        }
        if self.room.len() < input.len() {
            self.room.resize(input.len(), Token(0));
        }
        self.counts = Counts { literals: [0; LITERALS], distances: [0; DISTANCES] };
        self.counts.literals[END_OF_BLOCK] = 1;
        self.places.begin(input.len());
        self.len = scan(&mut self.places, &mut self.counts, &mut self.room, input, self.max_distance);
    }
}

/// Puts the literals and matches of a message into the room, and says how many they are.
fn scan(places: &mut Places, counts: &mut Counts, room: &mut [Token], input: &[u8], max_distance: usize) -> usize {
    let (mut at, mut made) = (0, 0);
    while let Some(next) = word(input, at) {
        let candidates = places.insert(at, next);
        let token = match longest(candidates, input, at, next, max_distance) {
            None => {
                at += 1;
                Token::literal(next as u8)
            }
            Some((len, distance)) => {
                let end = at + len;
                // Two places of it are enough for later matches to be found: all of them take an eighth more time and save hardly a
                // byte.
                for at in [at + 1, end - 1] {
                    if let Some(next) = word(input, at) {
                        places.insert(at, next);
                    }
                }
                at = end;
                let token = Token::matched(len, distance);
                counts.distances[token.distance_symbol()] += 1;
                token
            }
        };
        counts.literals[token.symbol()] += 1;
        room[made] = token;
        made += 1;
    }
    for byte in &input[at..] {
        counts.literals[usize::from(*byte)] += 1;
        room[made] = Token::literal(*byte);
        made += 1;
    }
    made
}

/// The longer of the matches that two candidates make, and its distance.
#[inline]
fn longest(candidates: [usize; 2], input: &[u8], at: usize, next: u32, max_distance: usize) -> Option<(usize, usize)> {
    let [last, older] = candidates;
    let first = candidate(last, input, at, next, max_distance);
    if first.is_some_and(|(len, _)| len >= NICE) {
        return first;
    }
    let second = candidate(older, input, at, next, max_distance);
    let longer = second.map_or(0, |(len, _)| len) > first.map_or(0, |(len, _)| len);
    if longer { second } else { first }
}

#[inline]
fn candidate(from: usize, input: &[u8], at: usize, next: u32, max_distance: usize) -> Option<(usize, usize)> {
    // What is older than the message is beyond its end.
    if word(input, from)? != next {
        return None;
    }
    let distance = at - from;
    (distance <= max_distance).then(|| (common(input, from, at), distance))
}

/// Where which bytes were last, and before.
///
/// Positions are numbers that go on from message to message, so that those of other messages are recognised, and the table is cleared
/// only when the numbers are used up.
struct Places {
    /// Two numbers for each hash: the last in the lower half.
    table: [u32; PLACES],
    /// The number of the first byte of the message.
    base: u16,
    /// That of the next message's.
    next: u16,
}

impl Places {
    /// Begins a message.
    fn begin(&mut self, len: usize) {
        self.base = self.next;
        match u16::try_from(usize::from(self.base) + len) {
            Ok(next) => self.next = next,
            Err(_) => {
                self.table.fill(0);
                (self.base, self.next) = (1, len as u16 + 1);
            }
        }
    }

    /// Notes that these bytes are at a position; the positions that had their hash before. What is older than the message is a
    /// position beyond its end.
    #[inline]
    fn insert(&mut self, at: usize, next: u32) -> [usize; 2] {
        let hash = next.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
        let place = &mut self.table[hash as usize];
        let before = *place;
        *place = before << 16 | u32::from(self.base.wrapping_add(at as u16));
        [before as u16, (before >> 16) as u16].map(|number| usize::from(number.wrapping_sub(self.base)))
    }
}

/// Four bytes from a position on, if there are so many.
#[inline]
fn word(input: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*input.get(at..)?.first_chunk::<MIN_MATCH>()?))
}

/// The length of the match at a position with an earlier one, of which four bytes are known to match.
#[inline]
fn common(input: &[u8], from: usize, at: usize) -> usize {
    let rest = &input[at..input.len().min(at + MAX_MATCH)];
    let one = &input[from..from + rest.len()];
    let ((words, tail), (other_words, other_tail)) = (one.as_chunks::<8>(), rest.as_chunks::<8>());
    let mut len = 0;
    for (word, other) in words.iter().zip(other_words) {
        let differ = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return len + (differ.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + tail.iter().zip(other_tail).take_while(|(byte, other)| byte == other).count()
}

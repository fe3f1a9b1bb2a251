//! Bits into bytes, the lowest first (RFC 1951, section 3.1.1).

/// Where bits are written. Whoever uses it leaves eight bytes of room behind what it writes.
pub(super) struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Bits that wait for their byte.
    word: u64,
    /// How many wait: less than eight between calls of [`Bits::flush`].
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, word: 0, count: 0 }
    }

    /// Whole bytes that are written.
    pub fn len(&self) -> usize {
        self.at
    }

    /// The most bits between two flushes.
    pub const MOST: u32 = 56;

    /// Adds bits; those above `count` are zero.
    #[inline]
    pub fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.count;
        self.count += count;
    }

    /// Writes the bytes that are whole.
    #[inline]
    pub fn flush(&mut self) {
        if let Some(room) = self.out.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *room = self.word.to_le_bytes();
        }
        self.at += (self.count >> 3) as usize;
        self.word >>= self.count & !7;
        self.count &= 7;
    }

    /// A block of at most 65,535 bytes as they are (section 3.2.4), not the last one.
    pub fn stored(&mut self, bytes: &[u8]) {
        self.put(0, 3);
        // To the next byte.
        self.count = self.count.next_multiple_of(8);
        self.flush();
        let len = bytes.len() as u64;
        self.put(len | (!len & 0xffff) << 16, 32);
        self.flush();
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

//! Masking (RFC 6455, section 5.3): payload XOR a key of four bytes, in place. Masking and unmasking are the same.
//!
//! It runs at the speed of memory: blocks of 32 bytes, which the compiler turns into vector instructions of the baseline
//! target, then words, then at most seven single bytes. Nothing is asked of the alignment.

/// Masks or unmasks `bytes`, the part of a frame's payload that starts `offset` bytes into it.
///
/// ```
/// use tidewire_proto::mask;
///
/// let mut payload = *b"Hello";
/// mask::apply([0x37, 0xfa, 0x21, 0x3d], 0, &mut payload);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455, section 5.7
///
/// let (first, second) = payload.split_at_mut(3);
/// mask::apply([0x37, 0xfa, 0x21, 0x3d], 0, first);
/// mask::apply([0x37, 0xfa, 0x21, 0x3d], 3, second);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply(key: [u8; 4], offset: usize, bytes: &mut [u8]) {
    // Read as little-endian, so that a rotation to the right moves the key's next byte to the front.
    let key = u32::from_le_bytes(key).rotate_right(8 * (offset & 3) as u32);
    let word = (u64::from(key) << 32) | u64::from(key);
    if bytes.len() < BLOCK {
        apply_words(word, bytes);
    } else {
        apply_blocks(word, bytes);
    }
}

/// Masks or unmasks all of `bytes` but the first `down`, and moves it down over those: what it makes begins where `bytes` begins. For
/// what is short.
#[inline]
pub(crate) fn apply_down(key: [u8; 4], bytes: &mut [u8], down: usize) {
    let key = u32::from_le_bytes(key);
    let word = (u64::from(key) << 32) | u64::from(key);
    let len = bytes.len() - down;
    let mut at = 0;
    // Each piece is read before anything is written where it was, because everything moves down.
    while at + 8 <= len {
        step::<8>(bytes, at, down, word);
        at += 8;
    }
    if len & 4 != 0 {
        step::<4>(bytes, at, down, word);
        at += 4;
    }
    if len & 2 != 0 {
        step::<2>(bytes, at, down, word);
        at += 2;
    }
    if len & 1 != 0 {
        step::<1>(bytes, at, down, word >> (8 * (at & 2)));
    }
}

/// Masks `N` bytes at `at + down`, and puts them at `at`.
#[inline]
fn step<const N: usize>(bytes: &mut [u8], at: usize, down: usize, word: u64) {
    let mut piece = [0; 8];
    piece[..N].copy_from_slice(&bytes[at + down..at + down + N]);
    let piece = (u64::from_le_bytes(piece) ^ word).to_le_bytes();
    bytes[at..at + N].copy_from_slice(&piece[..N]);
}

/// A multiple of the key's length, wide enough to fill the vector registers of every target.
const BLOCK: usize = 32;

/// Out of line: the call is nothing against the blocks, and the small case stays small where it is inlined.
#[inline(never)]
fn apply_blocks(word: u64, bytes: &mut [u8]) {
    let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
    let pattern = word.to_le_bytes();
    for block in blocks {
        for (index, byte) in block.iter_mut().enumerate() {
            *byte ^= pattern[index % 8];
        }
    }
    apply_words(word, rest);
}

#[inline]
fn apply_words(word: u64, bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for eight in words {
        *eight = (u64::from_le_bytes(*eight) ^ word).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_offset_and_alignment_is_as_the_definition_says() {
        let key = [0x9b, 0x01, 0xe7, 0x5c];
        let plain: Vec<u8> = (0..400u32).map(|index| (index * 37 + 11) as u8).collect();
        for start in 0..8 {
            for len in 0..=300 {
                for offset in 0..8 {
                    let mut bytes = plain.clone();
                    apply(key, offset, &mut bytes[start..start + len]);
                    for (index, byte) in bytes.iter().enumerate() {
                        // Section 5.3: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
                        let inside = index.checked_sub(start).filter(|&index| index < len);
                        let expected = plain[index] ^ inside.map_or(0, |index| key[(offset + index) % 4]);
                        assert_eq!(*byte, expected, "start {start}, length {len}, offset {offset}, index {index}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_moves_down_is_masked_as_what_stays() {
        for key in [[0x9b, 0x01, 0xe7, 0x5c], [0; 4]] {
            for down in 0..=8 {
                for len in 0..=130 {
                    let bytes: Vec<u8> = (0..len + down).map(|index| (index * 37 + 11) as u8).collect();
                    let (mut moved, mut stays) = (bytes.clone(), bytes[down..].to_vec());
                    apply_down(key, &mut moved, down);
                    apply(key, 0, &mut stays);
                    assert_eq!(moved[..len], stays, "{len} bytes, {down} down");
                }
            }
        }
    }

    #[test]
    fn offsets_do_not_overflow() {
        let mut bytes = [0; 5];
        apply([1, 2, 3, 4], usize::MAX, &mut bytes);
        assert_eq!(bytes, [4, 1, 2, 3, 4]);
    }
}

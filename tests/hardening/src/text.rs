//! Text that is not UTF-8, in every way.

use std::collections::BTreeSet;

/// Byte sequences whose last byte is the one that makes them ill-formed (Unicode, table 3-7), and why. None of their proper
/// prefixes is.
pub const BY_HAND: &[(&[u8], &str)] = &[
    (b"\x80", "a continuation byte by itself"),
    (b"\xbf", "the last of them"),
    (b"\xc0", "it could only begin an overlong form"),
    (b"\xc1", "it could only begin an overlong form"),
    (b"\xc2\x41", "a letter where a continuation is due"),
    (b"\xc3\xc3", "another lead byte"),
    (b"\xe0\x9f", "overlong"),
    (b"\xe1\x80\x7f", "cut short"),
    (b"\xed\xa0", "a surrogate"),
    (b"\xed\xbf", "the last surrogates"),
    (b"\xef\xbf\xc0", "cut short"),
    (b"\xf0\x8f", "overlong"),
    (b"\xf0\x90\x80\x41", "cut short"),
    (b"\xf4\x90", "beyond U+10FFFF"),
    (b"\xf5", "beyond U+10FFFF"),
    (b"\xfe", "never used"),
    (b"\xff", "never used"),
];

/// The bounds of every range that the table names, and their neighbours.
const BOUNDS: [u8; 22] = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5,
    0xff,
];

/// Every such sequence: what the standard library still has hope for, extended by every byte that ends the hope. Of the
/// bytes between the first and the last only those at the bounds of a range are tried; the others are like them.
#[must_use]
pub fn all() -> BTreeSet<Vec<u8>> {
    let hopeful = |bytes: &[u8]| std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
    let (mut found, mut open) = (BTreeSet::new(), vec![vec![]]);
    while let Some(start) = open.pop() {
        for byte in 0..=u8::MAX {
            let bytes = [&start[..], &[byte]].concat();
            if hopeful(&bytes) {
                if start.is_empty() || BOUNDS.contains(&byte) {
                    open.push(bytes);
                }
            } else if std::str::from_utf8(&bytes).is_err() {
                found.insert(bytes);
            }
        }
    }
    found
}

/// A few with each beginning: those at the bounds of the ranges only.
#[must_use]
pub fn bounds() -> Vec<Vec<u8>> {
    let mut bounds: Vec<_> = all().into_iter().filter(|bytes| bytes.iter().all(|byte| BOUNDS.contains(byte))).collect();
    bounds.extend(BY_HAND.iter().map(|(bytes, _)| bytes.to_vec()));
    bounds
}

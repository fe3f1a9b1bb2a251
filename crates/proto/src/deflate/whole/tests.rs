//! What zlib reads of it, and the cases that messages seldom are.

#![allow(clippy::expect_used, reason = "in a test a panic is the report")]

use flate2::{Decompress, FlushDecompress};

use super::huffman::{Alphabet, Code, Tree};
use super::{Progress, RawDeflate, Stream, Whole};

/// The message as it was compressed, which zlib reads as it was.
fn compress(whole: &mut Whole, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; message.len() + Whole::MARGIN];
    let Progress { used, made, stream } = whole.deflate(message, &mut out);
    assert_eq!((used, stream), (message.len(), Stream::Open));
    out.truncate(made);
    assert!(out.ends_with(&[0x00, 0x00, 0xff, 0xff]));
    let (mut zlib, mut back) = (Decompress::new(false), vec![0; message.len() + 1]);
    zlib.decompress(&out, &mut back, FlushDecompress::Sync).expect("zlib reads it");
    assert_eq!((zlib.total_in(), zlib.total_out()), (out.len() as u64, message.len() as u64));
    assert!(back.starts_with(message));
    out
}

/// Bytes that look like chance, of so many values.
fn noise(len: usize, values: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % values
    };
    (0..len).map(|_| next() as u8).collect()
}

/// The first three bits of a block that is not the last say what it is.
fn kind(block: &[u8]) -> u8 {
    block[0] & 0b111
}

#[test]
fn each_kind_of_block_is_made_where_it_is_the_shortest() {
    let mut whole = Whole::new(15);
    let noisy = compress(&mut whole, &noise(1000, 256));
    assert_eq!((kind(&noisy), noisy.len()), (0b000, 1000 + 5 + 5));
    assert_eq!(kind(&compress(&mut whole, b"Hello, hello, hello")), 0b010);
    assert_eq!(kind(&compress(&mut whole, &noise(1000, 20))), 0b100);
}

#[test]
fn matches_of_all_lengths_and_distances_are_read() {
    let mut whole = Whole::new(15);
    // A match of each length, each at the distance of what is between: noise.
    let filler = noise(400, 256);
    for len in (1..300).chain([515, 516, 517, 1000]) {
        let message = [&filler[..], &vec![b'a'; len], &filler[..len.min(400)], b"end"].concat();
        let packed = compress(&mut whole, &message).len();
        assert!(packed < message.len() || len < 50, "{packed} bytes with {len} that are the same");
    }
    for distance in [1, 2, 3, 4, 5, 100, 256, 257, 1000, 4096, 16_384, 24_577, 32_767, 32_768, 32_769, 50_000] {
        let unit = noise(distance, 256);
        let message = [&unit[..], &unit[..distance.min(300)]].concat();
        let found = compress(&mut whole, &message).len() < message.len();
        assert_eq!(found, (100..=32_768).contains(&distance), "{distance}");
    }
}

#[test]
fn the_window_is_kept_to() {
    for bits in 8..=15 {
        let (window, mut whole) = (1 << bits, Whole::new(bits));
        for (distance, found) in [(window, true), (window + 1, false)] {
            let unit = noise(distance, 256);
            let message = [&unit[..], &unit[..200]].concat();
            assert_eq!(compress(&mut whole, &message).len() < message.len(), found, "{distance} in a window of {bits} bits");
        }
    }
}

#[test]
fn what_other_messages_were_is_forgotten() {
    let mut whole = Whole::new(15);
    let first = compress(&mut whole, &noise(500, 200));
    // More than positions have numbers, in messages that end at all places before they are used up.
    for len in (0..2000).chain([Whole::MAX_INPUT, 7, Whole::MAX_INPUT - 1, Whole::MAX_INPUT]) {
        let text: Vec<u8> = b"to be or not to be, that is the question; ".iter().copied().cycle().take(len).collect();
        if len > 0 {
            compress(&mut whole, &text);
        }
    }
    assert_eq!(compress(&mut whole, &noise(500, 200)), first, "as if it were the first");
}

#[test]
fn what_does_not_fit_is_not_begun() {
    let mut whole = Whole::new(15);
    let broken = Progress { used: 0, made: 0, stream: Stream::Broken };
    let long = vec![b'a'; Whole::MAX_INPUT + 1];
    assert_eq!(whole.deflate(&long, &mut vec![0; 2 * long.len()]), broken);
    compress(&mut whole, &long[1..]);
    let message = noise(100, 256);
    assert_eq!(whole.deflate(&message, &mut [0; 100 + Whole::MARGIN - 1]), broken);
    compress(&mut whole, &message);
}

/// How many of the codes of `longest` bits an alphabet takes: all of them, if it is complete.
fn taken(codes: impl Iterator<Item = (usize, Code)>, longest: u8) -> u32 {
    codes.map(|(_, code)| 1 << (longest - code.len())).sum()
}

#[test]
fn codes_are_complete_and_no_longer_than_they_may_be() {
    // Fibonacci's numbers have the deepest tree.
    let mut counts = [0_u16; 30];
    (counts[0], counts[1]) = (1, 1);
    for place in 2..23 {
        counts[place] = counts[place - 1] + counts[place - 2];
    }
    for longest in [5, 7, 15] {
        let mut alphabet = Alphabet::<30, 32>::new([Code::none(0); 32]);
        let bits = alphabet.build(&mut Tree::new(), &counts, longest);
        assert_eq!(taken(alphabet.used(), longest as u8), 1 << longest, "in {longest} bits");
        assert!(alphabet.used().all(|(_, code)| (1..=longest as u8).contains(&code.len())));
        let told: u32 = alphabet.used().map(|(symbol, code)| u32::from(counts[symbol]) * u32::from(code.len())).sum();
        assert_eq!(bits, told);
    }
    // Without a limit that matters, it is Huffman's: 45 times 1 bit, 15 times 2 and so on.
    let mut alphabet = Alphabet::<30, 32>::new([Code::none(3); 32]);
    let mut counts = [0; 30];
    counts[..6].copy_from_slice(&[5, 9, 12, 13, 16, 45]);
    assert_eq!(alphabet.build(&mut Tree::new(), &counts, 15), 224 + 3 * 100, "with what stands behind them");
    let lengths: Vec<_> = alphabet.used().map(|(_, code)| code.len()).collect();
    assert_eq!(lengths, [4, 4, 3, 3, 3, 1]);
}

#[test]
fn a_code_has_two_symbols_even_if_fewer_occur() {
    for only in [None, Some(0), Some(1), Some(29)] {
        let mut counts = [0_u16; 30];
        if let Some(only) = only {
            counts[only] = 7;
        }
        let mut alphabet = Alphabet::<30, 32>::new([Code::none(0); 32]);
        alphabet.build(&mut Tree::new(), &counts, 15);
        assert_eq!((alphabet.used().count(), taken(alphabet.used(), 15)), (2, 1 << 15), "{only:?}");
        assert!(only.is_none_or(|only| alphabet.used().any(|(symbol, _)| symbol == only)));
    }
}

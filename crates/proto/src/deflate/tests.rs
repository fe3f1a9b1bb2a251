//! The codec against C zlib (flate2), which shares no line with zlib-rs' code here, and against the examples of RFC 7692.

#![allow(clippy::expect_used, reason = "in a test a panic is the report")]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::*;
use crate::extension::Direction;
use crate::frame::encode_compressed;
use crate::{Event, Limits, Opcode, Receiver, Role};

/// A message as C zlib compresses it.
fn zlib(compress: &mut Compress, payload: &[u8]) -> Vec<u8> {
    if payload.is_empty() {
        return vec![0];
    }
    let mut out = vec![0; 2 * payload.len() + 1000];
    let before = compress.total_out();
    compress.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate((compress.total_out() - before) as usize);
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// What C zlib makes of a message.
fn unzlib(decompress: &mut Decompress, message: &[u8], len: usize) -> Vec<u8> {
    let mut out = vec![0; len + 1000];
    let before = decompress.total_out();
    decompress.decompress(&[message, &TAIL].concat(), &mut out, FlushDecompress::Sync).expect("zlib decompresses");
    out.truncate((decompress.total_out() - before) as usize);
    out
}

fn inflate(inflater: &mut Inflater, message: &[u8]) -> Result<Vec<u8>, PeerError> {
    inflate_within(inflater, message, 1 << 24)
}

fn inflate_within(inflater: &mut Inflater, message: &[u8], max_message: usize) -> Result<Vec<u8>, PeerError> {
    match inflater.message(Opcode::Binary, message, max_message)? {
        Event::Binary(bytes) => Ok(bytes.into_owned()),
        event => panic!("{event:?} is not binary"),
    }
}

/// Payloads of many sizes: text that repeats itself, noise, and runs.
fn payloads() -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let mut noise = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    };
    let mut all = vec![vec![], b"x".to_vec(), b"Hello".to_vec(), vec![b'a'; 100_000]];
    for len in [2, 20, 255, 256, 257, 1000, 16_383, 16_384, 16_385, 40_000, 70_000, 200_000] {
        all.push(noise(len));
        let text: String =
            (0..).map(|i| format!("{{\"id\":{},\"name\":\"user {}\"}},", i * 7919 % 1000, i % 13)).take(len / 20 + 1).collect();
        all.push(text.into_bytes()[..len].to_vec());
    }
    all
}

#[test]
fn examples_of_rfc_7692_section_7_2_3() {
    let mut alone = Inflater::new(false);
    let examples: [&[u8]; 5] = [
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",                         // one block
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",         // no compression
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",                     // BFINAL
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", // two blocks
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",                         // BFINAL and nothing behind it
    ];
    for example in examples {
        assert_eq!(inflate(&mut alone, example).as_deref(), Ok(&b"Hello"[..]), "{example:02x?}");
    }
    let mut kept = Inflater::new(true);
    assert_eq!(inflate(&mut kept, b"\xf2\x48\xcd\xc9\xc9\x07\x00").as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(inflate(&mut kept, b"\xf2\x00\x11\x00\x00").as_deref(), Ok(&b"Hello"[..]), "it refers to the first");

    let mut deflater = Deflater::new(Direction::TAKEOVER, 6);
    assert_eq!(deflater.message(b"Hello"), Some(&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]));
    assert_eq!(deflater.message(b"Hello"), Some(&b"\xf2\x00\x11\x00\x00"[..]));
}

#[test]
fn contract_25_empty_messages_are_messages() {
    for takeover in [false, true] {
        let mut inflater = Inflater::new(takeover);
        for empty in [&b"\0"[..], b"", b"\x02\x00", b"\x03\x00", b"\0\0\0\xff\xff\0", b"\x03\x00\0"] {
            assert_eq!(inflate(&mut inflater, empty).as_deref(), Ok(&b""[..]), "{empty:02x?}");
        }
        let mut deflater = Deflater::new(Direction { takeover, window_bits: 15 }, 1);
        assert_eq!(deflater.message(b""), Some(&[0][..]));
        assert_eq!(deflater.message(b""), Some(&[0][..]), "twice in a row too");
    }
}

#[test]
fn what_we_compress_zlib_reads_and_the_other_way_round() {
    for takeover in [false, true] {
        for level in [1, 2, 4, 6, 9] {
            for window_bits in 8..=15 {
                let mut ours = Deflater::new(Direction { takeover, window_bits }, level);
                let (mut theirs, mut back) = (Compress::new(Compression::new(level as u32), false), Decompress::new(false));
                let mut inflater = Inflater::new(takeover);
                for payload in payloads().iter().filter(|payload| payload.len() < 50_000 || window_bits == 15) {
                    let message = ours.message(payload).expect("zlib-rs compresses").to_vec();
                    assert_eq!(unzlib(&mut back, &message, payload.len()), *payload);
                    let message = zlib(&mut theirs, payload);
                    assert_eq!(inflate(&mut inflater, &message).as_deref(), Ok(&payload[..]));
                    if !takeover {
                        theirs.reset();
                        back.reset(false);
                    }
                }
            }
        }
    }
}

#[test]
fn hardening_18_a_context_is_kept_for_ten_thousand_messages() {
    let mut ours = Deflater::new(Direction::TAKEOVER, 6);
    let (mut theirs, mut back) = (Compress::new(Compression::new(6), false), Decompress::new(false));
    let mut inflater = Inflater::new(true);
    for number in 0..10_000 {
        let payload =
            format!("{{\"message\":{number},\"square\":{},\"text\":\"the same as ever\"}}", number * number).into_bytes();
        let message = ours.message(&payload).expect("zlib-rs compresses").to_vec();
        assert!(number == 0 || message.len() < payload.len() * 2 / 3, "{number}: {} bytes", message.len());
        assert_eq!(unzlib(&mut back, &message, payload.len()), payload);
        assert_eq!(inflate(&mut inflater, &zlib(&mut theirs, &payload)).as_deref(), Ok(&payload[..]), "{number}");
    }
}

#[test]
fn a_restarted_compressor_refers_to_nothing() {
    let mut ours = Deflater::new(Direction::TAKEOVER, 6);
    let first = ours.message(b"the same text").map(<[u8]>::to_vec);
    ours.restart();
    let second = ours.message(b"the same text").map(<[u8]>::to_vec);
    assert_eq!(first, second);
    let mut inflater = Inflater::new(true);
    // What was sent in between, by somebody else, is in the reader's window and not in ours: both go on.
    assert!(inflate(&mut inflater, &first.unwrap_or_default()).is_ok());
    assert!(inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00").is_ok());
    assert_eq!(inflate(&mut inflater, &second.unwrap_or_default()).as_deref(), Ok(&b"the same text"[..]));
}

#[test]
fn hardening_4_inflating_stops_at_the_limit() {
    // A million zeros and more, in a thousand bytes.
    let bomb = zlib(&mut Compress::new(Compression::new(9), false), &vec![0; 1 << 20]);
    assert!(bomb.len() < 2000);
    for takeover in [false, true] {
        for limit in [0, 1, 100, CHUNK_AND_MORE, (1 << 20) - 1] {
            let mut inflater = Inflater::new(takeover);
            assert_eq!(inflate_within(&mut inflater, &bomb, limit), Err(PeerError::MessageTooBig), "{limit}");
            assert!(inflater.room() <= 2 * limit + CHUNK_AND_MORE, "{limit}: {} bytes", inflater.room());
            assert_eq!(inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00").as_deref(), Ok(&b"Hello"[..]), "as new");
        }
        assert_eq!(inflate_within(&mut Inflater::new(takeover), &bomb, 1 << 20).map(|bytes| bytes.len()), Ok(1 << 20));
    }
}

const CHUNK_AND_MORE: usize = 20_000;

#[test]
fn hardening_17_what_is_no_message_is_an_error_and_leaves_nothing_behind() {
    let payload = b"a message that is long enough to be cut anywhere, anywhere, anywhere";
    for level in [0, 1, 6] {
        let whole = zlib(&mut Compress::new(Compression::new(level), false), payload);
        for takeover in [false, true] {
            // One byte of what is stored as it is, a zero, is an empty message.
            for end in if level == 0 { 2 } else { 1 }..whole.len() {
                let mut inflater = Inflater::new(takeover);
                assert_eq!(inflate(&mut inflater, &whole[..end]), Err(PeerError::InvalidCompression), "{end} of level {level}");
                assert_eq!(inflate(&mut inflater, &whole).as_deref(), Ok(&payload[..]), "as new");
            }
            for trailing in [&b"\xff"[..], b"\xff\xff\xff\xff", b"garbage", b"\x07"] {
                for last in [&whole[..], b"\xf3\x48\xcd\xc9\xc9\x07\x00"] {
                    let message = [last, trailing].concat();
                    let outcome = inflate(&mut Inflater::new(takeover), &message);
                    assert_eq!(outcome, Err(PeerError::InvalidCompression), "{message:02x?}");
                }
            }
        }
    }
    for garbage in [&b"\x07"[..], b"\xff\xff", b"hello there", b"\x06\0\0"] {
        assert_eq!(inflate(&mut Inflater::new(false), garbage), Err(PeerError::InvalidCompression), "{garbage:02x?}");
    }
}

/// Found by the fuzz target `deflate`: what was left out, and any more of it, can be the lengths of a dynamic block's codes, which make
/// nothing and are no error.
#[test]
fn hardening_17_a_message_cut_off_in_the_head_of_a_dynamic_block_is_none() {
    let payload: Vec<_> = (0..400_u32).flat_map(|number| (number * number % 50).to_le_bytes()).collect();
    let whole = zlib(&mut Compress::new(Compression::new(6), false), &payload);
    assert_eq!(whole[0] & 0b111, 0b100, "a dynamic block");
    for takeover in [false, true] {
        let mut inflater = Inflater::new(takeover);
        for cut in [&b"\xed\x0a"[..], b"\xed", b"\x04"].into_iter().chain((1..60).map(|end| &whole[..end])) {
            assert_eq!(inflate(&mut inflater, cut), Err(PeerError::InvalidCompression), "{cut:02x?}");
            assert_eq!(inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00").as_deref(), Ok(&b"Hello"[..]), "as new");
        }
    }
}

/// Also found there: blocks that end inside of what was left out, which is the length of a stored block and nothing else.
#[test]
fn hardening_17_what_was_left_out_ends_a_stored_block_at_its_last_bit() {
    for takeover in [false, true] {
        let mut inflater = Inflater::new(takeover);
        // A final stored block and a plain one have it for their length.
        for whole in [&b"\x31"[..], b"\x01", b"\x00"] {
            assert_eq!(inflate(&mut inflater, whole).as_deref(), Ok(&b""[..]), "{whole:02x?}");
            assert_eq!(inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00").as_deref(), Ok(&b"Hello"[..]), "goes on");
        }
        // Fixed blocks, final and not, whose end it would be.
        for cut in [&b"\x03"[..], b"\x02"] {
            assert_eq!(inflate(&mut inflater, cut), Err(PeerError::InvalidCompression), "{cut:02x?}");
        }
    }
}

/// All events of a receiver, and its error, when the wire is cut into pieces of `size`.
fn receive(limits: &Limits, takeover: bool, wire: &[u8], size: usize) -> (Vec<Event<'static>>, Option<PeerError>) {
    let (mut receiver, mut inflater, mut wire) = (Receiver::new(Role::Client), Inflater::new(takeover), wire.to_vec());
    let (mut events, mut failure) = (Vec::new(), None);
    for piece in wire.chunks_mut(size) {
        let mut at = 0;
        loop {
            match receiver.next_with(limits, &mut inflater, piece, &mut at) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => assert_eq!(failure.replace(error), None, "there is one error"),
            }
        }
    }
    (events, failure)
}

#[test]
fn compressed_frames_mean_the_same_however_they_are_cut() {
    for takeover in [false, true] {
        let (mut deflater, mut wire, mut expected) =
            (Deflater::new(Direction { takeover, window_bits: 15 }, 6), Vec::new(), Vec::new());
        for (number, payload) in payloads().into_iter().filter(|payload| payload.len() <= 40_000).enumerate() {
            let text = String::from_utf8(payload.clone()).ok();
            let opcode = if text.is_some() { Opcode::Text } else { Opcode::Binary };
            let message = deflater.message(&payload).expect("zlib-rs compresses").to_vec();
            if number % 2 == 0 {
                encode_compressed(&mut wire, opcode, &message, None);
            } else {
                fragments(&mut wire, opcode, &message, 1 + message.len() / 3);
            }
            crate::encode_frame(&mut wire, Opcode::Ping, b"?", None);
            expected.push(text.map_or_else(|| Event::Binary(payload.into()), |text| Event::Text(text.into())));
        }
        for size in [1, 2, 7, 100, 4096, 65_536, usize::MAX] {
            let (events, failure) = receive(&Limits::default(), takeover, &wire, size);
            let messages: Vec<_> = events.into_iter().filter(|event| !matches!(event, Event::Ping(_))).collect();
            assert_eq!((messages.len(), failure), (expected.len(), None), "in pieces of {size}");
            assert!(messages == expected, "in pieces of {size}");
        }
    }
}

/// A compressed message in frames of `size` bytes, with pings between them.
fn fragments(wire: &mut Vec<u8>, opcode: Opcode, message: &[u8], size: usize) {
    let count = message.len().div_ceil(size);
    for (index, piece) in message.chunks(size).enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let head = crate::Head { opcode, fin: index + 1 == count, rsv1: index == 0, len: piece.len() };
        crate::encode_head(wire, head, None);
        wire.extend(piece);
        if !head.fin {
            crate::encode_frame(wire, Opcode::Ping, b"between", None);
        }
    }
}

#[test]
fn verdicts_do_not_depend_on_cuts_either() {
    let limits = Limits { max_message: 30_000, max_fragments: 100 };
    let text = "größer ".repeat(3000).into_bytes(); // 27,000 bytes: within the limit
    let long = "größer ".repeat(3400).into_bytes();
    let broken_at = |mut text: Vec<u8>, at: usize| {
        text[at] = 0xff;
        text
    };
    let cases: [(Vec<u8>, PeerError); 6] = [
        (broken_at(text.clone(), 3), PeerError::InvalidUtf8),
        (broken_at(text.clone(), 20_000), PeerError::InvalidUtf8),
        (text[..text.len() - 3].iter().copied().chain([0xc3]).collect(), PeerError::InvalidUtf8),
        (long.clone(), PeerError::MessageTooBig),
        (broken_at(long.clone(), 100), PeerError::InvalidUtf8),
        (broken_at(long, 30_500), PeerError::MessageTooBig),
    ];
    for takeover in [false, true] {
        for level in [0, 6] {
            for (payload, error) in &cases {
                let message = zlib(&mut Compress::new(Compression::new(level), false), payload);
                let (mut whole, mut cut) = (Vec::new(), Vec::new());
                encode_compressed(&mut whole, Opcode::Text, &message, None);
                fragments(&mut cut, Opcode::Text, &message, 1 + message.len() / 5);
                for size in [1, 3, 100, 16_384, usize::MAX] {
                    let (events, failure) = receive(&limits, takeover, &whole, size);
                    assert_eq!((events, failure), (vec![], Some(*error)), "in pieces of {size}, level {level}");
                }
                let by_byte = receive(&limits, takeover, &cut, 1);
                assert_eq!(by_byte.1, Some(*error));
                for size in [3, 100, 16_384, usize::MAX] {
                    assert_eq!(receive(&limits, takeover, &cut, size), by_byte, "fragments in pieces of {size}, level {level}");
                }
            }
        }
    }
}

#[test]
fn hardening_16_rsv1_stands_in_the_first_frame_of_a_message_only() {
    let message = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let mut good = Vec::new();
    fragments(&mut good, Opcode::Text, message, 3);
    assert_eq!(receive(&Limits::default(), false, &good, usize::MAX).1, None);
    for bad in
        [&b"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00"[..], b"\xc9\x00", b"\xc8\x00", b"\xa1\x00", b"\x91\x00", b"\xe1\x00"]
    {
        let wire = [bad, b"\xc1\x07", message].concat();
        for size in [1, usize::MAX] {
            assert_eq!(receive(&Limits::default(), false, &wire, size), (vec![], Some(PeerError::ReservedBits)), "{bad:02x?}");
        }
    }
    // Not negotiated: an error, and the frame behind it is not looked at.
    let mut wire = [b"\xc1\x07", &message[..], b"\xc1\x07", message].concat();
    let mut at = 0;
    let outcome = Receiver::new(Role::Client).next(&Limits::default(), &mut wire, &mut at);
    assert_eq!(outcome, Err(PeerError::ReservedBits));
    assert_eq!(at, wire.len());
}

#[test]
fn a_message_on_its_way_takes_little_memory_from_many() {
    // 8 KiB wait as they came; beyond that the message has a decompressor, and the shared one serves others meanwhile.
    let (mut receivers, mut inflater) = ([Receiver::new(Role::Client), Receiver::new(Role::Client)], Inflater::new(false));
    let payload: Vec<u8> = payloads().into_iter().find(|payload| payload.len() == 40_000).expect("there is one");
    let message = zlib(&mut Compress::new(Compression::new(1), false), &payload);
    assert!(message.len() > 20_000);
    let mut wire = Vec::new();
    encode_compressed(&mut wire, Opcode::Binary, &message, None);
    let mut got = [None, None];
    for piece in wire.chunks(1000) {
        for (receiver, got) in receivers.iter_mut().zip(&mut got) {
            let (mut piece, mut at) = (piece.to_vec(), 0);
            if let Some(event) = receiver.next_with(&Limits::default(), &mut inflater, &mut piece, &mut at).expect("it is right")
            {
                *got = Some(event.into_owned());
            }
        }
    }
    let expected = Some(Event::Binary(payload.into()));
    assert!(got == [expected.clone(), expected]);
}

//! Rows 4, 6, 12, 16, 17 and 18: compressed messages.

use allocation_counter::measure;
use flate2::{Compress, Compression, FlushCompress};
use http::HeaderValue;
use tidewire_hardening::deflate::{TAIL, reach, zlib};
use tidewire_hardening::text::BY_HAND;
use tidewire_hardening::{frame, head};
use tidewire_proto::deflate::{Deflater, Inflater, Progress, RawDeflate, Stream};
use tidewire_proto::extension::{AnswerError, Direction, Policy, Proposal, judge};
use tidewire_proto::{Event, Limits, PeerError, Receiver, Role};
use tidewire_sys::zlib::Compressor;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;

/// Events and the error, when bytes are given in pieces.
fn receive(limits: &Limits, takeover: bool, bytes: &[u8], size: usize) -> (Vec<Event<'static>>, Option<(PeerError, usize)>) {
    let (mut receiver, mut inflater) = (Receiver::new(Role::Client), Inflater::new(takeover));
    let (mut events, mut failure, mut given) = (Vec::new(), None, 0);
    for piece in bytes.to_vec().chunks_mut(size) {
        given += piece.len();
        let mut at = 0;
        loop {
            match receiver.next_with(limits, &mut inflater, piece, &mut at) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => assert_eq!(failure.replace((error, given)), None, "a connection fails once"),
            }
        }
    }
    (events, failure)
}

/// A compressed message in so many frames.
fn frames(opcode: u8, message: &[u8], count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for (index, piece) in message.chunks(message.len().div_ceil(count)).enumerate() {
        let first = if index == 0 { RSV1 | opcode } else { 0 };
        let fin = if (index + 1) * message.len().div_ceil(count) >= message.len() { FIN } else { 0 };
        wire.extend(frame(Role::Client, first | fin, piece));
    }
    wire
}

#[test]
fn row_04_six_megabytes_that_inflate_to_a_gigabyte_stop_at_the_limit() {
    // A megabyte in about six kilobytes, a thousand and twenty-four times: each part ends in a flush, so they can be joined.
    let part: Vec<u8> = (0..1_u32 << 20).map(|at| if at % 512 == 0 { (at >> 9).wrapping_mul(167) as u8 } else { 0 }).collect();
    let mut part = zlib(9, &part);
    part.extend(TAIL);
    let mut bomb = part.repeat(1024);
    bomb.truncate(bomb.len() - TAIL.len());
    assert!((5 << 20..9 << 20).contains(&bomb.len()), "{} bytes", bomb.len());

    let limits = Limits::default();
    for takeover in [false, true] {
        for count in [1, 16] {
            let mut wire = frames(BINARY, &bomb, count);
            let mut outcome = None;
            let cost = measure(|| {
                let (mut receiver, mut inflater, mut at) = (Receiver::new(Role::Client), Inflater::new(takeover), 0);
                outcome = Some(receiver.next_with(&limits, &mut inflater, &mut wire, &mut at).map(|event| event.is_some()));
            });
            assert_eq!(outcome, Some(Err(PeerError::MessageTooBig)), "in {count} frames");
            assert_eq!(PeerError::MessageTooBig.code(), 1009);
            // Memory doubles, so all that was ever asked for is at most twice the limit and what it grew from; and 64 KiB.
            let bound = 2 * limits.max_message as u64 + (64 << 10);
            assert!(cost.bytes_max <= bound && cost.bytes_total <= 2 * bound, "in {count} frames: {cost:?}");
        }
    }
}

#[test]
fn row_04_what_inflates_more_than_it_may_is_known_where_it_does() {
    let limits = Limits::default();
    let blank = zlib(9, &vec![0; 1 << 20]);
    let text: Vec<u8> = (0..1_u32 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let (little, dense) = (zlib(9, &[0; 64 * 1024]), zlib(1, &text));
    for takeover in [false, true] {
        for count in [1, 3] {
            for size in [usize::MAX, 100] {
                let give = |ratio: u32, message: &[u8]| {
                    let (mut receiver, mut inflater, mut outcome) =
                        (Receiver::new(Role::Client), Inflater::new(takeover), Ok(None));
                    inflater.limit_ratio(ratio);
                    for piece in frames(BINARY, message, count).chunks_mut(size) {
                        let mut at = 0;
                        while at < piece.len() && outcome == Ok(None) {
                            let next = receiver.next_with(&limits, &mut inflater, piece, &mut at);
                            outcome = next.map(|event| event.map(|event| matches!(event, Event::Binary(_))));
                        }
                    }
                    outcome
                };
                assert_eq!(give(100, &blank), Err(PeerError::InflatesTooMuch), "in {count} frames by {size}");
                assert_eq!(give(Inflater::MAX_RATIO, &blank), Ok(Some(true)), "as DEFLATE can do it");
                assert_eq!(give(1, &little), Ok(Some(true)), "what becomes no larger than 64 KiB");
                assert_eq!(give(2, &dense), Ok(Some(true)), "what is dense");
            }
        }
    }
    // What came of one message is no excuse for the next, though they share a context.
    let mut theirs = Compress::new(Compression::new(6), false);
    let mut packed = |payload: &[u8]| {
        let mut out = vec![0; payload.len() + 1000];
        let before = theirs.total_out();
        theirs.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
        out.truncate((theirs.total_out() - before) as usize - TAIL.len());
        frames(BINARY, &out, 3)
    };
    let (first, next) = (packed(&text), packed(&vec![0; 1 << 20]));
    let (mut receiver, mut inflater) = (Receiver::new(Role::Client), Inflater::new(true));
    inflater.limit_ratio(100);
    let mut give = |mut wire: Vec<u8>| {
        let event = receiver.next_with(&limits, &mut inflater, &mut wire, &mut 0);
        event.map(|event| event.is_some())
    };
    assert_eq!((give(first), give(next)), (Ok(true), Err(PeerError::InflatesTooMuch)));
    // It stops there: what was asked for is not what the message would have become.
    let mut wire = frames(BINARY, &blank, 1);
    let cost = measure(|| {
        let mut inflater = Inflater::new(true);
        inflater.limit_ratio(64);
        let outcome =
            Receiver::new(Role::Client).next_with(&limits, &mut inflater, &mut wire, &mut 0).map(|event| event.is_some());
        assert_eq!((outcome, PeerError::InflatesTooMuch.code()), (Err(PeerError::InflatesTooMuch), 1009));
    });
    assert!(cost.bytes_max < 400 * 1024, "{cost:?}");
}

#[test]
fn row_04_more_than_any_message_could_be_compressed_to_is_refused_by_its_head() {
    let limits = Limits { max_message: 1000, ..Limits::default() };
    let wire = head(Role::Client, FIN | RSV1 | BINARY, 5000);
    assert_eq!(receive(&limits, false, &wire, 1).1, Some((PeerError::MessageTooBig, 4)));
    // What does not compress grows: the limit is of the message, not of what it travels in.
    let noise: Vec<u8> = (0..1000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let message = zlib(0, &noise);
    assert!(message.len() > 1000);
    assert_eq!(receive(&limits, false, &frames(BINARY, &message, 1), 7).0, [Event::Binary(noise.into())]);
}

#[test]
fn row_06_window_bits_in_an_answer_that_cannot_be_fail_the_handshake() {
    let proposal = Proposal::new(Policy { send: Direction::TAKEOVER, receive: Direction::TAKEOVER });
    for parameter in ["server_max_window_bits", "client_max_window_bits"] {
        for value in ["=0", "=7", "=16", "=99", "=", "", "=\"\"", "=010", "=9; {}=9", "=256", "=9999999999999999999999"] {
            let answer = format!("permessage-deflate; {parameter}{}", value.replace("{}", parameter));
            let line = HeaderValue::try_from(&answer).expect("a header value");
            assert_eq!(judge([&line], Some(&proposal)), Err(AnswerError::Parameter), "{answer}");
        }
        for bits in 8..=15 {
            let line = HeaderValue::try_from(format!("permessage-deflate; {parameter}={bits}")).expect("a header value");
            let agreement = judge([&line], Some(&proposal)).expect("in range").expect("an answer");
            // And what is agreed on can be used without a panic: 8 is compressed with 9.
            let message = Deflater::new(agreement.send, 6).message(b"Hello").map(<[u8]>::to_vec);
            assert_eq!(message.as_deref(), Some(&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]));
        }
    }
}

#[test]
fn row_12_invalid_text_is_known_across_fragments_and_chunks_of_the_inflater() {
    // The bad sequence around every place where one chunk of output ends and the next begins, and one far from it.
    let limits = Limits::default();
    for (bad, _) in BY_HAND {
        for before in [5, 16_380, 16_381, 16_382, 16_383, 16_384, 16_385, 32_766] {
            let text = [&vec![b'a'; before][..], bad, &[b'b'; 20_000]].concat();
            for (level, count, size) in [(6, 1, usize::MAX), (6, 3, 1), (0, 5, 4096)] {
                for takeover in [false, true] {
                    let (events, failure) = receive(&limits, takeover, &frames(TEXT, &zlib(level, &text), count), size);
                    let error = failure.map(|(error, _)| error);
                    assert_eq!((events, error), (vec![], Some(PeerError::InvalidUtf8)), "{bad:02x?} behind {before}");
                }
            }
        }
    }
}

#[test]
fn row_12_invalid_text_is_known_before_the_message_ends() {
    // Stored, so that a byte of text is a byte on the wire; the message never ends.
    let text = [&b"fine "[..], b"\xff", &[b'x'; 60_000]].concat();
    let message = zlib(0, &text);
    let wire = [head(Role::Client, RSV1 | TEXT, message.len()), message].concat();
    let own = receive(&Limits::default(), true, &wire, 1).1.expect("it is no text");
    assert!(own.1 < 100, "a decompressor of its own knows at once: {own:?}");
    let shared = receive(&Limits::default(), false, &wire, 1).1.expect("it is no text");
    assert!(shared.1 < 9000, "a shared one after 8 KiB: {shared:?}");
    assert_eq!((own.0, shared.0), (PeerError::InvalidUtf8, PeerError::InvalidUtf8));
}

#[test]
fn row_16_rsv1_where_it_may_not_be_is_1002_and_nothing_is_inflated_after_it() {
    let message = zlib(6, b"Hello");
    let good = frame(Role::Client, FIN | RSV1 | TEXT, &message);
    let begun = frame(Role::Client, RSV1 | TEXT, &message[..3]);
    let ping = frame(Role::Client, FIN | RSV1 | 0x9, b"");
    let pong = frame(Role::Client, FIN | RSV1 | 0xA, b"");
    let close = frame(Role::Client, FIN | RSV1 | 0x8, b"\x03\xe8");
    let continuation = frame(Role::Client, FIN | RSV1, &message[3..]);
    for bad in [ping, pong, close, [begun, continuation].concat()] {
        let wire = [&bad[..], &good, &good].concat();
        for size in [1, 2, usize::MAX] {
            for takeover in [false, true] {
                let (events, failure) = receive(&Limits::default(), takeover, &wire, size);
                assert_eq!((events, failure.map(|(error, _)| error)), (vec![], Some(PeerError::ReservedBits)), "{bad:02x?}");
            }
        }
    }
    let plain = tidewire_hardening::receive(Role::Client, &Limits::default(), &[&good[..], &good].concat(), 1);
    assert_eq!((plain.events, plain.error), (vec![], Some((PeerError::ReservedBits, 1))), "it was not negotiated");
}

#[test]
fn row_17_cut_off_garbage_and_trailing_bytes_are_the_message_or_1007() {
    let payload = b"some text, some more text, and some more of the same text".repeat(20);
    let whole = zlib(6, &payload);
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for takeover in [false, true] {
        // One decompressor for all of them: none leaves anything behind.
        let mut inflater = Inflater::new(takeover);
        let mut give = |message: &[u8]| {
            let mut wire = frames(BINARY, message, 1);
            let mut receiver = Receiver::new(Role::Client);
            receiver.next_with(&Limits::default(), &mut inflater, &mut wire, &mut 0).map(|event| event.map(Event::into_owned))
        };
        for end in 1..whole.len() {
            assert_eq!(give(&whole[..end]), Err(PeerError::InvalidCompression), "cut off at {end}");
            assert_eq!(give(&whole), Ok(Some(Event::Binary(payload.clone().into()))));
        }
        for byte in 0..=u8::MAX {
            for message in [vec![byte], vec![byte, byte ^ 0x5a, 0x33], [hello, &[byte][..]].concat()] {
                let outcome = give(&message);
                assert!(matches!(outcome, Ok(Some(_)) | Err(PeerError::InvalidCompression)), "{message:02x?}: {outcome:?}");
                assert_eq!(give(hello), Ok(Some(Event::Binary(b"Hello".into()))), "after {message:02x?}");
            }
        }
        assert_eq!(PeerError::InvalidCompression.code(), 1007);
        for (message, text) in [(&b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"[..], &b"Hello"[..]), (b"\x00", b""), (b"\x03\x00", b"")] {
            assert_eq!(give(message), Ok(Some(Event::Binary(text.into()))), "{message:02x?}");
        }
    }
}

#[test]
fn row_18_ten_thousand_messages_keep_their_context() {
    let mut theirs = Compress::new(Compression::new(6), false);
    let mut ours = Deflater::new(Direction::TAKEOVER, 6);
    let (mut receivers, mut inflaters) =
        ([Receiver::new(Role::Client), Receiver::new(Role::Client)], [Inflater::new(true), Inflater::new(true)]);
    for number in 0..10_000_u32 {
        let payload = format!("{{\"number\":{number},\"hash\":{},\"room\":\"lobby\"}}", number.wrapping_mul(2_654_435_761));
        let mut out = vec![0; 500];
        let before = theirs.total_out();
        theirs.compress(payload.as_bytes(), &mut out, FlushCompress::Sync).expect("zlib compresses");
        let len = (theirs.total_out() - before) as usize - TAIL.len();
        let by_us = ours.message(payload.as_bytes()).expect("zlib-rs compresses").to_vec();
        assert!(number == 0 || by_us.len() < payload.len(), "{number}");
        for (which, message) in [&out[..len], &by_us].into_iter().enumerate() {
            let mut wire = frames(TEXT, message, 1 + number as usize % 3);
            let event = receivers[which].next_with(&Limits::default(), &mut inflaters[which], &mut wire, &mut 0);
            assert_eq!(event, Ok(Some(Event::Text(payload.as_str().into()))), "{number}");
        }
    }
}

/// C zlib as the library uses it with the feature `zlib`, where a window of 8 bits is that of 9.
struct Zlib(Compressor);

impl RawDeflate for Zlib {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn deflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let step = self.0.compress(input, output);
        Progress { used: step.used, made: step.made, stream: Stream::Open }
    }
}

#[allow(clippy::expect_used, reason = "in a test a panic is the report")]
fn deflaters(direction: Direction, level: i32) -> [Deflater; 2] {
    let zlib = Compressor::new(level, direction.window_bits.max(9), 8).expect("in range");
    [Deflater::new(direction, level), Deflater::with_codec(Box::new(Zlib(zlib)), direction.takeover)]
}

/// Not a row, but what rows 6 and 18 rest on: how far our compressors refer back, read from their output.
#[test]
fn distances_stay_inside_the_window_that_was_agreed_on() {
    // Text that repeats itself as late as the window allows, in one message and over many.
    for window_bits in 8..=15_u8 {
        let window = 1_usize << window_bits;
        let late = [window / 2, window * 9 / 10, window - 3, window - 1, window, window + 1, 3 * window];
        let periods = late.into_iter().chain([window.saturating_sub(262).max(2), window.saturating_sub(250)]);
        for (takeover, level) in [false, true].into_iter().flat_map(|takeover| [1, 2, 3, 6, 9].map(|level| (takeover, level))) {
            for (codec, mut deflater) in deflaters(Direction { takeover, window_bits }, level).into_iter().enumerate() {
                let mut farthest = 0;
                for period in periods.clone() {
                    let unit: Vec<u8> = (0..period as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
                    let payload = unit.repeat(3);
                    for payload in if takeover { vec![&payload[..period], &payload] } else { vec![&payload[..]] } {
                        let reach = reach(deflater.message(payload).expect("it compresses"));
                        let of = format!("{reach:?} of {window_bits} bits, codec {codec}, level {level}, period {period}");
                        assert!(reach.len == payload.len() && reach.distance <= window, "{of}");
                        assert!(takeover || reach.before == 0, "{of}");
                        farthest = farthest.max(reach.distance);
                    }
                }
                println!("{window_bits} bits, takeover {takeover}, level {level}, codec {codec}: {farthest} of {window}");
                assert!(window_bits == 8 || farthest > window / 3, "the window is used: {farthest} of {window_bits} bits");
            }
        }
    }
}

/// The other thing that a publish rests on: a distance never exceeds the message that it is in.
#[test]
fn a_message_by_itself_reaches_no_farther_than_its_own_length() {
    for len in [1, 100, 256, 257, 1024, 4096, 30_000] {
        let payload: Vec<u8> = (0..len as u32).map(|at| (at % 97) as u8).collect();
        let mut deflater = Deflater::new(Direction::ALONE, 2);
        let reach = reach(deflater.message(&payload).expect("zlib-rs compresses"));
        assert!(reach.distance < len.max(2) && reach.before == 0, "{reach:?} of {len}");
    }
}

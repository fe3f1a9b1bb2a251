//! Properties of compression: what one implementation makes the other reads, and how a wire is cut makes no difference.
#![cfg(feature = "deflate")]
#![allow(clippy::expect_used, reason = "in a test a panic is the report")]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidewire_proto::deflate::{Deflater, Inflater};
use tidewire_proto::extension::Direction;
use tidewire_proto::{Event, Head, Limits, Opcode, PeerError, Receiver, Role, encode_frame, encode_head, mask};

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The same cases in every run, and no files of failures.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0x7692), failure_persistence: None, ..ProptestConfig::default() }
}

/// A message of text or of bytes, some of which repeat.
fn message() -> impl Strategy<Value = (Opcode, Vec<u8>)> {
    prop_oneof![
        "([a-c]{0,9}|größer|🌊| ){0,40}".prop_map(|text| (Opcode::Text, text.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (Opcode::Binary, bytes)),
        (prop::collection::vec(any::<u8>(), 1..9), 0..200_usize).prop_map(|(unit, times)| (Opcode::Binary, unit.repeat(times))),
    ]
}

fn conversation() -> impl Strategy<Value = Vec<(Opcode, Vec<u8>)>> {
    prop::collection::vec(message(), 1..8)
}

type Seen = (Vec<Event<'static>>, Option<PeerError>);

fn receive(takeover: bool, limits: &Limits, wire: &[u8], cuts: impl IntoIterator<Item = usize>) -> Seen {
    let (mut receiver, mut inflater) = (Receiver::new(Role::Server), Inflater::new(takeover));
    let (mut events, mut failure, mut start) = (Vec::new(), None, 0);
    for end in cuts.into_iter().chain([wire.len()]) {
        let (mut piece, mut at) = (wire[start..end].to_vec(), 0);
        loop {
            match receiver.next_with(limits, &mut inflater, &mut piece, &mut at) {
                Ok(Some(event)) => {
                    assert_eq!(failure, None, "nothing comes after the end");
                    events.push(event.into_owned());
                }
                Ok(None) => break,
                Err(error) => assert_eq!(failure.replace(error), None, "there is one error"),
            }
        }
        start = end;
    }
    (events, failure)
}

/// Appends a compressed message in frames that end at the given places, with a ping between them.
fn put(wire: &mut Vec<u8>, opcode: Opcode, payload: &[u8], places: &[prop::sample::Index]) {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut ends: Vec<_> = places.iter().map(|place| place.index(payload.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(payload.len());
    let (mut start, last) = (0, ends.len() - 1);
    for (index, end) in ends.into_iter().enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        encode_head(wire, Head { opcode, fin: index == last, rsv1: index == 0, len: end - start }, Some(key));
        let at = wire.len();
        wire.extend_from_slice(&payload[start..end]);
        mask::apply(key, 0, &mut wire[at..]);
        if index < last {
            encode_frame(wire, Opcode::Ping, b"between", Some(key));
        }
        start = end;
    }
}

fn zlib(compress: &mut Compress, payload: &[u8], takeover: bool) -> Vec<u8> {
    if !takeover {
        compress.reset();
    }
    if payload.is_empty() {
        return vec![0];
    }
    let (mut out, before) = (vec![0; 2 * payload.len() + 100], compress.total_out());
    compress.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate((compress.total_out() - before) as usize - TAIL.len());
    out
}

fn expected(messages: &[(Opcode, Vec<u8>)]) -> Vec<Event<'static>> {
    let event = |(opcode, payload): &(Opcode, Vec<u8>)| match opcode {
        Opcode::Text => Event::Text(String::from_utf8(payload.clone()).expect("text").into()),
        _ => Event::Binary(payload.clone().into()),
    };
    messages.iter().map(event).collect()
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn what_zlib_compresses_is_read_at_every_split(
        messages in conversation(),
        takeover: bool,
        level in 0..10_u32,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let (mut compress, mut wire) = (Compress::new(Compression::new(level), false), Vec::new());
        for (opcode, payload) in &messages {
            put(&mut wire, *opcode, &zlib(&mut compress, payload, takeover), &places);
        }
        let limits = Limits::default();
        let whole = receive(takeover, &limits, &wire, []);
        let got: Vec<_> = whole.0.iter().filter(|event| !matches!(event, Event::Ping(_))).cloned().collect();
        prop_assert_eq!((got, whole.1), (expected(&messages), None));
        for cut in 0..=wire.len() {
            prop_assert!(receive(takeover, &limits, &wire, [cut]) == whole, "cut at {}", cut);
        }
        prop_assert!(receive(takeover, &limits, &wire, 0..wire.len()) == whole, "byte by byte");
    }

    #[test]
    fn what_is_compressed_here_zlib_reads_whatever_the_window(
        messages in conversation(),
        takeover: bool,
        level in 1..10_i32,
        window_bits in 8..16_u8,
        restarts in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut deflater = Deflater::new(Direction { takeover, window_bits }, level);
        let mut decompress = Decompress::new_with_window_bits(false, window_bits.max(9));
        for ((_, payload), restart) in messages.iter().zip(restarts) {
            if restart {
                deflater.restart();
            }
            if !takeover {
                decompress.reset(false);
            }
            let message = deflater.message(payload).expect("zlib-rs compresses");
            let (mut out, before) = (vec![0; payload.len() + 10], decompress.total_out());
            decompress.decompress(&[message, &TAIL].concat(), &mut out, FlushDecompress::Sync).expect("it is DEFLATE");
            out.truncate((decompress.total_out() - before) as usize);
            prop_assert_eq!(&out, payload);
        }
    }

    #[test]
    fn no_garbage_is_read_differently_when_it_is_cut(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        text: bool,
        takeover: bool,
        max_message in 0..400_usize,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut wire = Vec::new();
        put(&mut wire, if text { Opcode::Text } else { Opcode::Binary }, &garbage, &places);
        let limits = Limits { max_message, ..Limits::default() };
        let by_byte = receive(takeover, &limits, &wire, 0..wire.len());
        prop_assert!(receive(takeover, &limits, &wire, []) == by_byte);
        for cut in 0..=wire.len() {
            prop_assert!(receive(takeover, &limits, &wire, [cut]) == by_byte, "cut at {}", cut);
        }
    }
}

//! Properties of the receiver over scripts of frames, right and wrong: it gives what the script means, and how the bytes
//! were cut makes no difference.

mod script;

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidewire_proto::close::MAX_REASON;
use tidewire_proto::{CloseReason, Event, Head, Limits, Opcode, Receiver, Role, encode_close, encode_frame, encode_head, mask};

use script::{LIMITS, Outcome, Script};

/// The same cases in every run, and no files of failures.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0x6455), failure_persistence: None, ..ProptestConfig::default() }
}

/// Everything that a receiver makes of the bytes, cut at the given places.
fn receive(role: Role, limits: &Limits, wire: &[u8], cuts: impl IntoIterator<Item = usize>) -> Outcome {
    let (mut receiver, mut outcome) = (Receiver::new(role), Outcome::default());
    let mut start = 0;
    for end in cuts.into_iter().chain([wire.len()]) {
        let mut piece = wire[start..end].to_vec();
        let mut at = 0;
        loop {
            match receiver.next(limits, &mut piece, &mut at) {
                Ok(Some(event)) => {
                    assert_eq!((&outcome.error, outcome.closed()), (&None, false), "nothing comes after the end");
                    outcome.events.push(event.into_owned());
                }
                Ok(None) => break,
                Err(error) => assert_eq!(outcome.error.replace(error), None, "there is one error"),
            }
            assert_eq!(piece[at..], wire[start + at..end], "what was not consumed was not touched");
        }
        assert_eq!(at, piece.len(), "all of the input is consumed");
        start = end;
    }
    assert_eq!(receiver.is_finished(), outcome.error.is_some() || outcome.closed());
    outcome
}

/// In one piece, in two at every byte, byte by byte, and at places that the case chose, in any order.
fn cut_in_every_way(role: Role, limits: &Limits, wire: &[u8], places: &[prop::sample::Index]) -> Outcome {
    let whole = receive(role, limits, wire, []);
    for cut in 0..=wire.len() {
        assert_eq!(receive(role, limits, wire, [cut]), whole, "cut at {cut}");
    }
    assert_eq!(receive(role, limits, wire, 0..wire.len()), whole, "byte by byte");
    let mut cuts: Vec<_> = places.iter().map(|place| place.index(wire.len() + 1)).collect();
    cuts.sort_unstable();
    assert_eq!(receive(role, limits, wire, cuts.iter().copied()), whole, "cut at {cuts:?}");
    whole
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..20)
}

proptest! {
    #![proptest_config(config(192))]

    #[test]
    fn a_script_means_the_same_however_it_is_cut(script in script::strategy(), places in places()) {
        let wire = script.wire();
        prop_assert_eq!(cut_in_every_way(script.role, &LIMITS, &wire, &places), script.meaning());
    }

    #[test]
    fn corrupted_bytes_mean_the_same_however_they_are_cut(
        script in script::strategy(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        places in places(),
    ) {
        let mut wire = script.wire();
        prop_assume!(!wire.is_empty());
        for (place, change) in changes {
            *place.get_mut(&mut wire) ^= change;
        }
        cut_in_every_way(script.role, &LIMITS, &wire, &places);
    }

    #[test]
    fn arbitrary_bytes_mean_the_same_however_they_are_cut(
        wire in prop::collection::vec(any::<u8>(), 0..300),
        server in any::<bool>(),
        places in places(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        cut_in_every_way(role, &LIMITS, &wire, &places);
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_is_encoded_is_received(
        messages in prop::collection::vec((any::<bool>(), "\\PC{0,40}", 0usize..3000, 1usize..9000), 0..6),
        ping in prop::collection::vec(any::<u8>(), 0..=125),
        reason in "\\PC{0,40}",
        key in any::<Option<[u8; 4]>>(),
        places in places(),
    ) {
        let reason: String = reason.chars().scan(0, |len, c| { *len += c.len_utf8(); (*len <= MAX_REASON).then_some(c) }).collect();
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (text, unit, repeat, fragment) in messages {
            let payload = unit.repeat(repeat);
            let opcode = if text { Opcode::Text } else { Opcode::Binary };
            encode_fragmented(&mut wire, opcode, payload.as_bytes(), fragment, key);
            encode_frame(&mut wire, opcode, payload.as_bytes(), key);
            let event = if text { Event::Text(payload.into()) } else { Event::Binary(payload.into_bytes().into()) };
            expected.extend([event.clone(), event]);
            encode_frame(&mut wire, Opcode::Ping, &ping, key);
            expected.push(Event::Ping(Cow::Owned(ping.clone())));
        }
        prop_assert!(encode_close(&mut wire, Some(3000), &reason, key).is_ok());
        expected.push(Event::Close(Some(CloseReason { code: 3000, reason: reason.into() })));

        let role = if key.is_some() { Role::Server } else { Role::Client };
        let limits = Limits::default();
        let whole = receive(role, &limits, &wire, []);
        prop_assert_eq!(whole.error, None);
        prop_assert_eq!(&whole.events, &expected);
        let mut cuts: Vec<_> = places.iter().map(|place| place.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(receive(role, &limits, &wire, cuts).events, expected);
    }
}

/// Encodes a message in frames of `size` bytes, as an application does that streams.
fn encode_fragmented(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], size: usize, key: Option<[u8; 4]>) {
    let count = payload.len().div_ceil(size).max(1);
    for index in 0..count {
        let piece = &payload[index * size..payload.len().min((index + 1) * size)];
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        encode_head(out, Head { opcode, fin: index + 1 == count, rsv1: false, len: piece.len() }, key);
        let start = out.len();
        out.extend_from_slice(piece);
        if let Some(key) = key {
            mask::apply(key, 0, &mut out[start..]);
        }
    }
}

/// The generator itself: properties prove nothing about cases that never come up.
#[test]
fn scripts_reach_every_kind_of_end() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::HashSet;

    let mut runner = TestRunner::new(config(1));
    let (mut ends, mut events) = (HashSet::new(), HashSet::new());
    for _ in 0..4_000 {
        let script: Script = script::strategy().new_tree(&mut runner).expect("scripts can be made").current();
        let meaning = script.meaning();
        ends.insert(meaning.error);
        events.extend(meaning.events.iter().map(std::mem::discriminant));
    }
    // Both mask errors and every other variant, and the good end.
    assert_eq!(ends.len(), 17, "{ends:?}");
    assert_eq!(events.len(), 5);
}

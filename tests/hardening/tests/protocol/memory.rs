//! Rows 3 and 5: what a peer can make us hold.

use allocation_counter::{AllocationInfo, measure};
use tidewire_hardening::{ROLES, frame, head, head_as, receive};
use tidewire_proto::{Event, Limits, PeerError, Receiver, Role};

const MILLION: u32 = 1_000_000;

/// Begins a message and continues it a million times with the same payload; what it cost, how many continuations were
/// taken, and the error that ended it.
fn continue_a_million_times(limits: &Limits, payload: &[u8]) -> (AllocationInfo, u32, Option<PeerError>) {
    let mut receiver = Receiver::new(Role::Server);
    let start = frame(Role::Server, 0x02, &[]);
    let continuation = frame(Role::Server, 0x00, payload);
    let (mut taken, mut failure) = (0, None);
    let mut input = start.clone();
    let cost = measure(|| {
        assert_eq!(receiver.next(limits, &mut input, &mut 0), Ok(None));
        // One buffer for all, as a worker has it.
        let mut buffer = [0; 16];
        let input = &mut buffer[..continuation.len()];
        while taken < MILLION && failure.is_none() {
            input.copy_from_slice(&continuation);
            match receiver.next(limits, input, &mut 0) {
                Ok(event) => assert_eq!(event, None),
                Err(error) => failure = Some(error),
            }
            taken += 1;
        }
    });
    (cost, taken, failure)
}

#[test]
fn row_03_a_million_continuations_end_at_the_fragment_limit() {
    let limits = Limits { max_message: 256 * 1024, ..Limits::default() };
    let bound = 2 * limits.max_message as u64 + 64 * 1024;
    for payload in [&b"x"[..], b""] {
        let (cost, taken, failure) = continue_a_million_times(&limits, payload);
        let failure = failure.expect("a million is too many");
        assert_eq!((failure, failure.code()), (PeerError::TooManyFragments, 1008));
        assert_eq!(taken, limits.max_fragments, "the first frame and these make the limit, less one that is too many");
        assert!(cost.bytes_max <= bound, "{cost:?}");
        assert!(cost.count_total <= 64, "memory grows in steps that double: {cost:?}");
        assert_eq!(cost.bytes_current, 0, "the error frees what was under way");
    }
}

#[test]
fn row_03_memory_follows_the_payload_even_without_a_fragment_limit() {
    let limits = Limits { max_message: 512 * 1024, max_fragments: u32::MAX };
    let (cost, taken, failure) = continue_a_million_times(&limits, b"");
    assert_eq!((taken, failure), (MILLION, None));
    assert!(cost.bytes_max <= 1024, "empty fragments hold nothing: {cost:?}");

    let (cost, taken, failure) = continue_a_million_times(&limits, b"x");
    assert_eq!((taken, failure), (512 * 1024 + 1, Some(PeerError::MessageTooBig)));
    assert!(cost.bytes_max <= 2 * 512 * 1024 + 64 * 1024, "also while it moves: {cost:?}");
}

#[test]
fn row_05_absurd_lengths_fail_before_any_allocation() {
    for role in ROLES {
        for (len, error) in [
            (1 << 63, PeerError::LengthOverflow),
            (u64::MAX, PeerError::LengthOverflow),
            ((1 << 63) - 1, PeerError::MessageTooBig),
            (Limits::DEFAULT_MAX_MESSAGE as u64 + 1, PeerError::MessageTooBig),
        ] {
            for first in [0x81, 0x82, 0x01, 0x02] {
                let mut bytes = [head_as(role, first, 127, &u64::to_be_bytes(len)), b"payload".to_vec()].concat();
                let mut receiver = Receiver::new(role);
                let mut outcome = Ok(());
                let cost = measure(|| {
                    outcome = receiver.next(&Limits::default(), &mut bytes, &mut 0).map(drop);
                });
                assert_eq!(outcome, Err(error), "{len} as {role:?}");
                assert!([1002, 1009].contains(&error.code()));
                assert_eq!(cost.count_total, 0, "{len} as {role:?}");
            }
        }
    }
}

#[test]
fn row_05_lengths_that_are_not_minimal_fail_in_every_form() {
    let limits = Limits::default();
    for role in ROLES {
        let short = (0..=125u16).map(|len| head_as(role, 0x82, 126, &len.to_be_bytes()));
        let long = (0..=0xffffu64).map(|len| head_as(role, 0x82, 127, &len.to_be_bytes()));
        for bytes in short.chain(long) {
            for size in [1, 64] {
                let error = receive(role, &limits, &bytes, size).error.map(|(error, _)| (error, error.code()));
                assert_eq!(error, Some((PeerError::LengthNotMinimal, 1002)), "{bytes:02x?}");
            }
        }
        for (len, first) in [(126, 126), (0xffff, 126), (0x1_0000, 127)] {
            let bytes = head(role, 0x82, len);
            assert_eq!(bytes[1] & 0x7f, first);
            assert_eq!(receive(role, &limits, &bytes, 1).error, None, "the smallest of a form is right");
        }
    }
}

#[test]
fn row_05_the_sum_of_the_fragments_is_what_counts() {
    let limits = Limits { max_message: 1000, ..Limits::default() };
    for role in ROLES {
        let fits = [frame(role, 0x02, &[1; 500]), frame(role, 0x80, &[2; 500])].concat();
        let message = Event::Binary([[1; 500], [2; 500]].concat().into());
        assert_eq!(receive(role, &limits, &fits, 1).events, [message]);

        let start = frame(role, 0x02, &[1; 500]);
        for bytes in [head(role, 0x80, 501), head_as(role, 0x80, 127, &(u64::MAX >> 1).to_be_bytes())] {
            let error = receive(role, &limits, &[start.clone(), bytes].concat(), 7).error.map(|(error, _)| error);
            assert_eq!(error, Some(PeerError::MessageTooBig));
        }
    }
}

#[test]
fn row_05_memory_follows_what_has_arrived_not_what_is_announced() {
    let limits = Limits::default();
    for first in [0x81, 0x82] {
        let mut receiver = Receiver::new(Role::Client);
        let mut announced = head(Role::Client, first, limits.max_message);
        let cost = measure(|| {
            assert_eq!(receiver.next(&limits, &mut announced, &mut 0), Ok(None));
            for _ in 0..10 {
                assert_eq!(receiver.next(&limits, &mut [b'x'; 10], &mut 0), Ok(None));
            }
        });
        assert!(cost.bytes_max <= 1024, "16 MiB are announced and 100 bytes are here: {cost:?}");
    }
}

#[test]
fn row_05_frames_that_lie_whole_in_the_input_allocate_nothing() {
    let limits = Limits::default();
    for role in ROLES {
        let mut bytes = Vec::new();
        for payload in [vec![b'x'; 20], vec![b'x'; 1000], vec![b'x'; 100_000]] {
            bytes.extend(frame(role, 0x81, &payload));
            bytes.extend(frame(role, 0x82, &payload));
            bytes.extend(frame(role, 0x89, &payload[..20]));
        }
        let (mut receiver, mut at, mut events) = (Receiver::new(role), 0, 0);
        let cost = measure(|| {
            while let Ok(Some(_)) = receiver.next(&limits, &mut bytes, &mut at) {
                events += 1;
            }
        });
        assert_eq!((events, cost.count_total), (9, 0));
    }
}

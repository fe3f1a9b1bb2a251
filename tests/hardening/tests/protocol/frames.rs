//! Rows 13 to 16: frames that break the rules.

use tidewire_hardening::{Outcome, ROLES, frame, receive};
use tidewire_proto::{CloseReason, Event, Limits, PeerError, Role};

/// The close code that these bytes deserve, when frames that are right follow them, in one piece and byte by byte.
fn code(role: Role, bytes: &[u8]) -> Option<u16> {
    let followed = [bytes, &frame(role, 0x81, b"late"), &frame(role, 0x89, b"late")].concat();
    let outcome = outcome(role, &followed);
    assert!(!outcome.events.iter().any(is_late), "what follows is ignored: {outcome:?}");
    outcome.error.map(|(error, _)| error.code())
}

fn is_late(event: &Event<'_>) -> bool {
    *event == Event::Text("late".into()) || *event == Event::Ping(b"late".into())
}

fn outcome(role: Role, bytes: &[u8]) -> Outcome {
    let whole = receive(role, &Limits::default(), bytes, bytes.len());
    let single = receive(role, &Limits::default(), bytes, 1);
    assert_eq!(single.events, whole.events);
    assert_eq!(single.error.map(|(error, _)| error), whole.error.map(|(error, _)| error));
    whole
}

#[test]
fn row_13_unmasked_to_the_server_and_masked_to_the_client() {
    for (role, sent_as, error) in
        [(Role::Server, Role::Client, PeerError::NotMasked), (Role::Client, Role::Server, PeerError::Masked)]
    {
        for first in [0x81, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8a] {
            for payload in [&b""[..], b"abc"] {
                let bytes = frame(sent_as, first, payload);
                assert_eq!(code(role, &bytes), Some(1002), "{first:#x}");
                assert_eq!(receive(role, &Limits::default(), &bytes, 1).error, Some((error, 2)), "known at the second byte");
            }
        }
        // The mask is judged in each frame, not in the first.
        let bytes = [frame(role, 0x01, b"a"), frame(sent_as, 0x80, b"b")].concat();
        assert_eq!(code(role, &bytes), Some(1002));
        let bytes = [frame(role, 0x82, b"a"), frame(sent_as, 0x82, b"b")].concat();
        assert_eq!(code(role, &bytes), Some(1002));
    }
}

#[test]
fn row_14_close_frames_of_length_1_and_126() {
    for role in ROLES {
        assert_eq!(code(role, &frame(role, 0x88, b"\x03")), Some(1002));
        let long = [b"\x03\xe8", &[b'x'; 124][..]].concat();
        assert_eq!(code(role, &frame(role, 0x88, &long)), Some(1002));
        let longest = outcome(role, &frame(role, 0x88, &long[..125]));
        assert_eq!(longest.events, [Event::Close(Some(CloseReason { code: 1000, reason: "x".repeat(123).into() }))]);
    }
}

#[test]
fn row_14_every_close_code() {
    for role in ROLES {
        for value in 0..=u16::MAX {
            let never = matches!(value, 0..=999 | 1004..=1006 | 1015..=2999 | 5000..);
            let bytes = frame(role, 0x88, &value.to_be_bytes());
            assert_eq!(code(role, &bytes), never.then_some(1002), "{value}");
            if !never {
                let close = Event::Close(Some(CloseReason { code: value, reason: "".into() }));
                assert_eq!(outcome(role, &bytes).events, [close], "{value}");
            }
        }
    }
}

#[test]
fn row_14_a_reason_that_is_not_utf_8_and_frames_after_a_close() {
    for role in ROLES {
        for reason in [&b"\xff"[..], b"ok\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"] {
            assert_eq!(code(role, &frame(role, 0x88, &[b"\x03\xe8", reason].concat())), Some(1007), "{reason:02x?}");
        }
        let junk = [frame(role, 0x88, b""), frame(role, 0x88, b""), frame(role, 0x81, b"late"), vec![0xff; 99]].concat();
        assert_eq!(outcome(role, &junk), Outcome { events: vec![Event::Close(None)], error: None });
        assert_eq!(code(role, &frame(role, 0x88, "\u{3}\u{e8}".as_bytes())), Some(1002), "text where the code is due");
    }
}

#[test]
fn row_15_control_frames_and_opcodes() {
    for role in ROLES {
        for opcode in [0x8, 0x9, 0xa] {
            for payload in [&b""[..], b"ab"] {
                assert_eq!(code(role, &frame(role, opcode, payload)), Some(1002), "FIN = 0 in {opcode:#x}");
            }
            for len in [126, 127, 0xffff, 0x1_0000] {
                assert_eq!(code(role, &frame(role, 0x80 | opcode, &vec![0; len])), Some(1002), "{len} bytes in {opcode:#x}");
            }
        }
        for first in 0..=u8::MAX {
            let (rsv, opcode) = (first & 0x70, first & 0x0f);
            let bytes = frame(role, first, b"");
            if rsv != 0 || matches!(opcode, 3..=7 | 11..=15) {
                assert_eq!(code(role, &bytes), Some(1002), "{first:#04x}");
                // Also between the fragments of a message.
                assert_eq!(code(role, &[frame(role, 0x01, b"a"), bytes].concat()), Some(1002), "{first:#04x}");
            }
        }
    }
}

#[test]
fn row_15_a_legal_ping_between_fragments_is_delivered() {
    for role in ROLES {
        let longest = [7; 125];
        let bytes = [
            frame(role, 0x01, "aé".as_bytes()),
            frame(role, 0x89, &longest),
            frame(role, 0x00, b""),
            frame(role, 0x89, b""),
            frame(role, 0x8a, b"p"),
            frame(role, 0x80, b"z"),
        ]
        .concat();
        let expected = [
            Event::Ping(longest.to_vec().into()),
            Event::Ping(vec![].into()),
            Event::Pong(b"p".into()),
            Event::Text("aéz".into()),
        ];
        assert_eq!(outcome(role, &bytes), Outcome { events: expected.to_vec(), error: None });
    }
}

#[test]
fn row_16_rsv1_is_an_error_and_nothing_after_it_is_looked_at() {
    // A message deflated as RFC 7692 does ("Hello", section 7.2.3.1).
    let deflated = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for role in ROLES {
        for first in [0xc1, 0xc2, 0x41, 0x42, 0xc8, 0xc9, 0xca] {
            let bytes = frame(role, first, deflated);
            assert_eq!(code(role, &bytes), Some(1002), "{first:#x}");
            let next = [&bytes[..], &frame(role, 0xc1, deflated), &frame(role, 0x80, b"")].concat();
            assert_eq!(outcome(role, &next).events, [], "{first:#x}");
        }
        for continuation in [0x40, 0xc0] {
            let bytes = [frame(role, 0x01, b"a"), frame(role, continuation, deflated)].concat();
            assert_eq!(code(role, &bytes), Some(1002));
        }
        let error = receive(role, &Limits::default(), &frame(role, 0xc1, deflated), 1).error;
        assert_eq!(error, Some((PeerError::ReservedBits, 1)), "known at the first byte");
    }
}

//! The receiver against the examples of RFC 6455 and against tables of what must fail, in one piece and byte by byte.

use super::*;
use crate::close::CloseReason;
use crate::frame::{Head, encode_frame, encode_head, head_len};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Everything that a receiver makes of these bytes when it gets them in pieces of `size`.
fn receive_in(size: usize, role: Role, limits: &Limits, bytes: &[u8]) -> (Vec<Event<'static>>, Option<PeerError>) {
    let (mut receiver, mut bytes) = (Receiver::new(role), bytes.to_vec());
    let (mut events, mut failure) = (Vec::new(), None);
    for piece in bytes.chunks_mut(size) {
        let mut at = 0;
        loop {
            match receiver.next(limits, piece, &mut at) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => assert_eq!(failure.replace(error), None, "there is one error at most"),
            }
        }
        assert_eq!(at, piece.len(), "all of the input is consumed");
    }
    (events, failure)
}

/// The same in one piece and byte by byte.
fn receive(role: Role, bytes: &[u8]) -> (Vec<Event<'static>>, Option<PeerError>) {
    let whole = receive_in(usize::MAX, role, &Limits::default(), bytes);
    assert_eq!(receive_in(1, role, &Limits::default(), bytes), whole, "cuts do not matter: {bytes:02x?}");
    whole
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

/// An unmasked frame, whatever its bits say.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len => out.extend([126, (len >> 8) as u8, len as u8]),
    }
    out.extend(payload);
    out
}

#[test]
fn examples_of_rfc_6455_section_5_7() {
    assert_eq!(receive(Role::Client, b"\x81\x05Hello"), (vec![text("Hello")], None));
    assert_eq!(receive(Role::Server, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), (vec![text("Hello")], None));
    assert_eq!(receive(Role::Client, b"\x01\x03Hel\x80\x02lo"), (vec![text("Hello")], None));
    assert_eq!(receive(Role::Client, b"\x89\x05Hello"), (vec![Event::Ping(b"Hello".to_vec().into())], None));
    let pong = Event::Pong(b"Hello".to_vec().into());
    assert_eq!(receive(Role::Server, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), (vec![pong], None));

    for (len, head) in [(256, &b"\x82\x7e\x01\x00"[..]), (65_536, b"\x82\x7f\0\0\0\0\0\x01\0\0")] {
        let payload = vec![0xfe; len];
        let bytes = [head, &payload].concat();
        assert_eq!(receive(Role::Client, &bytes), (vec![Event::Binary(payload.into())], None));
    }
}

#[test]
fn a_whole_frame_is_lent_and_a_cut_one_is_owned() {
    let mut wire = Vec::new();
    for payload in [vec![b'x'; 20], vec![b'x'; 300], vec![b'x'; 70_000]] {
        wire.clear();
        encode_frame(&mut wire, Opcode::Text, &payload, Some(KEY));
        encode_frame(&mut wire, Opcode::Binary, &payload, Some(KEY));
        let mut receiver = Receiver::new(Role::Server);
        let (mut at, limits) = (0, Limits::default());
        let event = receiver.next(&limits, &mut wire, &mut at);
        assert!(matches!(event, Ok(Some(Event::Text(Cow::Borrowed(text)))) if text.as_bytes() == payload));
        assert!(receiver.is_idle());

        let (start, end) = wire[at..].split_at_mut(head_len(payload.len(), true) + 5);
        assert_eq!(receiver.next(&limits, start, &mut 0), Ok(None));
        assert!(!receiver.is_idle());
        let event = receiver.next(&limits, end, &mut 0);
        assert!(matches!(event, Ok(Some(Event::Binary(Cow::Owned(bytes)))) if bytes == payload));
        assert!(receiver.is_idle(), "what was under way is freed");
    }
}

#[test]
fn a_payload_that_is_whole_is_lent_even_if_its_head_was_cut() {
    let mut wire = Vec::new();
    encode_frame(&mut wire, Opcode::Binary, &[7; 300], Some(KEY));
    for cut in 1..=head_len(300, true) {
        let mut wire = wire.clone();
        let (start, end) = wire.split_at_mut(cut);
        let mut receiver = Receiver::new(Role::Server);
        assert_eq!(receiver.next(&Limits::default(), start, &mut 0), Ok(None));
        let event = receiver.next(&Limits::default(), end, &mut 0);
        // With its whole head the frame is under way, and what it needs has been prepared.
        let owned = cut == head_len(300, true);
        assert!(matches!(event, Ok(Some(Event::Binary(bytes))) if *bytes == [7; 300] && matches!(bytes, Cow::Owned(_)) == owned));
    }
}

#[test]
fn messages_of_every_length_around_the_forms() {
    for len in [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537] {
        for (role, key) in [(Role::Server, Some(KEY)), (Role::Client, None)] {
            let payload = vec![b'a'; len];
            let mut wire = Vec::new();
            encode_frame(&mut wire, Opcode::Binary, &payload, key);
            encode_frame(&mut wire, Opcode::Text, &payload, key);
            let expected = vec![Event::Binary(payload.clone().into()), text(&"a".repeat(len))];
            assert_eq!(receive(role, &wire), (expected, None), "{len} bytes as {role:?}");
        }
    }
}

#[test]
fn control_frames_between_fragments_are_given_at_once_and_in_order() {
    let wire = [
        raw(0x01, b"a"),
        raw(0x89, b"1"),
        raw(0x00, b""),
        raw(0x8a, b"2"),
        raw(0x00, "ü".as_bytes()),
        raw(0x89, b""),
        raw(0x80, b"z"),
        raw(0x82, b"b"),
    ]
    .concat();
    let expected = vec![
        Event::Ping(b"1".to_vec().into()),
        Event::Pong(b"2".to_vec().into()),
        Event::Ping(Cow::Borrowed(&[])),
        text("aüz"),
        Event::Binary(b"b".to_vec().into()),
    ];
    assert_eq!(receive(Role::Client, &wire), (expected, None));

    let mut receiver = Receiver::new(Role::Client);
    let mut part = [raw(0x01, b"a"), raw(0x89, b"1")].concat();
    let event = receiver.next(&Limits::default(), &mut part, &mut 0);
    assert_eq!(event, Ok(Some(Event::Ping(b"1".into()))), "before the message ends");
}

#[test]
fn heads_that_must_fail() {
    use PeerError as E;
    let long = [0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let table: &[(&[u8], E)] = &[
        (&[0xc1], E::ReservedBits),
        (&[0xa1], E::ReservedBits),
        (&[0x91], E::ReservedBits),
        (&[0xf2], E::ReservedBits),
        (&[0xc8], E::ReservedBits),
        (&[0xc0], E::ReservedBits),
        (&[0x83], E::ReservedOpcode),
        (&[0x87], E::ReservedOpcode),
        (&[0x8b], E::ReservedOpcode),
        (&[0x8f], E::ReservedOpcode),
        (&[0x08], E::FragmentedControl),
        (&[0x09], E::FragmentedControl),
        (&[0x0a], E::FragmentedControl),
        (&[0x89, 126], E::ControlTooLong),
        (&[0x88, 127], E::ControlTooLong),
        (&[0x80], E::UnexpectedContinuation),
        (&[0x00], E::UnexpectedContinuation),
        (&[0x01, 0x00, 0x81], E::ExpectedContinuation),
        (&[0x01, 0x00, 0x02], E::ExpectedContinuation),
        (&[0x01, 0x00, 0x80, 0x00, 0x80], E::UnexpectedContinuation),
        (&[0x82, 0x80], E::Masked),
        (&[0x82, 126, 0, 125], E::LengthNotMinimal),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], E::LengthNotMinimal),
        (&long, E::LengthOverflow),
        (&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], E::LengthOverflow),
        (&[0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], E::MessageTooBig),
    ];
    for (bytes, error) in table {
        let (_, failure) = receive(Role::Client, bytes);
        assert_eq!(failure, Some(*error), "{bytes:02x?} fails at its last byte");
        let (_, failure) = receive(Role::Client, &bytes[..bytes.len() - 1]);
        assert_eq!(failure, None, "{bytes:02x?} does not fail before");
        // What follows is ignored, even if it is right.
        let (events, _) = receive(Role::Client, &[bytes, &b"\x81\x02ok"[..]].concat());
        assert!(!events.contains(&text("ok")), "{bytes:02x?}");
    }
    assert_eq!(receive(Role::Server, &[0x82, 0x00]).1, Some(E::NotMasked));
}

#[test]
fn limits_are_inclusive_and_count_all_fragments() {
    let limits = Limits { max_message: 10, max_fragments: 3 };
    let run = |wire: &[u8]| {
        let whole = receive_in(usize::MAX, Role::Client, &limits, wire);
        assert_eq!(receive_in(1, Role::Client, &limits, wire), whole);
        whole
    };
    assert_eq!(run(&raw(0x82, &[7; 10])), (vec![Event::Binary(vec![7; 10].into())], None));
    assert_eq!(run(&raw(0x82, &[7; 11])), (vec![], Some(PeerError::MessageTooBig)));
    assert_eq!(run(&raw(0x81, &[7; 200])), (vec![], Some(PeerError::MessageTooBig)));
    let two = [raw(0x02, &[7; 5]), raw(0x80, &[8; 5])].concat();
    assert_eq!(run(&two), (vec![Event::Binary([[7; 5], [8; 5]].concat().into())], None));
    let two = [raw(0x02, &[7; 5]), raw(0x89, &[9; 100]), raw(0x80, &[8; 6])].concat();
    assert_eq!(run(&two), (vec![Event::Ping(vec![9; 100].into())], Some(PeerError::MessageTooBig)), "a ping does not count");

    let three = [raw(0x01, b"a"), raw(0x00, b"b"), raw(0x80, b"c")].concat();
    assert_eq!(run(&[&three[..], &three].concat()), (vec![text("abc"), text("abc")], None));
    let four = [raw(0x01, b"a"), raw(0x00, b"b"), raw(0x89, b""), raw(0x00, b""), raw(0x80, b"c")].concat();
    assert_eq!(run(&four), (vec![Event::Ping(Cow::Borrowed(&[]))], Some(PeerError::TooManyFragments)));

    let narrow = Limits { max_message: 10, max_fragments: 0 };
    assert_eq!(receive_in(usize::MAX, Role::Client, &narrow, &raw(0x81, b"a")), (vec![text("a")], None));
    assert_eq!(receive_in(1, Role::Client, &narrow, &raw(0x81, b"a")), (vec![text("a")], None));
}

#[test]
fn close_payloads() {
    let close = |payload: &[u8]| receive(Role::Client, &[raw(0x88, payload), raw(0x81, b"late"), vec![0xff]].concat());
    let reason = |code, reason: &str| Event::Close(Some(CloseReason { code, reason: reason.to_owned().into() }));
    assert_eq!(close(b""), (vec![Event::Close(None)], None));
    assert_eq!(close(b"\x03\xe8"), (vec![reason(1000, "")], None));
    assert_eq!(close("\u{3}\u{e8}".as_bytes()), (vec![], Some(PeerError::InvalidCloseCode)), "U+00E8 is two bytes");
    let longest = "ü".repeat(61) + "x";
    assert_eq!(close(&[&[0x0b, 0xb8], longest.as_bytes()].concat()), (vec![reason(3000, &longest)], None));
    assert_eq!(close(b"\x03"), (vec![], Some(PeerError::CloseTooShort)));
    assert_eq!(close(b"\x03\xe8\xc3"), (vec![], Some(PeerError::InvalidCloseReason)));
    assert_eq!(close(b"\x03\xed\xff"), (vec![], Some(PeerError::InvalidCloseCode)), "the code is judged first");
}

#[test]
fn a_close_ends_it_within_a_message_too() {
    let wire = [raw(0x01, b"a"), raw(0x88, b""), raw(0x80, b"b")].concat();
    assert_eq!(receive(Role::Client, &wire), (vec![Event::Close(None)], None));
    let mut receiver = Receiver::new(Role::Client);
    let mut at = 0;
    assert_eq!(receiver.next(&Limits::default(), &mut wire.clone(), &mut at), Ok(Some(Event::Close(None))));
    assert!(receiver.is_finished() && receiver.is_idle(), "the partial message is freed");
    assert_eq!(at, wire.len());
}

#[test]
fn text_fails_at_the_offending_byte() {
    // Autobahn 6.4: the rest of the frame, of the message, or of the frame's announced length never comes.
    let valid = "κόσμε".as_bytes();
    let payload = [valid, &[0xf4, 0x90, 0x80, 0x80], b"edited"].concat();
    let offending = valid.len() + 1;
    for (first, len) in [(0x81, 120), (0x01, payload.len()), (0x01, 60)] {
        let mut receiver = Receiver::new(Role::Client);
        assert_eq!(receiver.next(&Limits::default(), &mut [first, len as u8], &mut 0), Ok(None));
        for (index, byte) in payload.iter().enumerate().take(offending) {
            assert_eq!(receiver.next(&Limits::default(), &mut [*byte], &mut 0), Ok(None), "byte {index}");
        }
        let mut byte = [payload[offending]];
        assert_eq!(receiver.next(&Limits::default(), &mut byte, &mut 0), Err(PeerError::InvalidUtf8));
    }
}

#[test]
fn text_may_be_cut_within_a_character_but_not_end_there() {
    let sample = "é水𝒳".as_bytes();
    for cut in 0..=sample.len() {
        let wire = [raw(0x01, &sample[..cut]), raw(0x00, b""), raw(0x80, &sample[cut..])].concat();
        assert_eq!(receive(Role::Client, &wire), (vec![text("é水𝒳")], None));
        let ends = [raw(0x01, b""), raw(0x80, &sample[..cut])].concat();
        let whole = std::str::from_utf8(&sample[..cut]);
        let expected = whole.map_or((vec![], Some(PeerError::InvalidUtf8)), |whole| (vec![text(whole)], None));
        assert_eq!(receive(Role::Client, &ends), expected, "cut at {cut}");
    }
}

#[test]
fn memory_runs_ahead_of_the_payload_by_no_more_than_it_has_grown() {
    // Where the end is known, memory does not run beyond it; where it is not, not beyond the limit.
    for (fin, max_message, bound) in [(true, 8 << 20, 1_100_000), (false, 1_500_000, 1_500_000)] {
        let limits = Limits { max_message, ..Limits::default() };
        let mut receiver = Receiver::new(Role::Client);
        let mut wire = Vec::new();
        encode_head(&mut wire, Head { opcode: Opcode::Binary, fin, rsv1: false, len: 1_100_000 }, None);
        assert_eq!(receiver.next(&limits, &mut wire, &mut 0), Ok(None));
        for arrived in (1000..1_100_000).step_by(1000) {
            assert_eq!(receiver.next(&limits, &mut [0; 1000], &mut 0), Ok(None));
            let message = receiver.partial.as_ref().and_then(|partial| partial.message.as_ref());
            let capacity = message.map(Message::capacity);
            assert!(capacity.is_some_and(|capacity| capacity <= (2 * arrived).min(bound)), "{capacity:?} for {arrived}");
        }
        let last = receiver.next(&limits, &mut [0; 1000], &mut 0).map(|event| event.is_some());
        assert_eq!(last, Ok(fin));
    }
}

#[test]
fn an_invalid_short_text_ends_it() {
    let wire = [raw(0x81, b"ok"), raw(0x81, b"\xff"), raw(0x81, b"late")].concat();
    assert_eq!(receive(Role::Client, &wire), (vec![text("ok")], Some(PeerError::InvalidUtf8)));
    let mut at = 4;
    let mut receiver = Receiver::new(Role::Client);
    assert!(receiver.next(&Limits::default(), &mut wire.clone(), &mut at).is_err());
    assert_eq!(at, wire.len());
    assert!(receiver.is_finished());
}

#[test]
fn short_messages_are_given_one_by_one_and_again_when_they_are_put_back() {
    for (role, key) in [(Role::Server, Some(KEY)), (Role::Client, None)] {
        let (mut wire, mut starts) = (Vec::new(), Vec::new());
        let messages = [
            (Opcode::Text, &b"one"[..]),
            (Opcode::Binary, &[7; 125]),
            (Opcode::Text, "zwölf".as_bytes()),
            (Opcode::Text, b"\xff"),
        ];
        for (opcode, payload) in messages {
            starts.push(wire.len());
            encode_frame(&mut wire, opcode, payload, key);
        }
        starts.push(wire.len());
        encode_frame(&mut wire, Opcode::Binary, &[1; 126], key);
        let (before, mut receiver, mut at) = (wire.clone(), Receiver::new(role), 0);
        let limits = Limits::default();
        for keep in [0, 1, 3] {
            for (index, (opcode, payload)) in
                messages.iter().enumerate().skip(starts.iter().position(|start| *start == at).unwrap())
            {
                let next = receiver.next_ahead(&limits, &mut wire, &mut at);
                match *opcode {
                    _ if index == 3 => assert_eq!(next, Err(PeerError::InvalidUtf8)),
                    Opcode::Text if payload.is_ascii() => assert_eq!(next, Ok(Some(Ahead::Ascii(payload)))),
                    Opcode::Text => assert_eq!(next, Ok(Some(Ahead::Text(std::str::from_utf8(payload).unwrap())))),
                    _ => assert_eq!(next, Ok(Some(Ahead::Binary(payload)))),
                }
                assert_eq!(at, starts[index + 1]);
            }
            assert_eq!((receiver.next_ahead(&limits, &mut wire, &mut at), at), (Ok(None), starts[4]), "126 bytes are not short");
            Receiver::put_back(&mut wire[starts[keep]..at]);
            assert_eq!(wire[starts[keep]..], before[starts[keep]..], "all but {keep} are as they came");
            at = starts[keep];
        }
        assert_eq!(receiver.next(&limits, &mut wire, &mut at), Err(PeerError::InvalidUtf8), "and are judged when they are due");
    }
}

#[test]
fn what_is_not_a_short_message_is_left_untouched() {
    let ping = raw(0x89, b"Hello");
    let (cut, fragment) = (&raw(0x81, b"Hello")[..6], raw(0x01, b"Hel"));
    for bytes in [&ping[..], cut, &fragment, b"\x81", b""] {
        let (mut receiver, mut wire, mut at) = (Receiver::new(Role::Client), bytes.to_vec(), 0);
        assert_eq!(receiver.next_short(&Limits::default(), &mut wire, &mut at), Ok(None));
        assert_eq!(receiver.next_ahead(&Limits::default(), &mut wire, &mut at), Ok(None));
        assert_eq!((at, &wire[..]), (0, bytes));
    }
    let (mut receiver, mut at) = (Receiver::new(Role::Client), 0);
    assert_eq!(receiver.next(&Limits::default(), &mut raw(0x01, b"Hel"), &mut at), Ok(None));
    let (mut whole, mut at) = (raw(0x81, b"lo"), 0);
    assert_eq!(receiver.next_short(&Limits::default(), &mut whole, &mut at), Ok(None), "a message is under way");
}

#[test]
fn short_text_is_what_was_sent_wherever_it_begins() {
    for payload in ["", "a", "Hello", "zwölf Wörter", "0123456789abcdefghijklmnop", &"ü".repeat(62), &"x".repeat(125)] {
        for before in 0..16 {
            let mut wire = vec![0; before];
            let next = raw(0x82, b"next");
            encode_frame(&mut wire, Opcode::Text, payload.as_bytes(), Some(KEY));
            let end = wire.len();
            wire.extend_from_slice(&next);
            let (mut receiver, mut at) = (Receiver::new(Role::Server), before);
            assert_eq!(receiver.next(&Limits::default(), &mut wire, &mut at), Ok(Some(text(payload))));
            assert_eq!(
                (at, &wire[..before], &wire[end..]),
                (end, &vec![0; before][..], &next[..]),
                "only its own frame is touched"
            );
        }
    }
}

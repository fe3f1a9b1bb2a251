//! Row 12: text that is not UTF-8.

use tidewire_hardening::text::{BY_HAND, all, bounds};
use tidewire_hardening::{ROLES, frame, head, receive};
use tidewire_proto::{Event, Limits, PeerError, Role};

#[test]
fn row_12_the_table_by_hand_is_part_of_all() {
    let all = all();
    assert!(all.len() > 50_000);
    for (bytes, why) in BY_HAND {
        assert!(all.contains(*bytes), "{bytes:02x?}: {why}");
    }
}

#[test]
fn row_12_every_invalid_sequence_fails_at_its_last_byte() {
    // In one frame that announces more than ever comes, byte by byte.
    let limits = Limits::default();
    let sound = "aé水𝒳".as_bytes();
    let before = [head(Role::Client, 0x81, 1000), sound.to_vec()].concat();
    for bad in all() {
        let bytes = [&before[..], &bad].concat();
        let outcome = receive(Role::Client, &limits, &bytes, 1);
        assert_eq!(outcome.error, Some((PeerError::InvalidUtf8, bytes.len())), "{bad:02x?}");
        assert_eq!(outcome.events, []);
    }
}

#[test]
fn row_12_split_at_every_boundary_across_fragments() {
    let limits = Limits::default();
    for role in ROLES {
        for bad in bounds() {
            let payload = ["aé".as_bytes(), &bad].concat();
            for cut in 0..=payload.len() {
                // The frame with the offending byte announces more, and the rest of the message never comes.
                let start = frame(role, 0x01, &payload[..cut]);
                let ping = frame(role, 0x89, b"between");
                let rest = frame(role, 0x00, &[&payload[cut..], b"never judged"].concat());
                let bytes = [&start[..], &ping, &rest].concat();
                let outcome = receive(role, &limits, &bytes, 1);
                if cut == payload.len() {
                    assert_eq!(outcome.error, Some((PeerError::InvalidUtf8, start.len())), "{bad:02x?} in the first");
                    assert_eq!(outcome.events, []);
                } else {
                    let due = bytes.len() - b"never judged".len();
                    assert_eq!(outcome.error, Some((PeerError::InvalidUtf8, due)), "{bad:02x?} at {cut}");
                    assert_eq!(outcome.events, [Event::Ping(b"between".into())]);
                }
            }
        }
    }
}

#[test]
fn row_12_in_whole_frames_and_at_every_cut_of_the_input() {
    let limits = Limits::default();
    for role in ROLES {
        for bad in bounds() {
            // Long and short: both validators.
            for filler in ["", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"] {
                let payload = [filler.as_bytes(), &bad, b"x"].concat();
                let bytes = [frame(role, 0x81, &payload), frame(role, 0x81, b"late")].concat();
                for size in [1, 2, 3, 5, 16, 64, bytes.len()] {
                    let outcome = receive(role, &limits, &bytes, size);
                    assert_eq!(outcome.error.map(|(error, _)| error.code()), Some(1007), "{bad:02x?}");
                    assert_eq!(outcome.events, []);
                }
            }
        }
    }
}

#[test]
fn row_12_a_message_that_ends_within_a_character_fails_at_its_end() {
    let limits = Limits::default();
    for role in ROLES {
        for whole in ["é", "水", "𝒳"] {
            for cut in 1..whole.len() {
                let payload = [b"a", &whole.as_bytes()[..cut]].concat();
                for bytes in [frame(role, 0x81, &payload), [frame(role, 0x01, &payload), frame(role, 0x80, &[])].concat()] {
                    for size in [1, 1000] {
                        let outcome = receive(role, &limits, &bytes, size);
                        assert_eq!(outcome.error, Some((PeerError::InvalidUtf8, bytes.len())));
                    }
                }
            }
            let (a, b) = whole.as_bytes().split_at(1);
            let bytes = [frame(role, 0x01, a), frame(role, 0x80, b)].concat();
            assert_eq!(receive(role, &limits, &bytes, 1).events, [Event::Text(whole.into())], "the cut itself is right");
        }
    }
}

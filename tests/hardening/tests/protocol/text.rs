//! Row 12: text that is not UTF-8.

use std::collections::BTreeSet;

use tidewire_hardening::{ROLES, frame, head, receive};
use tidewire_proto::{Event, Limits, PeerError, Role};

/// Byte sequences whose last byte is the one that makes them ill-formed (Unicode, table 3-7), and why. None of their proper
/// prefixes is.
const BY_HAND: &[(&[u8], &str)] = &[
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
fn all() -> BTreeSet<Vec<u8>> {
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
fn bounds() -> Vec<Vec<u8>> {
    let mut bounds: Vec<_> = all().into_iter().filter(|bytes| bytes.iter().all(|byte| BOUNDS.contains(byte))).collect();
    bounds.extend(BY_HAND.iter().map(|(bytes, _)| bytes.to_vec()));
    bounds
}

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

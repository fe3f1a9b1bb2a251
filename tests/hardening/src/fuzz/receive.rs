//! Target `receive`: how bytes are cut makes no difference, in both roles, with compression of either kind and without.
//!
//! Input: a byte of choices (role, compression, limits, form), a chunk of cuts (each byte is the distance to the next one), then the
//! wire: as it is, or as frames that are masked for the role (their first byte, and a chunk for the payload).

use tidewire_kit::client::frame::{Length, encode};
use tidewire_proto::deflate::Inflater;
use tidewire_proto::{Event, Limits, PeerError, Receiver, Role};

use super::model::Told;
use super::{Flags, Input, frame};

/// Wires that are short enough are cut in two at every byte, longer ones into single bytes, and the longest into pieces.
const EVERY_CUT: usize = 64;
const EVERY_BYTE: usize = 2048;
const PIECES: usize = 509;
/// The most that short inputs make of themselves.
const MAX_WIRE: usize = 64 * 1024;

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut flags = Flags(input.byte());
    let role = if flags.next() { Role::Client } else { Role::Server };
    let compression = match flags.below(4) {
        0 | 1 => None,
        takeover => Some(takeover == 3),
    };
    let limits = frame::limits(flags.below(4));
    let raw = flags.next();
    let distances = input.chunk();
    let wire = if raw { input.rest().to_vec() } else { frames(role, input) };

    let limits = if limits.max_message == usize::MAX { Limits { max_message: 1 << 22, ..limits } } else { limits };
    let whole = receive(role, compression, &limits, &wire, []);
    let size = if wire.len() <= EVERY_BYTE { 1 } else { PIECES };
    let in_pieces = receive(role, compression, &limits, &wire, (0..wire.len()).step_by(size));
    assert_eq!(in_pieces, whole, "in pieces of {size}");
    let cuts = distances.iter().scan(0, |at, distance| {
        *at += usize::from(*distance);
        (*at <= wire.len()).then_some(*at)
    });
    assert_eq!(receive(role, compression, &limits, &wire, cuts), whole, "cut as the input says");
    if wire.len() <= EVERY_CUT {
        for cut in 0..=wire.len() {
            assert_eq!(receive(role, compression, &limits, &wire, [cut]), whole, "cut at {cut}");
        }
    }
}

/// Frames of any shape, right for the role in their masks and lengths.
fn frames(role: Role, mut input: Input<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    while !input.is_empty() && wire.len() < MAX_WIRE {
        let first = input.byte();
        let size = input.byte();
        // The largest sizes are a repeated byte: long payloads from short inputs.
        let payload = match size {
            0..=239 => input.take(usize::from(size)).to_vec(),
            _ => vec![input.byte(); 1 << (size - 240)],
        };
        let mask = (role == Role::Server).then_some([0x5a, first, 0x00, size]);
        wire.extend(encode(first, Length::Minimal, mask, &payload));
    }
    wire
}

/// What a receiver makes of the bytes when they come in these pieces.
fn receive(role: Role, compression: Option<bool>, limits: &Limits, wire: &[u8], cuts: impl IntoIterator<Item = usize>) -> Told {
    let (mut receiver, mut inflater) = (Receiver::new(role), compression.map(Inflater::new));
    let (mut events, mut failure): (Vec<Event<'static>>, Option<PeerError>) = (Vec::new(), None);
    let mut start = 0;
    for end in cuts.into_iter().chain([wire.len()]) {
        let (mut piece, mut at) = (wire[start..end].to_vec(), 0);
        loop {
            let outcome = match &mut inflater {
                None => receiver.next(limits, &mut piece, &mut at),
                Some(inflater) => receiver.next_with(limits, inflater, &mut piece, &mut at),
            };
            match outcome {
                Ok(Some(event)) => {
                    let size = match &event {
                        Event::Text(text) => text.len(),
                        Event::Binary(bytes) => bytes.len(),
                        Event::Ping(bytes) | Event::Pong(bytes) => bytes.len().saturating_sub(125),
                        Event::Close(_) => 0,
                    };
                    assert!(size <= limits.max_message, "no message is larger than allowed");
                    assert_eq!(failure, None, "nothing comes after an error");
                    assert!(!matches!(events.last(), Some(Event::Close(_))), "nothing comes after a close");
                    events.push(event.into_owned());
                }
                Ok(None) => break,
                Err(error) => assert_eq!(failure.replace(error), None, "there is one error"),
            }
            assert_eq!(piece[at..], wire[start + at..end], "what was not consumed was not touched");
        }
        assert_eq!(at, piece.len(), "all of the input is consumed");
        start = end;
    }
    (events, failure)
}

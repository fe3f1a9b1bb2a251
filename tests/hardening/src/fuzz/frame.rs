//! Target `frame`: a receiver makes of any bytes what the RFC's text makes of them, and what is written is read back.
//!
//! Input: a byte of choices (bit 0: role; bits 1 and 2: limits), then the wire.

use tidewire_proto::{
    Event, Head, Limits, Opcode, Receiver, Role, encode_close, encode_control, encode_frame, encode_head, head_len, mask,
};

use super::model::{self, Told};
use super::{Flags, Input};

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut flags = Flags(input.byte());
    let role = if flags.next() { Role::Client } else { Role::Server };
    let limits = limits(flags.below(4));
    let wire = input.rest();
    let told = receive(role, &limits, wire);
    assert_eq!(told, model::meaning(role, &limits, wire), "as {role:?} within {limits:?}");
    written_is_read(role, &limits, &told.0);
}

/// From what is usual to what ends soon.
pub fn limits(choice: u8) -> Limits {
    match choice {
        0 => Limits::default(),
        1 => Limits { max_message: 1 << 20, max_fragments: 3 },
        2 => Limits { max_message: 100, max_fragments: 1 << 10 },
        _ => Limits { max_message: usize::MAX, max_fragments: u32::MAX },
    }
}

/// Everything in one piece.
fn receive(role: Role, limits: &Limits, wire: &[u8]) -> Told {
    let (mut receiver, mut wire, mut at) = (Receiver::new(role), wire.to_vec(), 0);
    let (mut events, mut failure) = (Vec::new(), None);
    loop {
        match receiver.next(limits, &mut wire, &mut at) {
            Ok(Some(event)) => {
                assert_eq!(failure, None, "nothing comes after an error");
                events.push(event.into_owned());
            }
            Ok(None) => break,
            Err(error) => assert_eq!(failure.replace(error), None, "there is one error"),
        }
    }
    assert_eq!(at, wire.len(), "all of it is consumed");
    assert_eq!(receiver.is_finished(), failure.is_some() || matches!(events.last(), Some(Event::Close(_))));
    (events, failure)
}

/// Writes events again: as frames, and messages also in fragments. They are the same events then.
fn written_is_read(role: Role, limits: &Limits, events: &[Event<'static>]) {
    let key = (role == Role::Server).then_some([0xa1, 0x00, 0xc3, 0xff]);
    let mut wire = Vec::new();
    for event in events {
        let before = wire.len();
        let payload = match event {
            Event::Text(text) => write_message(&mut wire, Opcode::Text, text.as_bytes(), key, limits),
            Event::Binary(bytes) => write_message(&mut wire, Opcode::Binary, bytes, key, limits),
            Event::Ping(bytes) => encode_control(&mut wire, Opcode::Ping, bytes, key).map(|()| bytes.len()),
            Event::Pong(bytes) => encode_control(&mut wire, Opcode::Pong, bytes, key).map(|()| bytes.len()),
            Event::Close(None) => encode_close(&mut wire, None, "", key).map(|()| 0),
            Event::Close(Some(why)) => encode_close(&mut wire, Some(why.code), &why.reason, key).map(|()| 2 + why.reason.len()),
        };
        let payload = payload.unwrap_or_else(|error| panic!("what was received can be sent: {error}"));
        let least = head_len(payload, key.is_some()) + payload;
        assert!(wire.len() - before >= least, "a head takes the bytes that it announces");
    }
    assert_eq!(receive(role, limits, &wire), (events.to_vec(), None), "what is written is read");
}

/// A message as one frame when its length is even, else in two of which the second may be empty; the length of its payload.
fn write_message(
    wire: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    key: Option<[u8; 4]>,
    limits: &Limits,
) -> Result<usize, tidewire_proto::UsageError> {
    if payload.len().is_multiple_of(2) || limits.max_fragments < 2 {
        encode_frame(wire, opcode, payload, key);
        return Ok(payload.len());
    }
    let (first, second) = payload.split_at(payload.len() / 2);
    for (opcode, fin, piece) in [(opcode, false, first), (Opcode::Continuation, true, second)] {
        encode_head(wire, Head { opcode, fin, rsv1: false, len: piece.len() }, key);
        let start = wire.len();
        wire.extend_from_slice(piece);
        if let Some(key) = key {
            mask::apply(key, 0, &mut wire[start..]);
        }
    }
    Ok(payload.len())
}

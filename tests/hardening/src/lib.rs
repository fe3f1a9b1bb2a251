//! Bad input and what it gets: each test is named by the row of the list of hostile inputs that it shows, `row_NN_...`.
//!
//! Cost is measured by counters (bytes looked at, allocations), never by the clock. What is here is shared by the tests:
//! frames of any shape, and a receiver that is fed in pieces.

#![forbid(unsafe_code)]

pub mod deflate;
pub mod fuzz;
pub mod inflate;
pub mod text;

use tidewire_proto::{Event, Limits, PeerError, Receiver, Role};

/// What a receiver made of some bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The events, in order.
    pub events: Vec<Event<'static>>,
    /// The error that ended it, and how many bytes had been given when it came.
    pub error: Option<(PeerError, usize)>,
}

/// Gives bytes to a receiver in pieces of `size` bytes, all of them, also after an error.
#[must_use]
pub fn receive(role: Role, limits: &Limits, bytes: &[u8], size: usize) -> Outcome {
    let (mut receiver, mut bytes, mut outcome) = (Receiver::new(role), bytes.to_vec(), Outcome::default());
    let mut given = 0;
    for piece in bytes.chunks_mut(size) {
        given += piece.len();
        let mut at = 0;
        loop {
            match receiver.next(limits, piece, &mut at) {
                Ok(Some(event)) => outcome.events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(outcome.error, None, "a connection fails once");
                    outcome.error = Some((error, given));
                }
            }
        }
    }
    outcome
}

/// A frame of any shape: its first byte as it is, its length minimally encoded whatever the opcode, masked for a server.
#[must_use]
pub fn frame(to: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(to, first, payload.len());
    let key = [0xa1, 0xb2, 0xc3, 0xd4];
    match to {
        Role::Server => out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key)),
        Role::Client => out.extend_from_slice(payload),
    }
    out
}

/// The head of such a frame.
#[must_use]
pub fn head(to: Role, first: u8, len: usize) -> Vec<u8> {
    match len {
        0..=125 => head_as(to, first, len as u8, &[]),
        126..=0xffff => head_as(to, first, 126, &(len as u16).to_be_bytes()),
        _ => head_as(to, first, 127, &(len as u64).to_be_bytes()),
    }
}

/// A head with a length in any form and of any value.
#[must_use]
pub fn head_as(to: Role, first: u8, short: u8, extended: &[u8]) -> Vec<u8> {
    let mut out = vec![first, short];
    out.extend_from_slice(extended);
    if to == Role::Server {
        out[1] |= 0x80;
        out.extend([0xa1, 0xb2, 0xc3, 0xd4]);
    }
    out
}

/// Both roles: what holds for one holds for the other.
pub const ROLES: [Role; 2] = [Role::Server, Role::Client];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// Rows 25 and 26 are about what is not there yet: HTTP/2, and a broker between processes.
    #[test]
    fn every_row_has_a_test_that_carries_its_number() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let all: String = sources(&tests).iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
        for row in 1..=24 {
            let (begins, follows) = (format!("fn row_{row:02}_"), format!("_row_{row:02}_"));
            assert!(all.contains(&begins) || all.contains(&follows), "row {row} has no test");
        }
    }
}

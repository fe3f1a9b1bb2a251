//! Which descriptors are ours: one byte for each, indexed by its number.
//!
//! This is what makes the safe [`Socket`] sound to use: a number is turned into a descriptor only when the table says that we
//! own it and that it is open, so no forged or stale [`Socket`] can reach a descriptor of somebody else's.

use super::not_ours;
use crate::io::Socket;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// What is known of a descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State(u8);

impl State {
    const OPEN: u8 = 1;
    const WATCHED: u8 = 2;
    const ADOPTED: u8 = 4;

    /// It is ours and open.
    const fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    /// The poller knows it.
    pub(super) const fn is_watched(self) -> bool {
        self.0 & Self::WATCHED != 0
    }

    /// It was opened elsewhere, so others may hold it as well.
    pub(super) const fn is_adopted(self) -> bool {
        self.0 & Self::ADOPTED != 0
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    states: Vec<State>,
}

impl Table {
    /// Takes a descriptor over.
    pub(super) fn insert(&mut self, descriptor: OwnedFd) -> Socket {
        self.insert_as(descriptor, State::OPEN)
    }

    /// Takes over a descriptor that was opened elsewhere.
    pub(super) fn insert_adopted(&mut self, descriptor: OwnedFd) -> Socket {
        self.insert_as(descriptor, State::OPEN | State::ADOPTED)
    }

    fn insert_as(&mut self, descriptor: OwnedFd, state: u8) -> Socket {
        let number = descriptor.into_raw_fd();
        let index = number as usize;
        if index >= self.states.len() {
            self.states.resize(index + 1, State::default());
        }
        self.states[index] = State(state);
        Socket::from_number(number)
    }

    /// What is known of a socket: nothing, when it is not ours.
    pub(super) fn state(&self, socket: &Socket) -> State {
        self.states.get(socket.number() as usize).copied().unwrap_or_default()
    }

    /// The descriptor of a socket of ours.
    pub(super) fn borrow(&self, socket: &Socket) -> io::Result<BorrowedFd<'_>> {
        if !self.state(socket).is_open() {
            return Err(not_ours());
        }
        // SAFETY: the table owns this descriptor (it came in as an `OwnedFd` and left only through `remove`, which clears the
        // state), so it is open, and it stays so while the table is borrowed.
        Ok(unsafe { BorrowedFd::borrow_raw(socket.number()) })
    }

    /// Remembers that the poller knows it.
    pub(super) fn set_watched(&mut self, socket: &Socket) {
        if let Some(state) = self.states.get_mut(socket.number() as usize) {
            state.0 |= State::WATCHED;
        }
    }

    /// Hands a descriptor out again.
    pub(super) fn remove(&mut self, socket: &Socket) -> Option<OwnedFd> {
        let state = self.states.get_mut(socket.number() as usize)?;
        if !state.is_open() {
            return None;
        }
        *state = State::default();
        // SAFETY: the state was open, so the table owned the descriptor, and from here on the table does not: the ownership
        // moves to the caller.
        Some(unsafe { OwnedFd::from_raw_fd(socket.number()) })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for number in 0..self.states.len() {
            drop(self.remove(&Socket::from_number(number as i32)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_what_is_owned_can_be_reached() {
        let mut table = Table::default();
        for number in [-1, 0, 1, i32::MAX, i32::MIN] {
            let forged = Socket::from_number(number);
            assert!(table.borrow(&forged).is_err());
            assert!(table.remove(&forged).is_none());
            assert!(!table.state(&forged).is_watched());
        }
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let number = one.as_raw_fd();
        let socket = table.insert(one.into());
        assert_eq!(table.borrow(&socket).unwrap().as_raw_fd(), number);
        assert_eq!(table.remove(&socket).unwrap().as_raw_fd(), number);
        assert!(table.borrow(&socket).is_err(), "it left the table");
        drop(other);
    }

    #[test]
    fn what_is_left_is_closed() {
        let (one, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut table = Table::default();
        table.insert(one.into());
        drop(table);
        assert_eq!(io::Read::read(&mut other, &mut [0; 1]).unwrap(), 0);
    }
}

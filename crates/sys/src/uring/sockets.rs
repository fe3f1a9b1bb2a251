//! What is known of each socket: whose it is, what was asked for, and which operations the kernel has begun for it.
//!
//! A descriptor is turned from a number into a [`BorrowedFd`] only while it is ours, as in the readiness backend's table. It stays ours until the last
//! of its operations has ended, also when the engine has closed it: so its number cannot be a newer socket's while a completion
//! with that number is under way.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use super::items::List;
use crate::io::{Interest, Socket, Token};
use crate::readiness::not_ours;

/// An operation of a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Operation {
    /// There is none.
    #[default]
    Idle,
    /// The kernel has it.
    Begun,
    /// The kernel has it and was asked to end it.
    Ending,
}

/// Whose a number is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Nobodys,
    Open,
    /// The engine has closed it, and the kernel still has operations of it.
    Closing,
}

/// What a poll has found and the engine was not yet told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub readable: bool,
    pub writable: bool,
    pub hangup: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub token: Token,
    /// What was received and not asked for.
    pub items: List,
    /// What it is watched for; not at all, at first.
    pub interest: Option<Interest>,
    pub phase: Phase,
    pub receive: Operation,
    pub poll: Operation,
    /// The events that the poll was begun for.
    pub polled: u16,
    pub found: Found,
    /// It is one that connections are accepted from.
    pub is_listener: bool,
    /// Nothing more comes by itself: the stream has ended or is lost. What the kernel has to say about it is asked for.
    pub has_ended: bool,
    /// So much comes that it is received on demand, into larger buffers.
    pub in_bulk: bool,
    /// It is in the list of those whose operations may not be what they should. (The list may name it after its number has passed to another.)
    pub is_stale: bool,
    /// It is in the list of those about which there is something to tell.
    pub is_due: bool,
}

impl Entry {
    /// Whether it is watched for what can be received.
    pub(super) fn wants_bytes(&self) -> bool {
        self.interest.is_some_and(|interest| interest.readable)
    }

    /// Whether a receive should be under way.
    pub(super) fn should_receive(&self) -> bool {
        self.wants_bytes() && !self.is_listener && !self.has_ended && !self.in_bulk
    }

    /// The events that a poll should be under way for, if one should.
    pub(super) fn should_poll(&self) -> Option<u16> {
        use rustix::event::PollFlags;
        let interest = self.interest?;
        let mut events = PollFlags::empty();
        events.set(PollFlags::OUT, interest.writable);
        events.set(PollFlags::IN, interest.readable && !self.should_receive());
        // A receive tells of a hang-up by itself; where there is none, a poll for nothing does.
        (!events.is_empty() || !self.should_receive()).then_some(events.bits())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.receive == Operation::Idle && self.poll == Operation::Idle
    }
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
}

impl Sockets {
    /// Takes a descriptor over.
    pub(super) fn insert(&mut self, descriptor: OwnedFd, is_listener: bool) -> Socket {
        let number = descriptor.into_raw_fd();
        let index = number as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Entry::default());
        }
        let entry = &mut self.entries[index];
        // The lists may still name the number.
        let Entry { is_stale, is_due, .. } = *entry;
        *entry = Entry { phase: Phase::Open, is_listener, is_stale, is_due, ..Entry::default() };
        Socket::from_number(number)
    }

    /// What is known of an open socket of ours.
    pub(super) fn open(&mut self, socket: &Socket) -> io::Result<&mut Entry> {
        let entry = self.entries.get_mut(socket.number() as usize);
        entry.filter(|entry| entry.phase == Phase::Open).ok_or_else(not_ours)
    }

    /// What is known of a number of ours, open or closing.
    pub(super) fn entry(&mut self, number: i32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize).filter(|entry| entry.phase != Phase::Nobodys)
    }

    /// Whatever is known of a number.
    pub(super) fn any(&mut self, number: i32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    /// The numbers that are ours.
    pub(super) fn numbers(&self) -> impl Iterator<Item = i32> + use<> {
        let ours = |(number, entry): (usize, &Entry)| (entry.phase != Phase::Nobodys).then_some(number as i32);
        self.entries.iter().enumerate().filter_map(ours).collect::<Vec<_>>().into_iter()
    }

    /// The descriptor of an open socket of ours.
    pub(super) fn borrow(&self, socket: &Socket) -> io::Result<BorrowedFd<'_>> {
        match self.entries.get(socket.number() as usize) {
            Some(entry) if entry.phase == Phase::Open => Ok(self.descriptor(socket.number())),
            _ => Err(not_ours()),
        }
    }

    /// The descriptor of a number of ours.
    ///
    /// # Panics
    /// When it is not ours.
    pub(super) fn descriptor(&self, number: i32) -> BorrowedFd<'_> {
        assert!(self.entries.get(number as usize).is_some_and(|entry| entry.phase != Phase::Nobodys), "it is ours");
        // SAFETY: it came in as an `OwnedFd` and is open until `remove` gives it away, which takes it out of its phase; and it
        // stays so while the table is borrowed.
        unsafe { BorrowedFd::borrow_raw(number) }
    }

    /// Gives a descriptor away.
    pub(super) fn remove(&mut self, number: i32) -> Option<OwnedFd> {
        let entry = self.entry(number)?;
        let Entry { is_stale, is_due, .. } = *entry;
        *entry = Entry { is_stale, is_due, ..Entry::default() };
        // SAFETY: it was ours, and from here on it is not: the ownership moves to the caller.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for number in self.numbers() {
            drop(self.remove(number));
        }
    }
}

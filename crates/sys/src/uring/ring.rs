//! The ring itself: operations go in, completions come out, and one system call does both.
//!
//! It is set up with a single issuer and deferred task work. So the kernel does nothing for us, and touches none of our memory,
//! but inside [`Ring::enter`]; completions never interrupt the worker. The ring belongs to the thread that first enters it.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::io::Errno;

use crate::readiness::MAX_SLICES;

/// Operations that are handed over together at most; more go in several calls. 16 KiB.
const SUBMISSIONS: u32 = 256;
/// Completions that wait for us before the kernel puts them aside, which costs each a little more. 64 KiB.
const COMPLETIONS: u32 = 4096;

/// The group of buffers that receives take from.
pub(super) const BUFFERS: u16 = 0;

/// What an operation was for. The socket's descriptor is not closed before its operations have ended, so its number is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Receive,
    Poll,
    Doorbell,
    /// The cancelling of another one.
    Cancel,
    /// One of a batch of sends; the number is its place.
    Send,
}

/// The name of an operation: its purpose, and a socket's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub Purpose, pub i32);

impl Key {
    const fn to_bits(self) -> u64 {
        (self.0 as u64) << 32 | self.1 as u32 as u64
    }

    fn from_bits(bits: u64) -> Option<Self> {
        const ALL: [Purpose; 5] = [Purpose::Receive, Purpose::Poll, Purpose::Doorbell, Purpose::Cancel, Purpose::Send];
        let purpose = ALL.into_iter().find(|purpose| *purpose as u64 == bits >> 32)?;
        Some(Self(purpose, bits as u32 as i32))
    }
}

/// An operation has come to something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub key: Key,
    /// What the system call of that name would have answered: a count, a mask, or an error as a negative number.
    pub result: i32,
    /// The buffer that was taken for it.
    pub buffer: Option<u16>,
    /// It goes on: there will be more completions of it.
    pub more: bool,
}

pub(super) struct Ring {
    ring: IoUring,
    enabled: bool,
    abandoned: bool,
}

impl Ring {
    /// A ring that is not yet anybody's.
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all();
        // Until it is enabled it may move to another thread.
        builder.setup_r_disabled().setup_cqsize(COMPLETIONS).dontfork();
        Ok(Self { ring: builder.build(SUBMISSIONS)?, enabled: false, abandoned: false })
    }

    /// Lets the kernel take buffers out of a ring of `count` entries.
    ///
    /// # Safety
    /// The entries are page-aligned, live as long as this ring, and so does the memory that they come to name, until it was
    /// received into.
    pub(super) unsafe fn register_buffers(&self, entries: u64, count: u16) -> io::Result<()> {
        // SAFETY: as the caller promises.
        unsafe { self.ring.submitter().register_buf_ring_with_flags(entries, count, BUFFERS, 0) }
    }

    /// Whether it is this thread's already; makes it so.
    pub(super) fn enable(&mut self) -> io::Result<bool> {
        if self.enabled {
            return Ok(true);
        }
        self.ring.submitter().register_enable_rings()?;
        self.enabled = true;
        Ok(false)
    }

    /// Whether a thread has entered it: before, no operation has begun.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Receives until it is cancelled, whatever comes, each time into a buffer of the ring.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let number = socket.as_raw_fd();
        let entry = opcode::RecvMulti::new(Fd(number), BUFFERS).build();
        self.push(Key(Purpose::Receive, number), entry)
    }

    /// Tells once when one of the events is there, as `poll(2)` names them. A hang-up and an error always are.
    pub(super) fn poll(&mut self, socket: BorrowedFd<'_>, events: u16) -> io::Result<()> {
        let number = socket.as_raw_fd();
        self.push(Key(Purpose::Poll, number), opcode::PollAdd::new(Fd(number), events.into()).build())
    }

    /// Tells each time that a bell is rung.
    pub(super) fn listen_for(&mut self, bell: BorrowedFd<'_>) -> io::Result<()> {
        let number = bell.as_raw_fd();
        let events = u32::from(rustix::event::PollFlags::IN.bits());
        self.push(Key(Purpose::Doorbell, number), opcode::PollAdd::new(Fd(number), events).multi(true).build())
    }

    /// Ends an operation, which completes a last time; it may just have done so by itself.
    pub(super) fn cancel(&mut self, key: Key) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(key.to_bits()).build().flags(squeue::Flags::SKIP_SUCCESS);
        self.push(Key(Purpose::Cancel, key.1), entry)
    }

    /// Never enters it again: it holds operations that the kernel has not seen and must not see any more.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    fn push(&mut self, key: Key, entry: squeue::Entry) -> io::Result<()> {
        let entry = entry.user_data(key.to_bits());
        loop {
            // SAFETY: only sends have pointers in them, and whoever pushes one has promised that what they name stays; receives
            // take their memory out of the ring of buffers, whose owner answers for it.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.enter(Some(Duration::ZERO))?;
        }
    }

    /// Sends what the kernel takes at once.
    ///
    /// # Safety
    /// The memory and `header` stay as they are until this has completed, or the ring is never entered again.
    pub(super) unsafe fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        place: i32,
        bytes: &[IoSlice<'_>],
        header: &mut libc::msghdr,
    ) -> io::Result<()> {
        let (number, flags) = (Fd(socket.as_raw_fd()), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        let entry = match bytes {
            [one] if one.len() <= u32::MAX as usize => {
                opcode::Send::new(number, one.as_ptr(), one.len() as u32).flags(flags).build()
            }
            several => {
                // An `IoSlice` is an `iovec`, the standard library says; the kernel only reads it.
                header.msg_iov = several.as_ptr().cast_mut().cast();
                header.msg_iovlen = several.len().min(MAX_SLICES);
                opcode::SendMsg::new(number, header).flags(flags as u32).build()
            }
        };
        self.push(Key(Purpose::Send, place), entry)
    }

    /// Hands over what was pushed, without looking for what comes in.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        if self.abandoned || self.ring.submission().is_empty() {
            return self.enter(None);
        }
        match self.ring.submitter().submit() {
            Ok(_) => Ok(()),
            Err(error) => is_answer(error),
        }
    }

    /// Hands over what was pushed, has the kernel do what it can, and waits until something is complete, at most for the timeout
    /// (`None`: for ever). An interruption and a full queue of completions are answers like others.
    pub(super) fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        const GETEVENTS: u32 = 1;
        const EXT_ARG: u32 = 1 << 3;
        if self.abandoned {
            return Err(abandoned());
        }
        let pushed = self.ring.submission().len() as u32;
        let least = u32::from(timeout != Some(Duration::ZERO));
        let limit = timeout.filter(|limit| !limit.is_zero()).map(timespec);
        let mut arguments = SubmitArgs::new();
        if let Some(limit) = &limit {
            arguments = arguments.timespec(limit);
        }
        // SAFETY: the flags say that the argument is of this kind, and it outlives the call.
        match unsafe { self.ring.submitter().enter(pushed, least, GETEVENTS | EXT_ARG, Some(&arguments)) } {
            Ok(_) => Ok(()),
            Err(error) => match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::TIME | rustix::io::Errno::INTR | rustix::io::Errno::AGAIN | rustix::io::Errno::BUSY) => {
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Has all operations ended.
    pub(super) fn cancel_all(&mut self) -> io::Result<()> {
        if self.abandoned {
            return Err(abandoned());
        }
        self.ring.submitter().register_sync_cancel(None, CancelBuilder::any())
    }

    /// Takes what has completed.
    pub(super) fn completed(&mut self, out: &mut Vec<Completion>) {
        out.extend(self.ring.completion().filter_map(|entry: cqueue::Entry| {
            let flags = entry.flags();
            Some(Completion {
                key: Key::from_bits(entry.user_data())?,
                result: entry.result(),
                buffer: cqueue::buffer_select(flags),
                more: cqueue::more(flags),
            })
        }));
    }
}

/// What everybody is told after the ring has failed in the middle of a batch.
pub(super) fn abandoned() -> io::Error {
    io::Error::other("the ring of this worker has failed")
}

/// An interruption, the end of a timeout, a full queue: the kernel has done what it could.
fn is_answer(error: io::Error) -> io::Result<()> {
    match Errno::from_io_error(&error) {
        Some(Errno::TIME | Errno::INTR | Errno::AGAIN | Errno::BUSY) => Ok(()),
        _ => Err(error),
    }
}

/// A timeout as the kernel takes it.
fn timespec(timeout: Duration) -> Timespec {
    // A lifetime is long enough.
    Timespec::new().sec(timeout.as_secs().min(u32::MAX.into())).nsec(timeout.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_bits() {
        for purpose in [Purpose::Receive, Purpose::Poll, Purpose::Doorbell, Purpose::Cancel, Purpose::Send] {
            for number in [0, 1, i32::MAX, -1] {
                assert_eq!(Key::from_bits(Key(purpose, number).to_bits()), Some(Key(purpose, number)));
            }
        }
        assert_eq!(Key::from_bits(u64::MAX), None);
    }
}

//! Linux: what wakers ring, an eventfd. The flag makes all rings between two waits one system call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};

/// A bell that is to be watched by its edges: each ring is an event of its own, and nobody has to read the counter down again. A wake
/// costs one system call, not two. The counter overflows after 2^64 - 2 wakes.
#[derive(Debug)]
pub(crate) struct Doorbell {
    bell: OwnedFd,
    rung: AtomicBool,
}

impl Doorbell {
    /// A bell that nobody has rung.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self { bell, rung: AtomicBool::new(false) }))
    }

    /// Called by the waiting side, before it looks for what it was woken for.
    ///
    /// A swap, not a store: it synchronises with every ring that found the flag set and so rang no bell, hence what those
    /// wakers did before is seen by whoever called wait.
    pub(crate) fn heard(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It fails only when the counter is full, and then the event is due anyway.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }
}

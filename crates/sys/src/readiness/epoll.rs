//! Linux: epoll, level-triggered, with an eventfd as the doorbell.

use super::Poller;
use crate::doorbell::Doorbell;
use crate::io::{Event, Interest, Token};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{SendFlags, SocketFlags};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// How many events a wait brings at most; those that are left come with the next.
const BATCH: usize = 1024;

/// The doorbell's own token.
const DOORBELL: Token = Token(u64::MAX);

/// The poller of Linux. [`Token`]`(u64::MAX)` is its own.
pub struct Epoll {
    epoll: OwnedFd,
    doorbell: Arc<Doorbell>,
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("epoll", &self.epoll).field("doorbell", &self.doorbell).finish_non_exhaustive()
    }
}

impl Epoll {
    /// A poller that watches nothing.
    ///
    /// # Errors
    /// When there is no room for its two descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let doorbell = Doorbell::new()?;
        epoll::add(&epoll, &*doorbell, EventData::new_u64(DOORBELL.0), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, doorbell })
    }
}

impl Poller for Epoll {
    const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

    fn watch(&mut self, descriptor: BorrowedFd<'_>, token: Token, interest: Interest, again: bool) -> io::Result<()> {
        debug_assert_ne!(token, DOORBELL, "this token is the doorbell's");
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, interest.readable);
        flags.set(EventFlags::OUT, interest.writable);
        let change = if again { epoll::modify } else { epoll::add };
        Ok(change(self.epoll.as_fd(), descriptor, EventData::new_u64(token.0), flags)?)
    }

    fn forget(&mut self, descriptor: BorrowedFd<'_>) {
        // It fails only when the descriptor is not watched, and that is what is wanted.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    fn closing(&mut self, _descriptor: BorrowedFd<'_>) {
        // Closing the last descriptor of a socket takes it out of every epoll: a system call saved for each connection.
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = timeout.map(whole_milliseconds);
        // On the stack, and not written before the kernel does: rustix's events hold a pointer, and a poller must be `Send`.
        let mut batch = [MaybeUninit::uninit(); BATCH];
        let (batch, _) = epoll::wait(&self.epoll, &mut batch, timeout.as_ref())?;
        for event in batch {
            let token = Token(event.data.u64());
            if token == DOORBELL {
                self.doorbell.heard();
                continue;
            }
            let flags = event.flags;
            events.push(Event {
                token,
                readable: flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
                hangup: flags.intersects(EventFlags::HUP | EventFlags::ERR),
            });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::from(self.doorbell.clone())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        // TCP_NODELAY comes from the listener: Linux hands it down.
        let (connection, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        Ok((connection, peer.and_then(|peer| peer.try_into().ok())))
    }
}

/// The timeout as epoll takes it: whole milliseconds, rounded up, so that a deadline is never met early and in a busy loop.
/// (`epoll_pwait2` knows nanoseconds, but older kernels and some sandboxes refuse it, and our timers are coarse.)
fn whole_milliseconds(timeout: Duration) -> Timespec {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        let milliseconds = |timeout| {
            let spec = whole_milliseconds(timeout);
            spec.tv_sec * 1000 + spec.tv_nsec / 1_000_000
        };
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::from_micros(7001)), 8);
        assert_eq!(milliseconds(Duration::MAX), i64::from(i32::MAX));
    }

    #[test]
    fn many_rings_are_one() {
        let mut poller = Epoll::new().unwrap();
        let waker = poller.waker();
        let count = |poller: &Epoll| {
            let mut counter = [0; 8];
            rustix::io::read(&*poller.doorbell, &mut counter).map(|_| u64::from_ne_bytes(counter)).unwrap_or(0)
        };
        for _ in 0..100 {
            waker.wake_by_ref();
        }
        poller.wait(None, &mut Vec::new()).unwrap();
        assert_eq!(count(&poller), 1);
        waker.wake_by_ref();
        poller.wait(None, &mut Vec::new()).unwrap();
        assert_eq!(count(&poller), 1, "heard, so the next ring is a ring again");
    }

    #[test]
    fn each_ring_wakes_once_and_only_once() {
        let mut poller = Epoll::new().unwrap();
        for _ in 0..3 {
            poller.waker().wake();
            poller.wait(None, &mut Vec::new()).unwrap();
        }
        let due = rustix::event::PollFd::new(&poller.epoll, rustix::event::PollFlags::IN);
        assert_eq!(rustix::event::poll(&mut [due], Some(&Timespec::default())).unwrap(), 0);
    }
}

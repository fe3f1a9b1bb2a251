//! Level-triggered epoll, and nothing above it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

pub use rustix::event::epoll::EventFlags;

/// How many events one wait gives at most.
const EVENTS: usize = 1024;

/// One epoll instance.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Opens one.
    ///
    /// # Errors
    /// As `epoll_create1(2)`.
    pub fn new() -> io::Result<Self> {
        let nothing = epoll::Event { flags: EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: vec![nothing; EVENTS] })
    }

    /// Watches a descriptor under a number.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn add(&self, source: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(number as u64), flags)?)
    }

    /// Changes what a descriptor is watched for.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn change(&self, source: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, epoll::EventData::new_u64(number as u64), flags)?)
    }

    /// Watches a descriptor no more.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub fn remove(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits, at most for the timeout (`None`: for ever), and says how many events there are.
    ///
    /// # Errors
    /// As `epoll_wait(2)`; an interruption is no event.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match epoll::wait(&self.epoll, &mut self.events[..], timeout.as_ref()) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// An event of the last wait: the number it was watched under, and what happened.
    #[must_use]
    pub fn event(&self, index: usize) -> (usize, EventFlags) {
        let event = self.events[index];
        (usize::try_from(event.data.u64()).unwrap_or(usize::MAX), event.flags)
    }
}

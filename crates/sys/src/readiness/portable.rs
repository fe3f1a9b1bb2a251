//! Systems without epoll (macOS, the BSDs): the `polling` crate in its level-triggered mode.
//!
//! A limit of kqueue: a descriptor that is watched for nothing reports no hang-up; it is seen when the interest returns.
//! Compiled on Linux for the tests only, where all of them run over this poller as well.

use super::Poller;
use crate::io::{Event, Interest, Token};
use polling::{Event as Readiness, Events, PollMode};
use rustix::net::SendFlags;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// The poller of every system but Linux.
pub struct Portable {
    doorbell: Arc<Doorbell>,
    events: Events,
    /// The tokens, by descriptor: the poller's own keys are of a machine word, and one of them is reserved.
    tokens: Vec<Token>,
}

impl fmt::Debug for Portable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portable").field("poller", &self.doorbell.poller).finish_non_exhaustive()
    }
}

impl Portable {
    /// A poller that watches nothing.
    ///
    /// # Errors
    /// When there is no room for its descriptors.
    pub fn new() -> io::Result<Self> {
        let doorbell = Arc::new(Doorbell { poller: polling::Poller::new()? });
        Ok(Self { doorbell, events: Events::new(), tokens: Vec::new() })
    }
}

impl Poller for Portable {
    #[cfg(not(target_vendor = "apple"))]
    const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
    /// Apple has an option of the socket for it, which socket2 sets.
    #[cfg(target_vendor = "apple")]
    const SEND_FLAGS: SendFlags = SendFlags::empty();

    fn watch(&mut self, descriptor: BorrowedFd<'_>, token: Token, interest: Interest, again: bool) -> io::Result<()> {
        let poller = &self.doorbell.poller;
        let key = descriptor.as_raw_fd() as usize;
        let wanted = Readiness::new(key, interest.readable, interest.writable);
        if again {
            poller.modify_with_mode(descriptor, wanted, PollMode::Level)?;
        } else {
            // SAFETY: a watched descriptor is taken out of the poller before it is closed (`closing` and `forget`, called by
            // `Readiness`), except when the poller itself is dropped, which ends its registrations.
            unsafe { poller.add_with_mode(descriptor.as_raw_fd(), wanted, PollMode::Level)? };
        }
        if key >= self.tokens.len() {
            self.tokens.resize(key + 1, token);
        }
        self.tokens[key] = token;
        Ok(())
    }

    fn forget(&mut self, descriptor: BorrowedFd<'_>) {
        // It fails only when the descriptor is not watched, and that is what is wanted.
        let _ = self.doorbell.poller.delete(descriptor);
    }

    fn closing(&mut self, descriptor: BorrowedFd<'_>) {
        self.forget(descriptor);
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        self.events.clear();
        self.doorbell.poller.wait(&mut self.events, timeout)?;
        for event in self.events.iter() {
            let Some(&token) = self.tokens.get(event.key) else { continue };
            events.push(Event {
                token,
                readable: event.readable,
                writable: event.writable,
                hangup: event.is_interrupt() || event.is_err() == Some(true),
            });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::from(self.doorbell.clone())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.doorbell.poller.as_fd()
    }

    fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let (connection, peer) = socket2::SockRef::from(&listener).accept()?;
        connection.set_nonblocking(true)?;
        let peer = peer.as_socket();
        if peer.is_some() {
            connection.set_tcp_nodelay(true)?;
        }
        Ok((connection.into(), peer))
    }

    #[cfg(target_vendor = "apple")]
    fn prepare(descriptor: BorrowedFd<'_>) -> io::Result<()> {
        rustix::io::ioctl_fionbio(descriptor, true)?;
        rustix::net::sockopt::set_socket_nosigpipe(descriptor, true)?;
        // What is not TCP refuses this, and has no need of it.
        let _ = rustix::net::sockopt::set_tcp_nodelay(descriptor, true);
        Ok(())
    }
}

/// What wakers ring; `polling` coalesces by itself.
#[derive(Debug)]
struct Doorbell {
    poller: polling::Poller,
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only when the poller is broken, and then the wait fails too and says so.
        let _ = self.poller.notify();
    }
}

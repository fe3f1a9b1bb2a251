//! The mailbox: how other threads reach a worker. A bounded queue and the poller's waker; posting never blocks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::application::Kind;
use super::compression::Compress;
use super::table::SocketId;
use crate::backplane::Batch;

/// What other threads ask of a worker.
pub(crate) enum Mail {
    /// Deliver what was published elsewhere.
    Publish(Arc<Batch>),
    /// Send to one socket.
    Send(SocketId, Kind, Vec<u8>, Compress),
    /// Publish for one socket.
    PublishFrom(SocketId, String, Kind, Vec<u8>, Compress),
    /// Close one socket.
    Close(SocketId, u16, String),
    /// Cut one socket off.
    Terminate(SocketId),
    /// A connection that another worker accepted.
    Adopt(std::os::fd::OwnedFd, Option<std::net::SocketAddr>),
    /// The addresses of a name, for a connection that waits for them.
    Resolved(SocketId, std::io::Result<Vec<std::net::SocketAddr>>),
    /// Take new handlers and limits, unless a reload with a higher number was done.
    Reload(u64, Reload),
    /// Stop listening and close all; cut off what is left after the time.
    Stop(Duration),
}

/// Makes the application and the limits of one worker anew, on that worker's thread.
pub(crate) type Reload = Box<dyn FnOnce() -> (std::rc::Rc<dyn super::Application>, super::Options) + Send>;

impl Mail {
    /// The bytes of a payload that wait with it; 0 for what is only asked.
    fn payload(&self) -> usize {
        match self {
            Self::Publish(batch) => batch.len(),
            Self::Send(_, _, payload, _) => payload.len(),
            Self::PublishFrom(_, topic, _, payload, _) => topic.len() + payload.len(),
            _ => 0,
        }
    }
}

/// What waits, and the sum of its payloads.
#[derive(Default)]
struct Queue {
    mail: VecDeque<Mail>,
    bytes: usize,
    /// The worker is gone.
    closed: bool,
}

/// The end that other threads hold.
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    /// Something waits: to be asked without the lock, again and again.
    waiting: AtomicBool,
    waker: Waker,
    refused: AtomicU64,
}

impl Mailbox {
    /// The most posts that wait. A worker that is this far behind does not catch up by being told more.
    pub const CAPACITY: usize = 64 * 1024;
    /// While more bytes of payload than this wait, no more payloads are taken; so one that is larger still goes, as with
    /// `backpressure_limit`. What has no payload (a close, a connection handed over, a reload) is not refused for this.
    pub const CAPACITY_BYTES: usize = 64 * 1024 * 1024;

    pub fn new(waker: Waker) -> Self {
        Self { queue: Mutex::default(), waiting: AtomicBool::new(false), waker, refused: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts, unless the mailbox is full: that is counted, and the caller is told. Nothing is posted to a worker that is gone.
    pub fn post(&self, mail: Mail) -> bool {
        let mut queue = self.lock();
        if queue.closed {
            return false;
        }
        let payload = mail.payload();
        let full = queue.mail.len() >= Self::CAPACITY || (payload > 0 && queue.bytes > Self::CAPACITY_BYTES);
        // Stopping is never refused: it makes the queue shorter. Nor is what was asked for.
        if full && !matches!(mail, Mail::Stop(_) | Mail::Resolved(..)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let first = queue.mail.is_empty();
        queue.bytes += payload;
        queue.mail.push_back(mail);
        self.waiting.store(true, Ordering::Release);
        drop(queue);
        if first {
            self.waker.wake_by_ref();
        }
        true
    }

    /// Takes everything that waits, in order.
    pub fn take(&self) -> VecDeque<Mail> {
        let mut queue = self.lock();
        queue.bytes = 0;
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut queue.mail)
    }

    /// The worker is going: drops what waits, and what would come. A reload holds the server, which holds this mailbox; and a
    /// connection that was handed over is open until it is dropped.
    pub fn close(&self) {
        self.lock().closed = true;
        drop(self.take());
    }

    /// Whether nothing waits. Who is told so, and sleeps, is woken by a post that he has missed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.waiting.load(Ordering::Acquire)
    }

    /// How many posts were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_refuses_and_counts_but_can_always_be_stopped() {
        let mailbox = Mailbox::new(Waker::noop().clone());
        let id = SocketId::from_bits(0);
        assert!((0..Mailbox::CAPACITY).all(|_| mailbox.post(Mail::Terminate(id))));
        assert!(!mailbox.post(Mail::Terminate(id)));
        assert_eq!(mailbox.refused(), 1);
        assert!(mailbox.post(Mail::Stop(Duration::ZERO)));
        assert_eq!(mailbox.take().len(), Mailbox::CAPACITY + 1);
        assert!(mailbox.is_empty());
    }

    #[test]
    fn payloads_are_refused_while_more_bytes_wait_than_allowed_and_nothing_else_is() {
        let mailbox = Mailbox::new(Waker::noop().clone());
        let send = |bytes| Mail::Send(SocketId::from_bits(0), Kind::Binary, vec![0; bytes], Compress::No);
        assert!(mailbox.post(send(Mailbox::CAPACITY_BYTES)), "not over it yet");
        assert!(mailbox.post(send(1)));
        assert!(
            !mailbox.post(send(1))
                && !mailbox.post(Mail::PublishFrom(SocketId::from_bits(0), "t".into(), Kind::Text, vec![], Compress::No))
        );
        assert_eq!(mailbox.refused(), 2);
        assert!(mailbox.post(Mail::Close(SocketId::from_bits(0), 1000, "bye".into())), "ending is asked, not stored");
        assert_eq!(mailbox.take().len(), 3);
        assert!(mailbox.post(send(Mailbox::CAPACITY_BYTES + 1)), "what was taken counts no more");
    }

    #[test]
    fn nothing_waits_for_a_worker_that_is_gone() {
        let mailbox = Mailbox::new(Waker::noop().clone());
        let held = Arc::new(());
        let reload = |held: Arc<()>| Mail::Reload(1, Box::new(move || panic!("nobody asks for it: {held:?}")));
        assert!(mailbox.post(reload(held.clone())));
        mailbox.close();
        assert!(!mailbox.post(reload(held.clone())) && mailbox.is_empty());
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(mailbox.refused(), 0, "it was not full");
    }
}

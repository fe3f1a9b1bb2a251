//! The workers of one server together: who they are, and what reaches all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::application::{Kind, SendStatus};
use super::census::Census;
use super::compression::Compress;
use super::core::Core;
use super::counters::Metrics;
use super::local::opcode;
use super::mailbox::{Mail, Reload};
use super::packing::Outbound;
use crate::backplane::Link;
use crate::topics::counts::MAX_WORKERS;

/// The workers of one server: what they share. Make one, then a [`Worker`](super::Worker) for each of its places; more may
/// [join](Group::join) at run time. Clones are the
/// same group, and may be used on any thread. One in use: [`Application`](super::Application).
///
/// ```
/// use std::task::Waker;
/// use tidewire::engine::{Group, Kind};
/// use tidewire::{Compress, SendStatus};
///
/// let group = Group::new(vec![Waker::noop().clone(); 2]);
/// assert_eq!(group.subscriber_count("news"), 0);
/// assert_eq!(group.publish("news", Kind::Text, b"nobody listens", Compress::Yes), SendStatus::Dropped);
/// ```
#[derive(Clone)]
pub struct Group(Arc<Shared>);

pub(crate) struct Shared {
    pub link: Arc<Link>,
    pub census: Arc<Census>,
    reloads: AtomicU64,
}

impl Group {
    /// The most workers that a group has at a time.
    pub const MAX_WORKERS: usize = MAX_WORKERS;

    /// The workers that have these wakers, one for each worker's [`Io`](crate::sys::Io).
    ///
    /// # Panics
    /// When they are more than [`Group::MAX_WORKERS`].
    #[must_use]
    pub fn new(wakers: Vec<Waker>) -> Self {
        let link = Link::default();
        for waker in wakers {
            assert!(link.join(waker).is_some(), "a group has at most {MAX_WORKERS} workers");
        }
        Self(Arc::new(Shared { link: Arc::new(link), census: Arc::default(), reloads: AtomicU64::new(0) }))
    }

    /// A place for one more worker, also while others run: it shares their topics from now on. `None` when there are
    /// [`Group::MAX_WORKERS`]. The place of a worker that has left is given again.
    ///
    /// ```
    /// use std::task::Waker;
    /// use tidewire::engine::Group;
    ///
    /// let group = Group::new(vec![Waker::noop().clone()]);
    /// assert_eq!(group.join(Waker::noop().clone()), Some(1));
    /// ```
    #[must_use]
    pub fn join(&self, waker: Waker) -> Option<usize> {
        self.0.link.join(waker)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The counters of all workers together, since they began.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.link.metrics()
    }

    /// How many sockets are subscribed to a topic, on all workers.
    #[must_use]
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.0.link.counts.find(topic).map_or(0, |count| count.total())
    }

    /// Publishes to everybody on a topic. On the thread of one of the workers its subscribers get the message at once, in
    /// order with what they are sent otherwise; the others, and from another thread all, through the workers' mailboxes. The
    /// answer is that of [`Server::publish`](crate::Server::publish).
    pub fn publish(&self, topic: &str, kind: Kind, payload: &[u8], compress: Compress) -> SendStatus {
        let message = Outbound { opcode: opcode(kind), payload, compress };
        if let Some(core) = Core::current().filter(|core| self.owns(core)) {
            return core.state.borrow_mut().publish(topic, &message, None);
        }
        match self.0.link.publish(topic, &message) {
            Some(0) | None => SendStatus::Dropped,
            Some(_) => SendStatus::Sent(payload.len()),
        }
    }

    /// Has all workers take new handlers and limits, each as `make` makes them on its thread. A worker that calls this has them when
    /// it returns, the others from their next turn on. Of two at the same time all workers keep the same.
    pub(crate) fn reload(&self, make: impl Fn() -> Reload) {
        let number = self.0.reloads.fetch_add(1, Ordering::Relaxed) + 1;
        let here = Core::current().filter(|core| self.owns(core));
        for mailbox in self.0.link.mailboxes() {
            if here.as_ref().is_none_or(|core| !Arc::ptr_eq(&core.mailbox, &mailbox)) {
                mailbox.post(Mail::Reload(number, make()));
            }
        }
        if let Some(core) = here {
            core.reload(number, make());
        }
    }

    pub(crate) fn owns(&self, core: &Core) -> bool {
        core.state.borrow().link.as_ref().is_some_and(|link| Arc::ptr_eq(link, &self.0.link))
    }

    /// Has all workers [stop](super::Worker::stop), each in its next turn.
    pub fn stop(&self, patience: Duration) {
        for mailbox in self.0.link.mailboxes() {
            mailbox.post(Mail::Stop(patience));
        }
    }
}

//! The link between the workers of one process.
//!
//! A worker collects what it publishes in a turn into one batch and posts the batch at the end of the turn to
//! each worker that has a subscriber: one post and one wake, however many messages. The order of one publisher is kept,
//! because a batch keeps it and a mailbox keeps the order of batches.
//!
//! A batch carries messages framed, but not compressed. Which forms a worker's subscribers need only that worker knows, and
//! a worker that compresses does so beside the others: the sender, whose clients wait, has that work only for its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;

use super::batch::Batch;
use crate::engine::Metrics;
use crate::engine::counters::Counters;
use crate::engine::mailbox::{Mail, Mailbox};
use crate::engine::packing::Outbound;
use crate::topics::counts::{Counts, MAX_WORKERS, TopicCount, Workers};

/// Joins the workers of a process. They come and go while it runs; a worker that goes leaves its place to another.
#[derive(Default)]
pub(crate) struct Link {
    pub counts: Arc<Counts>,
    seats: RwLock<Seats>,
    /// How many workers there are, to be asked without the lock.
    members: AtomicUsize,
}

#[derive(Default)]
struct Seats {
    /// By place; empty where a worker has left.
    mailboxes: Vec<Option<Arc<Mailbox>>>,
    /// By place, of all workers that were there: one after the other, so each is written by one thread at a time.
    counters: Vec<Arc<Counters>>,
    /// Posts that were refused by the mailboxes of workers that have left.
    refused: u64,
}

impl Link {
    fn seats(&self) -> RwLockReadGuard<'_, Seats> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats_mut(&self) -> RwLockWriteGuard<'_, Seats> {
        self.seats.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a worker with this waker a place, unless there are as many as there may be.
    pub fn join(&self, waker: Waker) -> Option<usize> {
        let seats = &mut *self.seats_mut();
        let place = seats.mailboxes.iter().position(Option::is_none).unwrap_or(seats.mailboxes.len());
        if place == MAX_WORKERS {
            return None;
        }
        let mailbox = Some(Arc::new(Mailbox::new(waker)));
        if place == seats.mailboxes.len() {
            seats.mailboxes.push(mailbox);
            seats.counters.push(Arc::default());
        } else {
            seats.mailboxes[place] = mailbox;
        }
        self.members.fetch_add(1, Ordering::Release);
        Some(place)
    }

    /// What belongs to a place.
    ///
    /// # Panics
    /// When nobody has joined there.
    pub fn seat(&self, place: usize) -> (Arc<Mailbox>, Arc<Counters>) {
        let seats = self.seats();
        let mailbox = seats.mailboxes.get(place).cloned().flatten();
        let Some(mailbox) = mailbox else { panic!("the group has no place {place}, or its worker has left") };
        (mailbox, seats.counters[place].clone())
    }

    /// The worker that has this mailbox is gone. Its subscribers have left before.
    pub fn leave(&self, place: usize, mailbox: &Arc<Mailbox>) {
        let seats = &mut *self.seats_mut();
        if seats.mailboxes[place].as_ref().is_some_and(|found| Arc::ptr_eq(found, mailbox)) {
            seats.mailboxes[place] = None;
            seats.refused += mailbox.refused();
            self.members.fetch_sub(1, Ordering::Release);
        }
    }

    /// How many workers there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.members.load(Ordering::Acquire)
    }

    /// The mailboxes of all workers, in the order of their places.
    pub fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.seats().mailboxes.iter().flatten().cloned().collect()
    }

    /// One worker after the other, as `turn` counts up.
    pub fn in_turn(&self, turn: usize) -> Option<Arc<Mailbox>> {
        let seats = self.seats();
        let members = seats.mailboxes.iter().flatten();
        members.clone().nth(turn % members.count().max(1)).cloned()
    }

    /// The counters of all workers together, also of those that have left.
    pub fn metrics(&self) -> Metrics {
        let seats = self.seats();
        let mut metrics = Metrics::default();
        seats.counters.iter().for_each(|counters| metrics.add(counters));
        metrics.mail_refused = seats.refused + seats.mailboxes.iter().flatten().map(|mailbox| mailbox.refused()).sum::<u64>();
        metrics
    }

    /// Publishes from a thread that is no worker. Gives how many subscribers it went out to, or `None` when a mailbox was full.
    pub fn publish(&self, topic: &str, message: &Outbound<'_>) -> Option<usize> {
        let Some(count) = self.counts.find(topic) else { return Some(0) };
        let total = count.total();
        let mut pending = Pending::default();
        pending.add(&count, None, message);
        pending.post(self).then_some(total)
    }
}

/// What a worker has published in this turn and not posted yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    batch: Batch,
    /// Who is to get it.
    workers: Workers,
}

impl Pending {
    /// Adds a message for all workers but `here` that have a subscriber; whether there are any.
    pub fn add(&mut self, topic: &Arc<TopicCount>, here: Option<usize>, message: &Outbound<'_>) -> bool {
        let workers = topic.workers().without(here);
        if workers.is_empty() {
            return false;
        }
        self.workers.add(workers);
        self.batch.push(topic, message);
        true
    }

    /// Posts what there is; `false` when a mailbox was full. A worker that has left meanwhile has no subscribers.
    pub fn post(&mut self, link: &Link) -> bool {
        if self.workers.is_empty() {
            return true;
        }
        let batch = Arc::new(std::mem::take(&mut self.batch));
        let mut all = true;
        let seats = link.seats();
        for worker in std::mem::take(&mut self.workers).iter() {
            if let Some(mailbox) = &seats.mailboxes[worker] {
                all &= mailbox.post(Mail::Publish(batch.clone()));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use tidewire_proto::Opcode;

    use super::*;
    use crate::engine::Compress;

    #[test]
    fn workers_come_and_go_and_their_places_are_given_again() {
        let link = Link::default();
        let join = || link.join(Waker::noop().clone());
        assert_eq!([join(), join(), join()], [Some(0), Some(1), Some(2)]);
        let (first, counters) = link.seat(1);
        counters.published.add(5);
        link.leave(1, &first);
        link.leave(1, &first);
        assert_eq!((link.len(), link.mailboxes().len()), (2, 2));
        assert!((0..4).all(|turn| link.in_turn(turn).is_some_and(|mailbox| !Arc::ptr_eq(&mailbox, &first))));
        assert_eq!((join(), join()), (Some(1), Some(3)));
        let (second, _) = link.seat(1);
        link.leave(1, &first);
        assert!(Arc::ptr_eq(&link.seat(1).0, &second), "who has left cannot take another's place away");
        assert_eq!(link.metrics().published, 5, "what is counted stays");
        assert_eq!((4..MAX_WORKERS).filter_map(|_| join()).count(), MAX_WORKERS - 4);
        assert_eq!(join(), None);
    }

    #[test]
    fn a_batch_goes_to_the_workers_that_have_subscribers_and_to_nobody_who_has_left() {
        let link = Link::default();
        let seats: Vec<_> = (0..3).filter_map(|_| link.join(Waker::noop().clone())).map(|place| link.seat(place).0).collect();
        let count = link.counts.share("news", 1);
        count.add();
        let message = Outbound { opcode: Opcode::Text, payload: b"x", compress: Compress::No };
        assert_eq!(link.publish("news", &message), Some(1));
        let waiting = || seats.iter().map(|mailbox| mailbox.take().len()).collect::<Vec<_>>();
        assert_eq!(waiting(), [0, 1, 0]);
        let mut pending = Pending::default();
        assert!(!pending.add(&count, Some(1), &message), "its own subscribers have it already");
        assert!(pending.add(&count, Some(0), &message));
        link.leave(1, &seats[1]);
        assert!(pending.post(&link));
        assert_eq!(waiting(), [0, 0, 0]);
    }
}

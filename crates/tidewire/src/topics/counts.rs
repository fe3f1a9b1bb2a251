//! How many subscribers each topic has, and on which workers: what all workers share.
//!
//! A worker takes the lock when the first of its sockets subscribes to a topic and when the last one leaves; between these,
//! counting is an atomic addition. A topic is as large for two hundred workers as for one, and workers may come and go.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The most workers at a time: each has a bit in every topic.
pub(crate) const MAX_WORKERS: usize = 256;

const WORD: usize = u64::BITS as usize;

/// The subscribers of one topic, of all workers together, and the workers that have any.
#[derive(Debug)]
pub(crate) struct TopicCount {
    name: Arc<str>,
    total: AtomicUsize,
    workers: [AtomicU64; MAX_WORKERS / WORD],
}

impl TopicCount {
    fn new(name: Arc<str>) -> Self {
        Self { name, total: AtomicUsize::new(0), workers: Default::default() }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn add(&self) {
        self.total.fetch_add(1, Ordering::Release);
    }

    pub fn remove(&self) {
        self.total.fetch_sub(1, Ordering::Release);
    }

    /// The subscribers on all workers.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    /// The workers that have subscribers.
    pub fn workers(&self) -> Workers {
        Workers(std::array::from_fn(|place| self.workers[place].load(Ordering::Acquire)))
    }

    fn set(&self, worker: usize, has: bool) {
        let (word, bit) = (&self.workers[worker / WORD], 1 << (worker % WORD));
        if has {
            word.fetch_or(bit, Ordering::Release);
        } else {
            word.fetch_and(!bit, Ordering::Release);
        }
    }
}

/// Some of the workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Workers([u64; MAX_WORKERS / WORD]);

impl Workers {
    /// All of them but one.
    pub fn without(mut self, worker: Option<usize>) -> Self {
        if let Some(worker) = worker {
            self.0[worker / WORD] &= !(1 << (worker % WORD));
        }
        self
    }

    /// Those as well.
    pub fn add(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, others)| *word |= others);
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Their places, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        self.0.into_iter().enumerate().flat_map(|(place, mut left)| {
            std::iter::from_fn(move || {
                let bit = (left != 0).then_some(left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(place * WORD + bit)
            })
        })
    }
}

type Shared = HashMap<Arc<str>, Arc<TopicCount>, RandomState>;

/// The counts of all topics that anybody is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Shared>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker opens the topic: its first subscriber comes.
    pub fn share(&self, name: &str, worker: usize) -> Arc<TopicCount> {
        let mut topics = self.lock();
        let count = match topics.get(name) {
            Some(count) => count.clone(),
            None => {
                let name: Arc<str> = name.into();
                let count = Arc::new(TopicCount::new(name.clone()));
                topics.insert(name, count.clone());
                count
            }
        };
        count.set(worker, true);
        count
    }

    /// A worker closes the topic: its last subscriber has left. Only the last worker forgets it.
    pub fn unshare(&self, count: &TopicCount, worker: usize) {
        let mut topics = self.lock();
        count.set(worker, false);
        if count.workers().is_empty() {
            topics.remove(&*count.name);
        }
    }

    pub fn find(&self, name: &str) -> Option<Arc<TopicCount>> {
        self.lock().get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_knows_its_workers_and_is_forgotten_with_the_last() {
        let counts = Counts::default();
        let places = [0, 1, 63, 64, 200, MAX_WORKERS - 1];
        for worker in places {
            let count = counts.share("news", worker);
            (0..3).for_each(|_| count.add());
        }
        let count = counts.find("news").expect("it is shared");
        assert_eq!((count.total(), count.workers().iter().collect::<Vec<_>>()), (18, places.to_vec()));
        let others = count.workers().without(Some(63)).without(Some(5));
        assert_eq!(others.iter().collect::<Vec<_>>(), [0, 1, 64, 200, MAX_WORKERS - 1]);
        let mut none = Workers::default();
        assert!(none.is_empty() && !others.is_empty());
        none.add(others);
        assert_eq!(none, others);
        for (gone, worker) in places.into_iter().enumerate() {
            assert!(counts.find("news").is_some());
            (0..3).for_each(|_| count.remove());
            counts.unshare(&count, worker);
            assert_eq!((count.total(), count.workers().iter().count()), (15 - 3 * gone, 5 - gone));
        }
        assert!(counts.find("news").is_none());
    }
}

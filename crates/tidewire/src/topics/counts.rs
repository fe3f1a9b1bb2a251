//! How many subscribers each topic has, on each worker: what all workers share.
//!
//! A worker takes the lock when the first of its sockets subscribes to a topic and when the last one leaves; between these,
//! counting is an atomic addition.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The subscribers of one topic, by worker.
#[derive(Debug)]
pub(crate) struct TopicCount {
    name: Arc<str>,
    by_worker: Box<[AtomicUsize]>,
}

impl TopicCount {
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn add(&self, worker: usize) {
        self.by_worker[worker].fetch_add(1, Ordering::Release);
    }

    pub fn remove(&self, worker: usize) {
        self.by_worker[worker].fetch_sub(1, Ordering::Release);
    }

    /// The subscribers on all workers.
    pub fn total(&self) -> usize {
        self.by_worker.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Whether anybody is subscribed on that worker.
    pub fn is_on(&self, worker: usize) -> bool {
        self.by_worker[worker].load(Ordering::Acquire) > 0
    }
}

/// With how many workers have a topic open: only the last may forget it.
type Shared = HashMap<Arc<str>, (Arc<TopicCount>, usize), RandomState>;

/// The counts of all topics that anybody is subscribed to.
#[derive(Debug)]
pub(crate) struct Counts {
    topics: Mutex<Shared>,
    workers: usize,
}

impl Counts {
    pub fn new(workers: usize) -> Self {
        Self { topics: Mutex::default(), workers }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more worker opens the topic.
    pub fn share(&self, name: &str) -> Arc<TopicCount> {
        let mut topics = self.lock();
        if let Some((count, sharers)) = topics.get_mut(name) {
            *sharers += 1;
            return count.clone();
        }
        let name: Arc<str> = name.into();
        let by_worker = (0..self.workers).map(|_| AtomicUsize::new(0)).collect();
        let count = Arc::new(TopicCount { name: name.clone(), by_worker });
        topics.insert(name, (count.clone(), 1));
        count
    }

    /// A worker closes the topic.
    pub fn unshare(&self, count: &TopicCount) {
        let mut topics = self.lock();
        if let Some((_, sharers)) = topics.get_mut(&*count.name) {
            *sharers -= 1;
            if *sharers == 0 {
                topics.remove(&*count.name);
            }
        }
    }

    pub fn find(&self, name: &str) -> Option<Arc<TopicCount>> {
        self.lock().get(name).map(|(count, _)| count.clone())
    }
}

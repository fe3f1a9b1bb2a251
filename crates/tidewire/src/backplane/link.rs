//! The link between the workers of one process.
//!
//! A worker collects what it publishes in a turn into one batch, framed once, and posts the batch at the end of the turn to
//! each worker that has a subscriber: one post and one wake, however many messages. The order of one publisher is kept,
//! because a batch keeps it and a mailbox keeps the order of batches.

use std::ops::Range;
use std::sync::Arc;

use tidewire_proto::{Opcode, frame};

use crate::engine::mailbox::{Mail, Mailbox};
use crate::topics::counts::{Counts, TopicCount};

/// What was published in one turn for other workers: frames, and which topic each goes to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<TopicCount>,
    frame: Range<usize>,
    payload: usize,
}

impl Batch {
    fn push(&mut self, topic: Arc<TopicCount>, opcode: Opcode, payload: &[u8]) {
        let start = self.bytes.len();
        frame::encode_frame(&mut self.bytes, opcode, payload, None);
        self.entries.push(Entry { topic, frame: start..self.bytes.len(), payload: payload.len() });
    }

    /// The bytes of its frames.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Topic, frame and length of the payload of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8], usize)> {
        self.entries.iter().map(|entry| (&**entry.topic.name(), &self.bytes[entry.frame.clone()], entry.payload))
    }
}

/// Joins the workers of a process.
pub(crate) struct Link {
    pub counts: Arc<Counts>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Link {
    pub fn new(counts: Arc<Counts>, mailboxes: Vec<Arc<Mailbox>>) -> Self {
        Self { counts, mailboxes }
    }

    pub fn mailboxes(&self) -> &[Arc<Mailbox>] {
        &self.mailboxes
    }

    /// Publishes from a thread that is no worker. Gives how many subscribers it went out to, or `None` when a mailbox was full.
    pub fn publish(&self, topic: &str, opcode: Opcode, payload: &[u8]) -> Option<usize> {
        let Some(count) = self.counts.find(topic) else { return Some(0) };
        let total = count.total();
        let mut pending = Pending::default();
        pending.add(&count, usize::MAX, self.mailboxes.len(), opcode, payload);
        pending.post(self).then_some(total)
    }
}

/// What a worker has published in this turn and not posted yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    batch: Batch,
    workers: Vec<usize>,
}

impl Pending {
    /// Adds a message for all workers but `here` that have a subscriber; whether there are any.
    pub fn add(&mut self, topic: &Arc<TopicCount>, here: usize, workers: usize, opcode: Opcode, payload: &[u8]) -> bool {
        let mut any = false;
        for worker in (0..workers).filter(|worker| *worker != here && topic.is_on(*worker)) {
            any = true;
            if !self.workers.contains(&worker) {
                self.workers.push(worker);
            }
        }
        if any {
            self.batch.push(topic.clone(), opcode, payload);
        }
        any
    }

    /// Posts what there is; `false` when a mailbox was full.
    pub fn post(&mut self, link: &Link) -> bool {
        if self.workers.is_empty() {
            return true;
        }
        let batch = Arc::new(std::mem::take(&mut self.batch));
        let mut all = true;
        for worker in self.workers.drain(..) {
            all &= link.mailboxes[worker].post(Mail::Publish(batch.clone()));
        }
        all
    }
}

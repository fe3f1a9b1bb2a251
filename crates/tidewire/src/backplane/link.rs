//! The link between the workers of one process.
//!
//! A worker collects what it publishes in a turn into one batch and posts the batch at the end of the turn to
//! each worker that has a subscriber: one post and one wake, however many messages. The order of one publisher is kept,
//! because a batch keeps it and a mailbox keeps the order of batches.
//!
//! A batch carries messages as they are, not compressed. Which forms a worker's subscribers need only that worker knows, and
//! a worker that compresses does so beside the others: the sender, whose clients wait, has that work only for its own.

use std::ops::Range;
use std::sync::Arc;

use tidewire_proto::Opcode;

use crate::engine::Compress;
use crate::engine::mailbox::{Mail, Mailbox};
use crate::engine::packing::Outbound;
use crate::topics::counts::{Counts, TopicCount};

/// What was published in one turn for other workers, and which topic each message goes to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<TopicCount>,
    opcode: Opcode,
    compress: Compress,
    payload: Range<usize>,
}

impl Batch {
    fn push(&mut self, topic: Arc<TopicCount>, message: &Outbound<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message.payload);
        let payload = start..self.bytes.len();
        self.entries.push(Entry { topic, opcode: message.opcode, compress: message.compress, payload });
    }

    /// The bytes of its messages.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Topic and message of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Outbound<'_>)> {
        self.entries.iter().map(|entry| {
            let payload = &self.bytes[entry.payload.clone()];
            (&**entry.topic.name(), Outbound { opcode: entry.opcode, payload, compress: entry.compress })
        })
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
    pub fn publish(&self, topic: &str, message: &Outbound<'_>) -> Option<usize> {
        let Some(count) = self.counts.find(topic) else { return Some(0) };
        let total = count.total();
        let mut pending = Pending::default();
        pending.add(&count, usize::MAX, self.mailboxes.len(), message);
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
    pub fn add(&mut self, topic: &Arc<TopicCount>, here: usize, workers: usize, message: &Outbound<'_>) -> bool {
        let mut any = false;
        for worker in (0..workers).filter(|worker| *worker != here && topic.is_on(*worker)) {
            any = true;
            if !self.workers.contains(&worker) {
                self.workers.push(worker);
            }
        }
        if any {
            self.batch.push(topic.clone(), message);
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

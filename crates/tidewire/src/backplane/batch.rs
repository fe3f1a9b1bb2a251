//! What a worker has published in one turn for the others.

use std::sync::Arc;

use tidewire_proto::{Opcode, frame};

use crate::engine::Compress;
use crate::engine::packing::Outbound;
use crate::topics::counts::TopicCount;

/// A stretch that has so many bytes of frames is not made longer. A subscriber takes a stretch as one, so this is how much more than an
/// outbox's cork can be in it; and it fits into a chunk of the turn log.
const STRETCH: usize = 16 * 1024;

/// Messages and the topics that they go to, in order. Each is framed already, as those get it who do not compress.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    frames: Vec<u8>,
    /// Where each message ends, and what it is.
    entries: Vec<Entry>,
    stretches: Vec<Bounds>,
    /// The bytes of the payloads.
    payload: usize,
}

#[derive(Debug)]
struct Entry {
    opcode: Opcode,
    compress: Compress,
    payload: usize,
    /// Where its frame ends.
    end: usize,
}

#[derive(Debug)]
struct Bounds {
    topic: Arc<TopicCount>,
    /// Where it begins, in `frames` and in `entries`.
    frame: usize,
    entry: usize,
}

impl Batch {
    pub(super) fn push(&mut self, topic: &Arc<TopicCount>, message: &Outbound<'_>) {
        let (frame, entry) = (self.frames.len(), self.entries.len());
        let Outbound { opcode, payload, compress } = *message;
        let goes_on = self
            .stretches
            .last()
            .is_some_and(|last| Arc::ptr_eq(&last.topic, topic) && frame - last.frame + payload.len() < STRETCH);
        if !goes_on {
            // A clone for each message would have the workers fight over the count of references.
            self.stretches.push(Bounds { topic: topic.clone(), frame, entry });
        }
        frame::encode_frame(&mut self.frames, opcode, payload, None);
        self.payload += payload.len();
        self.entries.push(Entry { opcode, compress, payload: payload.len(), end: self.frames.len() });
    }

    /// The bytes of its messages, without what frames them.
    pub fn len(&self) -> usize {
        self.payload
    }

    /// The stretches, in order.
    pub fn stretches(&self) -> impl Iterator<Item = Stretch<'_>> {
        self.stretches.iter().enumerate().map(|(at, Bounds { topic, frame, entry })| {
            let end = self.stretches.get(at + 1).map_or((self.frames.len(), self.entries.len()), |next| (next.frame, next.entry));
            Stretch {
                topic: topic.name(),
                begin: *frame,
                frames: &self.frames[*frame..end.0],
                entries: &self.entries[*entry..end.1],
            }
        })
    }
}

/// Messages to one topic that follow each other in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub topic: &'a str,
    /// All of them, each in one plain frame.
    pub frames: &'a [u8],
    /// Where `frames` begins, as the entries count.
    begin: usize,
    entries: &'a [Entry],
}

/// A message of a stretch, and where in the stretch's frames its own ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framed<'a> {
    pub message: Outbound<'a>,
    pub end: usize,
}

impl<'a> Stretch<'a> {
    /// How many messages it has; never none.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = Framed<'a>> + use<'a> {
        let Self { frames, begin, entries, .. } = *self;
        entries.iter().map(move |entry| {
            let end = entry.end - begin;
            // The payload is what a frame that is not masked ends with.
            let message = Outbound { opcode: entry.opcode, payload: &frames[end - entry.payload..end], compress: entry.compress };
            Framed { message, end }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::counts::Counts;

    fn told(batch: &Batch) -> Vec<(String, Vec<String>)> {
        let text = |framed: Framed<'_>| String::from_utf8(framed.message.payload.to_vec()).unwrap();
        batch.stretches().map(|stretch| (stretch.topic.to_owned(), stretch.iter().map(text).collect())).collect()
    }

    #[test]
    fn what_follows_each_other_to_one_topic_is_a_stretch() {
        let counts = Counts::default();
        let topics = ["a", "b"].map(|name| counts.share(name, 0));
        let mut batch = Batch::default();
        for (topic, text) in [(0, "one"), (0, ""), (1, "two"), (0, "three"), (0, "four")] {
            let message = Outbound { opcode: Opcode::Text, payload: text.as_bytes(), compress: Compress::No };
            batch.push(&topics[topic], &message);
        }
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let expected = [("a", strings(&["one", ""])), ("b", strings(&["two"])), ("a", strings(&["three", "four"]))];
        assert_eq!(told(&batch), expected.map(|(topic, texts)| (topic.to_owned(), texts)));
        assert_eq!(batch.len(), 15, "payloads only");
        let last = batch.stretches().last().unwrap();
        assert_eq!((last.frames, last.len()), (&b"\x81\x05three\x81\x04four"[..], 2));
        assert_eq!(last.iter().map(|framed| framed.end).collect::<Vec<_>>(), [7, 13]);
    }

    #[test]
    fn a_stretch_is_bounded_but_for_one_message() {
        let topic = Counts::default().share("a", 0);
        let mut batch = Batch::default();
        for size in [10, STRETCH / 2, STRETCH, 1, 1, STRETCH - 100] {
            let payload = vec![7; size];
            batch.push(&topic, &Outbound { opcode: Opcode::Binary, payload: &payload, compress: Compress::No });
        }
        assert_eq!(batch.stretches().map(|stretch| stretch.len()).collect::<Vec<_>>(), [2, 1, 3]);
        assert!(batch.stretches().all(|stretch| stretch.len() == 1 || stretch.frames.len() <= STRETCH + 10));
    }
}

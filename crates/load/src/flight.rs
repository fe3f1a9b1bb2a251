//! Messages under way: when each was sent, or should have been, and who still lacks it.

use std::collections::VecDeque;

/// Messages that were due at the same time.
#[derive(Debug)]
struct Run {
    /// When they were due, in nanoseconds of the load's clock.
    at: u64,
    messages: u64,
    /// Deliveries that are outstanding.
    missing: u64,
}

/// Where a receiver is in the runs.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    run: u64,
    taken: u64,
}

/// Messages on their way to one receiver or to many. All messages are alike, so the first that comes is the first that was sent.
#[derive(Debug)]
pub(crate) struct Flight {
    runs: VecDeque<Run>,
    /// The number of the first run.
    first: u64,
    cursors: Vec<Cursor>,
}

impl Flight {
    pub(crate) fn new(receivers: usize) -> Self {
        Self { runs: VecDeque::new(), first: 0, cursors: vec![Cursor::default(); receivers] }
    }

    /// Sends messages to every receiver.
    #[inline]
    pub(crate) fn launch(&mut self, at: u64, messages: usize) {
        let messages = messages as u64;
        self.runs.push_back(Run { at, messages, missing: messages * self.cursors.len() as u64 });
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Counts what a receiver got, tells `record` for each run since when and how many, and gives how many messages have now reached
    /// everybody; `None` for one that is not under way.
    #[inline]
    pub(crate) fn arrived(&mut self, receiver: usize, messages: usize, mut record: impl FnMut(u64, u64)) -> Option<usize> {
        let cursor = &mut self.cursors[receiver];
        let mut left = messages as u64;
        while left > 0 {
            let run = self.runs.get_mut(usize::try_from(cursor.run - self.first).ok()?)?;
            let count = left.min(run.messages - cursor.taken);
            record(run.at, count);
            run.missing -= count;
            cursor.taken += count;
            left -= count;
            if cursor.taken == run.messages {
                *cursor = Cursor { run: cursor.run + 1, taken: 0 };
            }
        }
        let mut landed = 0;
        while let Some(run) = self.runs.front().filter(|run| run.missing == 0) {
            landed += run.messages;
            self.first += 1;
            self.runs.pop_front();
        }
        usize::try_from(landed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lands_when_the_last_receiver_has_it() {
        let mut flight = Flight::new(3);
        let mut seen = Vec::new();
        flight.launch(10, 1);
        flight.launch(10, 1);
        for (receiver, messages, landed) in [(0, 2, 0), (1, 2, 0), (2, 1, 1)] {
            assert_eq!(flight.arrived(receiver, messages, |at, count| seen.push((at, count))), Some(landed));
        }
        flight.launch(20, 1);
        assert_eq!(flight.arrived(2, 2, |at, count| seen.push((at, count))), Some(1));
        assert_eq!(seen, [(10, 1), (10, 1), (10, 1), (10, 1), (10, 1), (10, 1), (20, 1)]);
        assert!(!flight.is_empty());
    }

    #[test]
    fn a_run_is_told_at_once_and_lands_as_one() {
        let mut flight = Flight::new(2);
        let mut seen = Vec::new();
        flight.launch(5, 100);
        assert_eq!(flight.arrived(0, 30, |at, count| seen.push((at, count))), Some(0));
        assert_eq!(flight.arrived(0, 70, |at, count| seen.push((at, count))), Some(0));
        assert_eq!(flight.arrived(1, 100, |at, count| seen.push((at, count))), Some(100));
        assert_eq!(seen, [(5, 30), (5, 70), (5, 100)]);
        assert!(flight.is_empty());
    }

    #[test]
    fn a_message_that_was_not_sent_is_noticed() {
        let mut flight = Flight::new(2);
        flight.launch(0, 1);
        assert_eq!(flight.arrived(0, 2, |_, _| ()), None);
    }
}

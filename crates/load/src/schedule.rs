//! When messages are due, where a rate is given: whatever the server does, the next one is due at its time.
//!
//! A load that waits for a slow server before it sends the next message leaves out just those messages that would have waited
//! ("coordinated omission"). Here a message's latency counts from when it was due, also when it left later.

use std::time::{Duration, Instant};

use crate::error::{LoadError, Result};

/// The most messages that may be due and not have come back: when each was due must be remembered.
const MOST_BEHIND: u64 = 5_000_000;

/// The load's clock: nanoseconds since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What is due when.
#[derive(Debug)]
pub(crate) struct Schedule {
    per_second: f64,
    begin: u64,
    /// How many were due so far.
    due: u64,
}

impl Schedule {
    pub(crate) fn new(per_second: f64, begin: u64) -> Self {
        Self { per_second, begin, due: 0 }
    }

    /// When the next is due.
    fn next_at(&self) -> u64 {
        // Not a sum of intervals, whose roundings would add up.
        self.begin + (self.due as f64 * 1e9 / self.per_second) as u64
    }

    /// The next that is due by now: when it was, and its number.
    pub(crate) fn next(&mut self, now: u64) -> Option<(u64, u64)> {
        let at = self.next_at();
        let number = self.due;
        (at <= now).then(|| {
            self.due += 1;
            (at, number)
        })
    }

    /// Goes on being due only while the server can be thought to catch up, when so many have come back.
    pub(crate) fn check(&self, landed: u64) -> Result {
        match self.due.saturating_sub(landed) {
            0..=MOST_BEHIND => Ok(()),
            messages => Err(LoadError::Behind { messages }),
        }
    }

    /// How long there is nothing to send.
    pub(crate) fn pause(&self, now: u64) -> Duration {
        Duration::from_nanos(self.next_at().saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_does_not_wait_for_the_server() {
        let mut schedule = Schedule::new(1000.0, 500);
        assert_eq!((schedule.next(499), schedule.pause(499)), (None, Duration::from_nanos(1)));
        // Two milliseconds late, three are due, each since its own time.
        let due: Vec<_> = std::iter::from_fn(|| schedule.next(2_000_500)).collect();
        assert_eq!(due, [(500, 0), (1_000_500, 1), (2_000_500, 2)]);
        assert_eq!(schedule.pause(2_000_500), Duration::from_millis(1));
    }

    #[test]
    fn what_can_never_be_caught_up_with_ends() {
        let schedule = Schedule { per_second: 1.0, begin: 0, due: MOST_BEHIND + 10 };
        assert!(schedule.check(10).is_ok());
        assert!(schedule.check(9).unwrap_err().to_string().contains("lower rate"));
    }
}

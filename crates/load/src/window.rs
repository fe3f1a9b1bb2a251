//! The time over which is measured: it opens after the warm-up and closes by the clock or by the count.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::error::{LoadError, Result};
use crate::meter::{Source, cpu_time};
use crate::schedule::Clock;
use crate::{Load, Observer, Progress, Timing};

/// How often the observer is told.
const TELL: Duration = Duration::from_millis(100);
/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 1_000_000_000_000;
/// Digits of a latency that are right.
const DIGITS: u8 = 3;

/// What happened in a window.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub elapsed: Duration,
    /// Messages that clients sent and whose every delivery has arrived.
    pub messages: u64,
    /// Messages that clients received.
    pub deliveries: u64,
    /// CPU time of the server, where there is one to look at.
    pub server: Option<Duration>,
    pub load: Duration,
    pub source: Source,
    /// Nanoseconds of each delivery.
    pub latency: Histogram<u64>,
}

/// A running measurement.
pub(crate) struct Window<'a> {
    pid: Option<u32>,
    source: Source,
    timing: Timing,
    /// Deliveries of one message.
    receivers: u64,
    pub clock: Clock,
    open: Option<Mark>,
    latency: Histogram<u64>,
    observer: Observer<'a>,
    told: Duration,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Duration,
    deliveries: u64,
    server: Option<Duration>,
    load: Duration,
}

impl<'a> Window<'a> {
    /// Begins the warm-up; each message is delivered to so many receivers.
    pub(crate) fn new(load: &Load, receivers: usize, observer: Observer<'a>) -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, LONGEST, DIGITS).map_err(std::io::Error::other)?;
        Ok(Self {
            pid: load.pid,
            source: Source::finest(load.pid.unwrap_or_else(std::process::id)),
            timing: load.timing,
            receivers: receivers as u64,
            clock: Clock::new(),
            open: None,
            latency,
            observer,
            told: Duration::ZERO,
        })
    }

    /// Takes note of deliveries at a time, of messages that were due at another.
    #[inline]
    pub(crate) fn record(&mut self, due: u64, now: u64, deliveries: u64) {
        if self.open.is_some() {
            self.latency.saturating_record_n(now.saturating_sub(due).max(1), deliveries);
        }
    }

    /// Takes note of all deliveries so far; gives the result once the window has closed.
    #[inline]
    pub(crate) fn update(&mut self, now: u64, deliveries: u64) -> Result<Option<Measured>> {
        let now = Duration::from_nanos(now);
        if now - self.told >= TELL {
            self.told = now;
            (self.observer)(self.open.map_or(Progress::WarmingUp, |open| Progress::Measuring {
                elapsed: now - open.at,
                length: self.timing.length,
                count: deliveries - open.deliveries,
            }));
        }
        let Some(open) = self.open else {
            if now >= self.timing.warmup {
                self.open = Some(self.mark(deliveries)?);
            }
            return Ok(None);
        };
        let counted = deliveries - open.deliveries;
        let most = self.timing.messages.unwrap_or(u64::MAX);
        if now.saturating_sub(open.at) < self.timing.length && counted / self.receivers < most {
            return Ok(None);
        }
        let close = self.mark(deliveries)?;
        Ok(Some(Measured {
            elapsed: close.at - open.at,
            messages: counted / self.receivers,
            deliveries: counted,
            server: close.server.zip(open.server).map(|(close, open)| close.saturating_sub(open)),
            load: close.load.saturating_sub(open.load),
            source: self.source,
            latency: self.latency.clone(),
        }))
    }

    fn mark(&self, deliveries: u64) -> Result<Mark> {
        let server = match self.pid {
            Some(pid) => Some(cpu_time(pid, self.source).map_err(LoadError::process(pid))?),
            None => None,
        };
        let load = cpu_time(std::process::id(), self.source)?;
        Ok(Mark { at: Duration::from_nanos(self.clock.now()), deliveries, server, load })
    }
}

/// Since when nothing has come, where something must.
pub(crate) struct Silence {
    since: Instant,
}

impl Silence {
    /// How long nothing may happen before the server is taken for dead.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Takes note of the events of a wait; `due` is whether something must come.
    #[inline]
    pub(crate) fn check(&mut self, events: usize, due: bool) -> Result {
        if events > 0 || !due {
            // A look at the clock for each wait, beside a system call.
            self.since = Instant::now();
        } else if self.since.elapsed() >= Self::PATIENCE {
            return Err(LoadError::Silence { seconds: Self::PATIENCE.as_secs() });
        }
        Ok(())
    }
}

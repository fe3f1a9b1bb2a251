//! The time over which is measured: it opens after the warm-up and closes by the clock or by the count.

use std::io;
use std::time::{Duration, Instant};

use super::{Measure, Target};
use crate::meter::{Source, cpu_time};

/// What happened in a window.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub elapsed: Duration,
    /// Messages that clients sent and whose every delivery has arrived.
    pub messages: u64,
    /// Messages that clients received.
    pub deliveries: u64,
    pub server: Duration,
    pub load: Duration,
    pub source: Source,
}

/// A running measurement.
pub struct Window {
    pid: u32,
    source: Source,
    warmup: Duration,
    length: Duration,
    most: u64,
    /// Deliveries of one message.
    receivers: u64,
    started: Instant,
    open: Option<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    deliveries: u64,
    server: Duration,
    load: Duration,
}

impl Window {
    /// Begins the warm-up; each message is delivered to so many receivers.
    pub fn new(target: &Target, measure: &Measure, receivers: usize) -> io::Result<Self> {
        let seconds =
            |value: f64| Duration::try_from_secs_f64(value).map_err(|error| io::Error::other(format!("{value} s: {error}")));
        Ok(Self {
            pid: target.pid,
            source: Source::finest(target.pid),
            warmup: seconds(measure.warmup)?,
            length: seconds(measure.seconds)?,
            most: measure.messages.unwrap_or(u64::MAX),
            receivers: receivers as u64,
            started: Instant::now(),
            open: None,
        })
    }

    /// Takes note of all deliveries so far; gives the result once the window has closed.
    #[inline]
    pub fn update(&mut self, deliveries: u64) -> io::Result<Option<Measured>> {
        let now = Instant::now();
        let Some(open) = &self.open else {
            if now - self.started >= self.warmup {
                self.open = Some(self.mark(deliveries)?);
            }
            return Ok(None);
        };
        let counted = deliveries - open.deliveries;
        if now - open.at < self.length && counted / self.receivers < self.most {
            return Ok(None);
        }
        let (open, close) = (*open, self.mark(deliveries)?);
        Ok(Some(Measured {
            elapsed: close.at - open.at,
            messages: counted / self.receivers,
            deliveries: counted,
            server: close.server.saturating_sub(open.server),
            load: close.load.saturating_sub(open.load),
            source: self.source,
        }))
    }

    fn mark(&self, deliveries: u64) -> io::Result<Mark> {
        let server = cpu_time(self.pid, self.source)?;
        let load = cpu_time(std::process::id(), self.source)?;
        Ok(Mark { at: Instant::now(), deliveries, server, load })
    }
}

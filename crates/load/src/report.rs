//! What a load found out.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::{LoadError, Result};
use crate::meter::{Source, resident_bytes};
use crate::window::Measured;
use crate::{Form, Load, Pace};

/// A report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The kind of load: `echo`, `chat`, `fanout`, `connect` or `idle`.
    pub load: &'static str,
    /// The server.
    pub url: String,
    /// How many connections.
    pub connections: usize,
    /// Bytes of payload of each message that was sent.
    pub size: usize,
    /// Their form.
    pub form: Form,
    /// Whether they were compressed.
    pub deflate: bool,
    /// When the next message went out.
    pub pace: Option<Pace>,
    /// What came back for each.
    pub answer: Option<Answer>,
    /// How long was measured; in `idle` how long it took to open all connections.
    pub elapsed: Duration,
    /// Messages that were sent and have reached everybody whom they should; in `connect` handshakes.
    pub messages: u64,
    /// Messages that were received.
    pub deliveries: u64,
    /// How long each delivery took; where a [`Pace`] is a rate, since the message was due.
    pub latency: Option<Latency>,
    /// What it cost the server, where its process is known.
    pub server: Option<Process>,
    /// What it cost this process: close to 1, and the server may have waited for the load.
    pub load_busy: f64,
    /// The server's memory, in `idle`.
    pub memory: Option<Memory>,
}

/// What the server sends for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its payload, which may have more than what was sent.
    pub bytes: usize,
    /// Its frames.
    pub wire_bytes: usize,
    /// Whether it is compressed.
    pub compressed: bool,
}

/// Latencies in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Latency {
    /// What so many of a hundred deliveries took at most.
    #[must_use]
    pub fn percentile(&self, of_hundred: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(of_hundred / 100.0))
    }

    /// The shortest.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.0.min())
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

/// A process that was measured.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The share of one core that it took; more than 1 with several threads.
    pub busy: f64,
    /// Where the time comes from.
    pub source: Source,
    /// Its resident memory at the end, with all connections open.
    pub resident_bytes: u64,
}

impl Process {
    /// Microseconds of CPU time for each of so many.
    #[must_use]
    pub fn us_per(&self, count: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count as f64
    }
}

/// Resident bytes of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Before the connections, and after a first few that stay to the end.
    pub before: u64,
    /// With all of them.
    pub full: u64,
    /// After they were closed.
    pub after: u64,
}

impl Memory {
    /// Bytes for each connection.
    #[must_use]
    pub fn per_connection(&self, connections: usize) -> f64 {
        self.full.saturating_sub(self.before) as f64 / connections as f64
    }

    /// Bytes of each connection that were not given back when it was closed.
    #[must_use]
    pub fn kept_per_connection(&self, connections: usize) -> f64 {
        self.after.saturating_sub(self.before) as f64 / connections as f64
    }
}

impl Report {
    fn about(kind: &'static str, load: &Load) -> Self {
        Self {
            load: kind,
            url: load.url.to_string(),
            connections: load.connections,
            size: load.payload.size,
            form: load.payload.form,
            deflate: load.deflate,
            pace: None,
            answer: None,
            elapsed: Duration::ZERO,
            messages: 0,
            deliveries: 0,
            latency: None,
            server: None,
            load_busy: 0.0,
            memory: None,
        }
    }

    /// Of a measurement of time, while the connections are still open.
    pub(crate) fn of(
        kind: &'static str,
        load: &Load,
        pace: Option<Pace>,
        answer: Option<Answer>,
        measured: &Measured,
    ) -> Result<Self> {
        let seconds = measured.elapsed.as_secs_f64();
        let server = match (load.pid, measured.server) {
            (Some(pid), Some(cpu)) => Some(Process {
                pid,
                cpu,
                busy: cpu.as_secs_f64() / seconds,
                source: measured.source,
                resident_bytes: resident_bytes(pid).map_err(LoadError::process(pid))?,
            }),
            _ => None,
        };
        Ok(Self {
            pace,
            answer,
            elapsed: measured.elapsed,
            messages: measured.messages,
            deliveries: measured.deliveries,
            latency: (!measured.latency.is_empty()).then(|| Latency(measured.latency.clone())),
            server,
            load_busy: measured.load.as_secs_f64() / seconds,
            ..Self::about(kind, load)
        })
    }

    /// Of a measurement of memory.
    pub(crate) fn idle(load: &Load, opened_in: Duration, memory: Option<Memory>) -> Self {
        Self { elapsed: opened_in, memory, ..Self::about("idle", load) }
    }

    /// How many came back for each second.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }

    /// The share of the rate that was asked for, where that is too little to speak of the server at this rate.
    #[must_use]
    pub fn behind_rate(&self) -> Option<f64> {
        /// What chance leaves of a rate over a short time.
        const ENOUGH: f64 = 0.98;
        match self.pace {
            Some(Pace::PerSecond(rate)) => Some(self.per_second(self.messages) / rate).filter(|share| *share < ENOUGH),
            _ => None,
        }
    }

    /// Whether the load was at its end and the server was not: then this is not the most that the server can do.
    #[must_use]
    pub fn is_limited_by_load(&self) -> bool {
        /// What a process takes of a core that has little else to do.
        const FULL: f64 = 0.95;
        matches!(self.pace, Some(Pace::InFlight(_)) | None)
            && self.load_busy >= FULL
            && self.server.is_some_and(|server| server.busy < FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn report(pace: Pace, load_busy: f64, busy: f64) -> Report {
        let load = Load::on("ws://127.0.0.1:1".parse().unwrap(), Payload::default());
        let cpu = Duration::from_secs_f64(busy);
        let server = Process { pid: 1, cpu, busy, source: Source::Stat, resident_bytes: 0 };
        let (elapsed, messages) = (Duration::from_secs(1), 500);
        Report { pace: Some(pace), elapsed, messages, load_busy, server: Some(server), ..Report::about("echo", &load) }
    }

    #[test]
    fn who_was_the_limit_is_told() {
        assert!(report(Pace::InFlight(1), 0.99, 0.5).is_limited_by_load());
        assert!(!report(Pace::InFlight(1), 0.99, 0.97).is_limited_by_load());
        assert!(!report(Pace::PerSecond(1.0), 0.99, 0.5).is_limited_by_load());
        assert_eq!(report(Pace::PerSecond(1000.0), 0.1, 0.1).behind_rate(), Some(0.5));
        assert_eq!(report(Pace::PerSecond(500.0), 0.1, 0.1).behind_rate(), None);
        assert_eq!(report(Pace::InFlight(1), 0.1, 0.1).behind_rate(), None);
        assert_eq!(report(Pace::InFlight(1), 0.1, 0.1).server.unwrap().us_per(500), 200.0);
    }

    #[test]
    fn memory_is_told_by_connection() {
        let memory = Memory { before: 1000, full: 3000, after: 1500 };
        assert_eq!((memory.per_connection(10), memory.kept_per_connection(10)), (200.0, 50.0));
    }

    #[test]
    fn latencies_are_told_by_their_rank() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        (1..=1000).for_each(|value| histogram.record(value * 1000).unwrap());
        let latency = Latency(histogram);
        let near = |duration: Duration, us: f64| (duration.as_secs_f64() * 1e6 - us).abs() < us / 500.0;
        assert!(near(latency.percentile(50.0), 500.0) && near(latency.percentile(99.0), 990.0));
        assert!(near(latency.min(), 1.0) && near(latency.max(), 1000.0) && near(latency.mean(), 500.5));
    }
}

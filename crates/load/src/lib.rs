//! A load on WebSocket servers: how long an answer takes, how many there are, and what each costs the server.
//!
//! One thread, one epoll, frames that were built before: the load must cost less than what it measures. Every byte of every
//! answer is compared with what it must be; a server that answers wrongly, or leaves out an answer, fails the run. `tidewire bench`
//! is its face; the servers of `bench/` that only move bytes are made of its parts.
//!
//! - [`echo`]: the server sends every message back to who sent it.
//! - [`chat`] and [`fanout`]: it sends every message to everybody, the sender included.
//! - [`connect`]: handshakes, one after the other.
//! - [`idle`]: connections on which nothing happens, and the memory that they take.
//!
//! Where a [`Pace`] is a rate, a latency counts from when the message was due, not from when the load came to send it.
//!
//! What may not enter: anything of Tidewire itself. A measuring stick shares nothing with what it measures. It stands on epoll and
//! `/proc`, so it is for Linux; elsewhere the crate is empty.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod broadcast;
mod connect;
pub mod deflate;
mod echo;
mod error;
mod fleet;
mod flight;
pub mod handshake;
mod idle;
mod inbox;
pub mod limits;
pub mod meter;
mod open;
pub mod poller;
mod report;
mod schedule;
mod stream;
mod trust;
mod url;
mod window;
pub mod wire;

use std::time::Duration;

pub use broadcast::{chat, fanout};
pub use connect::connect;
pub use echo::echo;
pub use error::{LoadError, Result};
pub use idle::{Idle, idle};
pub use report::{Answer, Latency, Memory, Process, Report};
pub use trust::Trust;
pub use url::Url;

/// Whom to speak to, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub url: Url,
    /// How many connections.
    pub connections: usize,
    /// What every message says.
    pub payload: Payload,
    /// Offer permessage-deflate and send all messages compressed, each by itself.
    pub deflate: bool,
    /// Headers of the handshake beside those that it must have.
    pub headers: Vec<(String, String)>,
    /// Subprotocols to offer.
    pub protocols: Vec<String>,
    /// Whose certificate is believed.
    pub trust: Trust,
    /// The server's process on this machine, to measure what it takes.
    pub pid: Option<u32>,
    /// How long to measure.
    pub timing: Timing,
}

impl Load {
    /// A load of 32 connections with everything else as it is by itself.
    #[must_use]
    pub fn on(url: Url, payload: Payload) -> Self {
        Self {
            url,
            connections: 32,
            payload,
            deflate: false,
            headers: Vec::new(),
            protocols: Vec::new(),
            trust: Trust::System,
            pid: None,
            timing: Timing::default(),
        }
    }

    /// Refuses what cannot be, and makes room for the connections.
    fn prepare(&self) -> Result {
        /// Descriptors of a load beside its connections: standard streams, epoll, files of `/proc`, and the first of those that idle.
        const BESIDE: u64 = 128;
        if self.connections == 0 {
            return Err(LoadError::Usage("a load has at least one connection".into()));
        }
        let limit = limits::raise_descriptor_limit()?;
        let wanted = self.connections as u64 + BESIDE;
        if wanted > limit {
            return Err(LoadError::Usage(format!(
                "{} connections need {wanted} descriptors, and this process may have {limit}: raise the limit (ulimit -Hn)",
                self.connections
            )));
        }
        for (name, value) in &self.headers {
            if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
                return Err(LoadError::Usage(format!("{name:?}: {value:?} is no header")));
            }
        }
        self.pid.map_or(Ok(()), |pid| {
            let source = meter::Source::finest(pid);
            meter::cpu_time(pid, source).map(drop).map_err(LoadError::process(pid))
        })
    }
}

/// What every message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Its form.
    pub form: Form,
    /// Its length in bytes.
    pub size: usize,
}

impl Default for Payload {
    /// 20 bytes of text.
    fn default() -> Self {
        Self { form: Form::Text, size: 20 }
    }
}

/// The form of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// ASCII letters in a text message.
    Text,
    /// The same in a binary message.
    Binary,
    /// JSON in a text message, as varied as an application's; the last value may be cut off by the size.
    Json,
}

impl Form {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }
}

impl Payload {
    fn kind(self) -> wire::Kind {
        if self.form == Form::Binary { wire::Kind::Binary } else { wire::Kind::Text }
    }

    fn bytes(self) -> Vec<u8> {
        if self.form == Form::Json { deflate::json(self.size) } else { wire::payload(self.size) }
    }
}

/// When the next message goes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When an answer has come: so many are under way on each connection (in a fan-out: from the one that sends; in a chat: from each
    /// in a burst). The server is as busy as can be.
    InFlight(usize),
    /// So many a second, all connections together, whatever the server does.
    PerSecond(f64),
}

impl Pace {
    fn check(self) -> Result {
        match self {
            Self::InFlight(0) => Err(LoadError::Usage("without a message in flight nothing happens".into())),
            Self::PerSecond(rate) if !(rate.is_finite() && rate > 0.0) => {
                Err(LoadError::Usage(format!("{rate} messages a second are no rate")))
            }
            _ => Ok(()),
        }
    }
}

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the load runs before the measurement begins.
    pub warmup: Duration,
    /// How long the measurement takes.
    pub length: Duration,
    /// End the measurement after this many messages, if that is sooner.
    pub messages: Option<u64>,
}

impl Default for Timing {
    /// 5 s after 1 s.
    fn default() -> Self {
        Self { warmup: Duration::from_secs(1), length: Duration::from_secs(5), messages: None }
    }
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Connections are being opened.
    Opening {
        /// How many are open.
        open: usize,
        /// How many there will be.
        wanted: usize,
    },
    /// The load runs, and nothing is counted yet.
    WarmingUp,
    /// It is measured.
    Measuring {
        /// Since when.
        elapsed: Duration,
        /// How long it takes in all.
        length: Duration,
        /// What has come back so far: answers, deliveries or handshakes.
        count: u64,
    },
    /// Memory is watched until it no longer changes.
    Settling,
}

/// Who is told how far it is, some times a second.
pub type Observer<'a> = &'a mut dyn FnMut(Progress);

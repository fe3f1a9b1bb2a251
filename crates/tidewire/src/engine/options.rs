//! The named limits and timeouts of a server, as the engine reads them.

use std::time::Duration;

use tidewire_proto::Limits;

/// Limits, timeouts and habits of a server's connections. Defaults are the seed's and Bun's.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest message, in bytes, whole and after inflation. Over it: close 1009. Default 16 MiB.
    pub max_payload_length: usize,
    /// The most fragments of one message. Over it: close 1008. Default 131,072.
    pub max_fragments: u32,
    /// How long a WebSocket may be silent, in whole seconds; zero switches the limit off. Default 120 s. Only inbound traffic counts.
    pub idle_timeout: Duration,
    /// How many bytes may wait for a peer that does not read; while more wait, what is sent is dropped. Default 1 MiB.
    pub backpressure_limit: usize,
    /// Whether a peer over that limit is disconnected (close code 1006) when a send is dropped. Default false.
    pub close_on_backpressure_limit: bool,
    /// Whether a silent peer is pinged shortly before its idle timeout. Default true.
    pub send_pings: bool,
    /// Whether a socket receives what it publishes to a topic that it is subscribed to. Default false.
    pub publish_to_self: bool,
    /// The most topics that one socket may be subscribed to. Default 65,536.
    pub max_subscriptions: usize,
    /// The longest topic name, in bytes. Default 65,536.
    pub max_topic_length: usize,
    /// How long to wait for the other side's Close, and for the end of the stream after both. Default 5 s.
    pub close_timeout: Duration,
    /// How long a connection that this side begins may take until it is open. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the head of a request may take in all. Default 10 s.
    pub head_timeout: Duration,
    /// How long an HTTP connection may make no progress, whether between requests or within one. Default 10 s; zero: for ever.
    pub http_idle_timeout: Duration,
    /// The most headers in a request. Over it: 431. Default 100.
    pub max_headers: usize,
    /// The largest request head, in bytes. Over it: 431. Default 16 KiB.
    pub max_head_size: usize,
    /// The largest request body, in bytes. Over it: 413. Default 128 MiB.
    pub max_request_body: u64,
    /// The most connections at a time, on each worker; more are closed at once. Default: none.
    pub max_connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_payload_length: Limits::DEFAULT_MAX_MESSAGE,
            max_fragments: Limits::DEFAULT_MAX_FRAGMENTS,
            idle_timeout: Duration::from_secs(120),
            backpressure_limit: 1024 * 1024,
            close_on_backpressure_limit: false,
            send_pings: true,
            publish_to_self: false,
            max_subscriptions: 65_536,
            max_topic_length: 65_536,
            close_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            http_idle_timeout: Duration::from_secs(10),
            max_headers: 100,
            max_head_size: 16 * 1024,
            max_request_body: 128 * 1024 * 1024,
            max_connections: usize::MAX,
        }
    }
}

/// Whole seconds, rounded up, as the timer wheel counts.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX / 2).min(u32::MAX / 2)
}

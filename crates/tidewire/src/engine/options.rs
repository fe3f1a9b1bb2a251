//! The named limits and timeouts of connections, as the engine reads them.

use std::time::Duration;

use tidewire_proto::Limits;
use tidewire_proto::deflate::Inflater;
use tidewire_proto::extension::{Agreement, Policy};

use super::compression::Compression;
#[cfg(feature = "deflate")]
use super::compression::Deflate;

/// Limits, timeouts and habits of the connections of a server or a client. The defaults are Bun's, but for
/// [`backpressure_limit`](Self::backpressure_limit). Durations are rounded up to whole seconds.
///
/// ```
/// use std::time::Duration;
/// use tidewire::{Options, Server};
///
/// let mut options = Options::default();
/// assert_eq!(options.idle_timeout, Duration::from_secs(120));
/// options.max_request_body = 1024 * 1024;
/// let builder = Server::builder::<()>().options(move |it| *it = options);
/// # let _ = builder;
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest message, in bytes, whole and after inflation. Over it: close 1009. Default 16 MiB (Bun:
    /// `maxPayloadLength`, the same).
    pub max_payload_length: usize,
    /// The most fragments of one message. Over it: close 1008. Default 131,072.
    pub max_fragments: u32,
    /// How many times as large as it came a compressed message may become, if it becomes larger than 64 KiB. Over it: close 1009,
    /// and inflating stops there. Default 1,032: the most that DEFLATE can do, so it refuses nothing until it is set lower. (Blank
    /// pictures and text that repeats itself are honest, and come to that. With 100, a peer has to send 160 KB to have 16 MiB
    /// made.)
    pub max_inflate_ratio: u32,
    /// How long a WebSocket may be silent; zero: for ever. Over it: the connection is cut off, with 1006 for `close`. Only
    /// inbound traffic counts; and while messages wait for the peer (backpressure), that it takes some, because until it has
    /// read them it cannot answer a ping (Bun: the same). Default 120 s (Bun: `idleTimeout`, the same, but at most 960 s).
    pub idle_timeout: Duration,
    /// How many bytes may wait for a peer that does not read, frame heads included; while more wait, what is sent is dropped.
    /// So one message larger than the limit still goes. Of a response, no more than this is taken from its body meanwhile.
    /// Default 1 MiB (Bun: `backpressureLimit`, 16 MiB).
    pub backpressure_limit: usize,
    /// Whether a peer over that limit is cut off when a send is dropped, with 1006 for `close`. Default false (Bun:
    /// `closeOnBackpressureLimit`, the same).
    pub close_on_backpressure_limit: bool,
    /// Whether and how messages are compressed, where the peer agrees. Default: not. A change is for connections to come.
    #[cfg(feature = "deflate")]
    pub per_message_deflate: Deflate,
    /// Messages with fewer bytes are sent as they are, whatever the caller asks for. Default 64: by itself, JSON of 64 bytes
    /// shrinks by one byte and of 128 by a third; with a context that is kept, 64 bytes become less than half. (Bun has no
    /// such threshold.)
    pub compression_threshold: usize,
    /// How hard compressors try: 1 (fast) to 9 (small). 0 is what measures best: for shared messages of up to 64 KiB a compressor that is
    /// made for whole messages, otherwise level 1 of C zlib (feature `zlib`) or level 2 of zlib-rs, which does without that feature all and
    /// with it larger shared messages. Default 0. A message of JSON by itself, in microseconds and bytes:
    ///
    /// | | 256 B | 1 KiB | 4 KiB | 16 KiB |
    /// |---|---|---|---|---|
    /// | **0** | 1.4, 111 | 2.3, 250 | 5.2, 790 | 15, 2919 |
    /// | zlib-rs 0.6, level 1 | 1.6, 121 | 2.3, 339 | 5.1, 1169 | 16, 4279 |
    /// | level 2 | 4.5, 111 | 5.7, 254 | 10, 797 | 27, 2962 |
    /// | level 6, as Bun sends | 4.7, 112 | 6.7, 247 | 14, 762 | 48, 2790 |
    /// | C zlib 1.3, level 1 | 2.7, 115 | 3.5, 258 | 7.0, 842 | 22, 3312 |
    /// | level 6 | 2.9, 112 | 4.7, 251 | 14, 787 | 55, 2950 |
    pub compression_level: i32,
    /// Whether a silent peer is pinged 8 s before its idle timeout, or half of it if that is less. Default true (Bun:
    /// `sendPings`, the same).
    pub send_pings: bool,
    /// Whether a socket receives what it publishes to a topic that it is subscribed to. Default false (Bun: `publishToSelf`,
    /// the same).
    pub publish_to_self: bool,
    /// The most topics that one socket may be subscribed to. Over it:
    /// [`SocketError::TopicLimit`](crate::SocketError::TopicLimit). Default 65,536.
    pub max_subscriptions: usize,
    /// The longest topic name, in bytes. Over it: the same error. Default 65,536.
    pub max_topic_length: usize,
    /// How long to wait for the other side's Close, and for the end of the stream after both, since what was sent before last
    /// moved on: a peer that reads it slowly gets all of it. Over it: the connection is cut off. Default 5 s.
    pub close_timeout: Duration,
    /// How long a peer may take in all to read what was queued when its connection began to end. Over it: the connection is cut
    /// off. Default 120 s: 1 MiB, the default of what may wait, at 9 KB/s. And how long a peer is kept that has ended its direction and waits
    /// for the answer to a request, where `http_idle_timeout` is zero.
    pub drain_timeout: Duration,
    /// How long a connection that this side begins may take until it is open. Over it:
    /// [`ConnectError::TimedOut`](super::ConnectError::TimedOut). Default 10 s.
    pub connect_timeout: Duration,
    /// How long the head of a request may take in all, from its first byte; and how long a new connection may take until that.
    /// Over it: the connection is ended. Default 10 s.
    pub head_timeout: Duration,
    /// How long an HTTP connection may make no progress, whether between requests or within one; zero: for ever. Over it: the
    /// connection is ended. Default 10 s (Bun: the server's `idleTimeout`, the same).
    pub http_idle_timeout: Duration,
    /// The most headers in a request. Over it: 431. Default 100.
    pub max_headers: usize,
    /// The largest request head, in bytes. Over it: 431. Default 16 KiB.
    pub max_head_size: usize,
    /// The largest request body, in bytes. Over it: 413 when its length is declared, else an error of the body. Default 128 MiB
    /// (Bun: `maxRequestBodySize`, the same).
    pub max_request_body: u64,
    /// The most connections at a time that were accepted, HTTP or WebSocket, of all workers together. Over it: closed at once.
    /// Default 1,048,576: as many descriptors as Linux lets a process have, unless it is told otherwise.
    pub max_connections: usize,
    /// The most of them from one address; from one network of 64 bits with IPv6. Over it: closed at once. Connections from this
    /// machine and those of unix sockets are not counted: that is where proxies are. Behind a proxy on another machine, all
    /// connections have its address: raise this there. Default 16,384.
    pub max_connections_per_address: usize,
    /// The most pings that a peer may send in one second of the worker's clock. Over it: close 1008. Default 1,000.
    pub max_pings_per_second: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_payload_length: Limits::DEFAULT_MAX_MESSAGE,
            max_fragments: Limits::DEFAULT_MAX_FRAGMENTS,
            max_inflate_ratio: Inflater::MAX_RATIO,
            idle_timeout: Duration::from_secs(120),
            backpressure_limit: 1024 * 1024,
            close_on_backpressure_limit: false,
            #[cfg(feature = "deflate")]
            per_message_deflate: Deflate::OFF,
            compression_threshold: 64,
            compression_level: 0,
            send_pings: true,
            publish_to_self: false,
            max_subscriptions: 65_536,
            max_topic_length: 65_536,
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            http_idle_timeout: Duration::from_secs(10),
            max_headers: 100,
            max_head_size: 16 * 1024,
            max_request_body: 128 * 1024 * 1024,
            max_connections: 1024 * 1024,
            max_connections_per_address: 16 * 1024,
            max_pings_per_second: 1000,
        }
    }
}

impl Options {
    /// What a handshake may agree on.
    pub(crate) fn policy(&self) -> Option<Policy> {
        #[cfg(feature = "deflate")]
        let policy = self.per_message_deflate.policy();
        #[cfg(not(feature = "deflate"))]
        let policy = None;
        policy
    }

    /// zlib's memory level for compressors of a connection's own.
    pub(crate) fn memory_level(&self) -> u8 {
        #[cfg(feature = "deflate")]
        let (_, level) = self.per_message_deflate.compress.window_and_memory();
        #[cfg(not(feature = "deflate"))]
        let level = 8;
        level
    }

    /// What an agreement comes to.
    pub(crate) fn compression(&self, agreement: Option<&Agreement>) -> Compression {
        #[cfg(feature = "deflate")]
        let compresses = self.per_message_deflate.compresses();
        #[cfg(not(feature = "deflate"))]
        let compresses = false;
        agreement.map_or_else(Compression::default, |agreement| Compression::agreed(agreement, compresses))
    }
}

/// Whole seconds, rounded up, as the timer wheel counts.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX / 2).min(u32::MAX / 2)
}

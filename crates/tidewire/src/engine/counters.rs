//! What a worker counts. One writer, the worker; readers are anywhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the worker's thread may: a load and a store, no locked instruction.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Close codes that are counted by themselves; all others are counted together.
pub(crate) const CODES: [u16; 10] = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011];

/// How often sockets ended with which code, as their `close` handlers were told.
#[derive(Debug, Default)]
pub(crate) struct CloseCodes {
    known: [Counter; CODES.len()],
    other: Counter,
}

impl CloseCodes {
    pub fn count(&self, code: u16) {
        match CODES.iter().position(|known| *known == code) {
            Some(at) => self.known[at].add(1),
            None => self.other.add(1),
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One worker's counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub $name: Counter,)*
            pub close_codes: CloseCodes,
        }

        /// Counters of all workers together, since the server began. Each only grows; how many there are now is the difference of
        /// two (`accepted + connects - closed`). They are exact once the workers are quiet.
        ///
        /// ```
        /// let server = tidewire::Server::builder::<()>().bind("127.0.0.1:0")?;
        /// let metrics = server.metrics();
        /// assert_eq!((metrics.opened, metrics.dropped_backpressure), (0, 0));
        /// assert!(!metrics.close_codes.contains_key(&1006));
        /// # Ok::<(), tidewire::BindError>(())
        /// ```
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// How often sockets ended with which close code, as their `close` handlers were told; codes that applications
            /// choose themselves are counted together under 0.
            pub close_codes: BTreeMap<u16, u64>,
        }

        impl Metrics {
            pub(crate) fn add(&mut self, counters: &Counters) {
                $(self.$name = self.$name.wrapping_add(counters.$name.value());)*
                let known = CODES.into_iter().zip(&counters.close_codes.known);
                for (code, count) in known.chain([(0, &counters.close_codes.other)]) {
                    if count.value() > 0 {
                        *self.close_codes.entry(code).or_default() += count.value();
                    }
                }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections accepted for all workers in turn, where the kernel does not spread them.
    handed_out,
    /// Connections refused because there were `max_connections` already.
    refused_connections,
    /// Connections refused because there were `max_connections_per_address` already.
    refused_addresses,
    /// Connections that are gone, whichever side began them.
    closed,
    /// Requests given to `fetch`.
    requests,
    /// Requests that `fetch` is done with: answered, upgraded, or dropped.
    requests_done,
    /// Requests answered with 431: their head was over `max_head_size` or `max_headers`.
    refused_heads,
    /// Requests answered with 400: their head was no HTTP, or could be read in two ways.
    malformed_heads,
    /// Requests answered with 413: their declared body was over `max_request_body`.
    refused_bodies,
    /// Upgrades answered with 403: their origin was not among [`origins`](crate::Builder::origins).
    refused_origins,
    /// Connections ended because a handshake of TLS or the head of a request took longer than `head_timeout`.
    closed_head,
    /// HTTP connections ended because they made no progress for `http_idle_timeout`.
    closed_http_idle,
    /// Connections that this side began, on workers of a server.
    connects,
    /// Connections of ours given up because they were not open within `connect_timeout`.
    connects_timed_out,
    /// Upgrades to WebSocket, each with one `open`.
    opened,
    /// WebSockets whose `close` handler has run.
    ended,
    /// Messages received.
    messages_in,
    /// Payload bytes of messages received.
    message_bytes_in,
    /// Messages sent or queued, each delivery of a publish counted.
    messages_out,
    /// Times that a message was compressed: a publish counts once for each form that its subscribers need, however many they are.
    compressions,
    /// Messages, and copies of publishes, that were sent compressed.
    messages_out_compressed,
    /// Bytes received from the kernel; under TLS, those of the application in them.
    bytes_in,
    /// Bytes that the kernel took; under TLS, those of the application in them.
    bytes_out,
    /// Publishes.
    published,
    /// Publishes framed into the turn log: once each, however many subscribers there are.
    publish_copies,
    /// Messages dropped because the peer's queue was over `backpressure_limit`.
    dropped_backpressure,
    /// Messages dropped because the socket was closed.
    dropped_closed,
    /// Sockets disconnected because of `close_on_backpressure_limit`.
    closed_backpressure,
    /// Sockets closed because they were silent for `idle_timeout`.
    closed_idle,
    /// Sockets closed with 1009: a message was over `max_payload_length`.
    closed_payload,
    /// Sockets closed with 1009: a compressed message was over `max_inflate_ratio`.
    closed_inflation,
    /// Sockets closed with 1008: a message had more than `max_fragments`.
    closed_fragments,
    /// Sockets closed with 1008: their peer sent more than `max_pings_per_second`.
    closed_pings,
    /// Connections that were to end and were cut off after `close_timeout` or `drain_timeout`.
    closed_unfinished,
    /// Subscriptions refused because of `max_subscriptions` or `max_topic_length`.
    refused_subscriptions,
    /// Pings sent because a socket was silent.
    pings_sent,
    /// Sockets closed because their peer broke the protocol, or a limit of what it may send.
    peer_errors,
    /// Connections that ended because the peer broke TLS, failed its handshake, or did not speak it.
    tls_errors,
    /// Connections lost without a closing handshake.
    lost,
    /// Posts from other threads that a full mailbox refused: 65,536 posts, or 64 MiB of payload, waited already.
    mail_refused,
    /// Handlers that panicked, and destructors of what sockets and requests carry.
    panics,
    /// Times that accepting paused because descriptors ran out.
    accept_pauses,
}

//! What a worker counts. One writer, the worker; readers are anywhere.

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

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One worker's counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub $name: Counter,)* }

        /// Counters of all workers together, since the server began.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics { $($(#[$doc])* pub $name: u64,)* }

        impl Metrics {
            pub(crate) fn add(&mut self, counters: &Counters) {
                $(self.$name = self.$name.wrapping_add(counters.$name.value());)*
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
    /// Connections that are gone.
    closed,
    /// Requests given to `fetch`.
    requests,
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
    /// Bytes received from the kernel.
    bytes_in,
    /// Bytes that the kernel took.
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
    /// Pings sent because a socket was silent.
    pings_sent,
    /// Sockets closed because their peer broke the protocol.
    peer_errors,
    /// Connections lost without a closing handshake.
    lost,
    /// Posts from other threads that a full mailbox refused.
    mail_refused,
    /// Handlers that panicked.
    panics,
    /// Times that accepting paused because descriptors ran out.
    accept_pauses,
}

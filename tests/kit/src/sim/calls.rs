//! What the program asked of the simulated kernel: the cost of a turn, counted.

use std::ops::Sub;

/// Counts of calls, failed ones included. Subtract two of them to know what happened in between.
///
/// # Examples
/// ```
/// use tidewire_kit::sim::{Faults, Network};
///
/// let network = Network::new(1, Faults::none());
/// let before = network.calls();
/// // ... a turn ...
/// let cost = network.calls() - before;
/// assert_eq!(cost.sends, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Calls {
    /// Waits for events.
    pub waits: u64,
    /// Events that the waits brought.
    pub events: u64,
    /// Receives.
    pub recvs: u64,
    /// Bytes that the receives brought.
    pub bytes_received: u64,
    /// Sends.
    pub sends: u64,
    /// Slices that the sends were given.
    pub slices: u64,
    /// Bytes that the sends took.
    pub bytes_sent: u64,
    /// Accepts.
    pub accepts: u64,
    /// Changes of what a socket is watched for (each one an `epoll_ctl`).
    pub watches: u64,
    /// Sockets closed or aborted.
    pub closes: u64,
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            waits: self.waits - earlier.waits,
            events: self.events - earlier.events,
            recvs: self.recvs - earlier.recvs,
            bytes_received: self.bytes_received - earlier.bytes_received,
            sends: self.sends - earlier.sends,
            slices: self.slices - earlier.slices,
            bytes_sent: self.bytes_sent - earlier.bytes_sent,
            accepts: self.accepts - earlier.accepts,
            watches: self.watches - earlier.watches,
            closes: self.closes - earlier.closes,
        }
    }
}

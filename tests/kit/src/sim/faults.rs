//! What can go wrong on the simulated network, and how often.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How hostile the network is. Probabilities lie between 0.0 (never) and 1.0 (always) and are drawn for each call.
///
/// # Examples
/// ```
/// use tidewire_kit::sim::Faults;
///
/// // An honest network whose kernel takes little at once.
/// let narrow = Faults { buffer: 16..=64, ..Faults::none() };
/// # let _ = narrow;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// A receive brings only a part of what is there.
    pub short_read: f64,
    /// A send takes only a part of what fits.
    pub short_write: f64,
    /// A receive, send or accept says `WouldBlock` although an event promised otherwise.
    pub spurious_block: f64,
    /// A receive, send or accept says `Interrupted`, and a wait brings nothing.
    pub interrupted: f64,
    /// An accept says `EMFILE`.
    pub no_descriptors: f64,
    /// The events of one wait come in any order, and some only with the next.
    pub reorder: f64,
    /// A sent piece arrives as two, each with its own delay.
    pub split: f64,
    /// Instead of delivering a piece, the network resets the connection at both ends.
    pub reset: f64,
    /// A piece, and all behind it, is held up for a time within [`Faults::stall_for`].
    pub stall: f64,
    /// How long a stall lasts.
    pub stall_for: RangeInclusive<Duration>,
    /// How long a piece travels.
    pub delay: RangeInclusive<Duration>,
    /// How many bytes a send buffer and a receive buffer hold; drawn for each of them when a connection is made.
    pub buffer: RangeInclusive<usize>,
}

impl Faults {
    /// An honest network: everything arrives at once, whole and in order; buffers of 64 KiB.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            short_read: 0.0,
            short_write: 0.0,
            spurious_block: 0.0,
            interrupted: 0.0,
            no_descriptors: 0.0,
            reorder: 0.0,
            split: 0.0,
            reset: 0.0,
            stall: 0.0,
            stall_for: Duration::ZERO..=Duration::ZERO,
            delay: Duration::ZERO..=Duration::ZERO,
            buffer: 65536..=65536,
        }
    }

    /// Everything that a correct program survives without losing a byte: all faults but resets.
    #[must_use]
    pub const fn rough() -> Self {
        Self {
            short_read: 0.3,
            short_write: 0.3,
            spurious_block: 0.1,
            interrupted: 0.05,
            no_descriptors: 0.1,
            reorder: 0.5,
            split: 0.3,
            reset: 0.0,
            stall: 0.02,
            stall_for: Duration::from_millis(10)..=Duration::from_secs(3),
            delay: Duration::ZERO..=Duration::from_millis(50),
            buffer: 64..=8192,
        }
    }

    /// All faults, resets included: connections die in every state.
    #[must_use]
    pub const fn harsh() -> Self {
        Self { reset: 0.01, ..Self::rough() }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

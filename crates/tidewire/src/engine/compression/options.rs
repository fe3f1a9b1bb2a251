//! `perMessageDeflate` as it is written: who compresses, and with how much memory.

use std::fmt;
use std::str::FromStr;

use tidewire_proto::extension::{Direction, MAX_WINDOW_BITS, Policy};

/// Whether and how messages are compressed (permessage-deflate, RFC 7692). Off by default.
///
/// ```
/// use tidewire::{Compressor, Deflate};
///
/// let shared = Deflate::from(true);
/// assert_eq!((shared.compress, shared.decompress), (Compressor::Shared, Compressor::Shared));
/// let mixed = Deflate { compress: "64KB".parse()?, decompress: Compressor::Shared };
/// assert_eq!(mixed.compress, Compressor::KB64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// For what is sent.
    pub compress: Compressor,
    /// For what is received. Once compression was agreed on a peer may always use it, so with [`Compressor::Disable`] here and
    /// compression on the other side messages are still decompressed, by the shared one.
    pub decompress: Compressor,
}

impl Deflate {
    /// Nothing is agreed on.
    pub const OFF: Self = Self { compress: Compressor::Disable, decompress: Compressor::Disable };
    /// Both directions by what all connections of a worker share: an idle connection costs nothing more.
    pub const SHARED: Self = Self { compress: Compressor::Shared, decompress: Compressor::Shared };
    /// Both directions by the connection's own, in the largest window.
    pub const DEDICATED: Self = Self { compress: Compressor::Dedicated, decompress: Compressor::Dedicated };

    /// What may be agreed on; `None`: nothing.
    pub(crate) fn policy(self) -> Option<Policy> {
        let policy = Policy { send: self.compress.direction(), receive: self.decompress.direction() };
        (self != Self::OFF).then_some(policy)
    }

    /// Whether what is sent is compressed.
    pub(crate) fn compresses(self) -> bool {
        self.compress != Compressor::Disable
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Self::OFF
    }
}

/// `true` is [`Deflate::SHARED`], as in Bun.
impl From<bool> for Deflate {
    fn from(on: bool) -> Self {
        if on { Self::SHARED } else { Self::OFF }
    }
}

/// The same for both directions.
impl From<Compressor> for Deflate {
    fn from(compressor: Compressor) -> Self {
        Self { compress: compressor, decompress: compressor }
    }
}

/// A compressor or decompressor, by how much it keeps for each connection. Sizes are Bun's, and say what the compressor of C
/// zlib takes; with the feature `zlib` that is what is used for them and what they take. Without it a size decides the window
/// that is agreed on, and zlib-rs takes at least 170 KB for each connection that has sent something compressed, and some 40
/// KB for each that has received something.
///
/// What they make of a message of 1 KiB of JSON, one of many different ones, in microseconds to compress, to decompress, and bytes
/// (`bench/codecs` has other sizes, and text):
///
/// | shared | 3KB | 4KB | 8KB | 16KB | 32KB | 64KB | 128KB | 256KB, dedicated |
/// |---|---|---|---|---|---|---|---|---|
/// | 2.8, 1.4, 245 | 10, 2.8, 232 | 7.2, 1.9, 210 | 7.4, 2.0, 213 | 7.2, 2.4, 220 | 6.8, 2.5, 221 | 6.8, 2.4, 227 | 6.2, 2.2, 231 | 5.8, 1.9, 230 |
///
/// Short messages gain more: 64 bytes of it become 63 by themselves, and 20 to 24 in a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the sizes say what they are")]
pub enum Compressor {
    /// None.
    Disable,
    /// One for all connections of a worker; no message refers to another.
    Shared,
    /// Each connection its own, in the largest window; as [`Compressor::KB256`].
    Dedicated,
    KB3,
    KB4,
    KB8,
    KB16,
    KB32,
    KB64,
    KB128,
    KB256,
}

impl Compressor {
    /// Names as Bun writes them.
    const NAMES: [(&str, Self); 11] = [
        ("disable", Self::Disable),
        ("shared", Self::Shared),
        ("dedicated", Self::Dedicated),
        ("3KB", Self::KB3),
        ("4KB", Self::KB4),
        ("8KB", Self::KB8),
        ("16KB", Self::KB16),
        ("32KB", Self::KB32),
        ("64KB", Self::KB64),
        ("128KB", Self::KB128),
        ("256KB", Self::KB256),
    ];

    /// The window and zlib's memory level: a compressor takes 2^(window + 2) + 2^(level + 9) bytes.
    pub(crate) fn window_and_memory(self) -> (u8, u8) {
        match self {
            Self::KB3 => (9, 1),
            Self::KB4 => (9, 2),
            Self::KB8 => (10, 3),
            Self::KB16 => (11, 4),
            Self::KB32 => (12, 5),
            Self::KB64 => (13, 6),
            Self::KB128 => (14, 7),
            Self::Disable | Self::Shared | Self::Dedicated | Self::KB256 => (MAX_WINDOW_BITS, 8),
        }
    }

    fn direction(self) -> Direction {
        match self {
            Self::Disable | Self::Shared => Direction::ALONE,
            sized => Direction { takeover: true, window_bits: sized.window_and_memory().0 },
        }
    }
}

/// `true` is shared, `false` none, as in Bun.
impl From<bool> for Compressor {
    fn from(on: bool) -> Self {
        if on { Self::Shared } else { Self::Disable }
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, compressor)| compressor == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A name that no compressor has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no compressor: use \"disable\", \"shared\", \"dedicated\", or \"3KB\" to \"256KB\" in powers of two from \"4KB\" on"
)]
pub struct ParseCompressorError(String);

impl FromStr for Compressor {
    type Err = ParseCompressorError;

    fn from_str(name: &str) -> Result<Self, ParseCompressorError> {
        let found = Self::NAMES.iter().find(|(candidate, _)| *candidate == name);
        found.map(|(_, compressor)| *compressor).ok_or_else(|| ParseCompressorError(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_bun_and_sizes_are_what_zlib_takes() {
        for (name, compressor) in Compressor::NAMES {
            assert_eq!((name.parse(), compressor.to_string()), (Ok(compressor), name.to_owned()));
            if let Some(size) = name.strip_suffix("KB").and_then(|size| size.parse::<usize>().ok()) {
                let (window, memory) = compressor.window_and_memory();
                assert_eq!((1 << (window + 2)) + (1 << (memory + 9)), size * 1024, "{name}");
            }
        }
        assert!("5KB".parse::<Compressor>().is_err() && "Shared".parse::<Compressor>().is_err());
    }

    #[test]
    fn what_is_off_agrees_on_nothing() {
        assert_eq!(Deflate::from(false).policy(), None);
        let receiving = Deflate { compress: Compressor::Disable, decompress: Compressor::Shared };
        assert_eq!(receiving.policy(), Deflate::SHARED.policy());
        assert!(!receiving.compresses());
    }
}

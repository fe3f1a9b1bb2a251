//! Messages compressed and back (RFC 7692, section 7.2), as pure code: no connection, no negotiation, no frames.
//!
//! A message is a DEFLATE stream that ends in an empty stored block whose last four bytes, `00 00 ff ff`, are not sent.
//! [`Deflater`] makes one, [`Inflater`] reads one, whole or as it arrives, and never beyond a limit.
//!
//! The codec is zlib-rs through its safe interface, and for messages by themselves one of this crate. Without the feature `deflate`
//! both types are there, and nobody can make one: what would use them compiles away.

#[cfg(feature = "deflate")]
mod codec;
#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod inflater;
#[cfg(feature = "deflate")]
mod whole;
#[cfg(not(feature = "deflate"))]
mod without;

#[cfg(feature = "deflate")]
pub use codec::{Progress, RawDeflate, RawInflate, Stream};
#[cfg(feature = "deflate")]
pub use deflater::Deflater;
#[cfg(feature = "deflate")]
pub use inflater::Inflater;
#[cfg(not(feature = "deflate"))]
pub use without::{Deflater, Inflater};

use crate::error::PeerError;

/// What every message ends in and no message carries (RFC 7692, section 7.2.1).
#[cfg(feature = "deflate")]
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Where an [`Inflater`] puts what it makes.
#[cfg_attr(not(feature = "deflate"), expect(dead_code, reason = "nobody can make an inflater then"))]
pub(crate) trait Sink {
    /// How many bytes it has.
    fn len(&self) -> usize;

    /// Takes the next ones; an error ends the message.
    fn push(&mut self, bytes: &[u8]) -> Result<(), PeerError>;
}

/// How many bytes a message of at most `max_message` may take on the wire when it is compressed.
///
/// Data that cannot be compressed grow: by 5 bytes for each stored block, of which the smallest that zlib makes (with a
/// memory level of 1) is some 120 bytes. More than this is no compression, and is refused before it is kept.
pub(crate) const fn max_compressed(max_message: usize) -> usize {
    max_message.saturating_add(max_message / 16).saturating_add(1024)
}

#[cfg(all(test, feature = "deflate"))]
mod tests;

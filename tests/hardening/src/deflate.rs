//! DEFLATE (RFC 1951) as the tests need it: how far a stream refers back, and streams made by C zlib.

use flate2::{Compress, Compression, FlushCompress};

use crate::inflate;

/// What every message ends in, and what is not sent of it (RFC 7692, section 7.2.1).
pub const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses messages with C zlib: level 0 stores. Each refers to nothing before it, but for what one call is given.
///
/// # Panics
/// When zlib fails, which it does not.
#[must_use]
#[allow(clippy::expect_used, reason = "a test from end to end: what goes wrong has to be loud")]
pub fn zlib(level: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + payload.len() / 8 + 1000];
    let mut zlib = Compress::new(Compression::new(level), false);
    zlib.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate(zlib.total_out() as usize);
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// What a stream does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The bytes that it stands for.
    pub len: usize,
    /// The farthest that it refers back.
    pub distance: usize,
    /// How far it refers back before its own first byte.
    pub before: usize,
}

/// Says how far a message less its tail reaches.
///
/// # Panics
/// When it is no DEFLATE stream that ends at the end of a block.
#[must_use]
pub fn reach(message: &[u8]) -> Reach {
    inflate::reach(message).unwrap_or_else(|error| panic!("{error}: {message:02x?}"))
}

//! Compression (RFC 7692) as the load uses it: messages that were compressed before, and one look into what the server sends.
//! After that look only bytes are compared, so that the load costs the same with compression as without.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What clients offer: every message by itself, so that the same message is the same bytes each time.
pub const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What every message ends in, and what is not sent of it (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// JSON of a size in bytes, as varied as an application's: repeated names, numbers that are not.
#[must_use]
pub fn json(size: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut number = 1_u64;
    while text.len() < size {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, user, price) = (number >> 40, (number >> 32) % 100, (number >> 20) % 10_000);
        text += &format!("{{\"id\":{id},\"user\":\"user-{user}\",\"price\":{price}.25,\"active\":true}},");
    }
    text.truncate(size);
    text.into_bytes()
}

/// The compressed payload of a message.
///
/// # Panics
/// When zlib fails, which it does not.
#[must_use]
#[allow(clippy::expect_used, reason = "there is no measurement without it")]
pub fn compress(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + payload.len() / 8 + 64];
    let mut zlib = Compress::new(Compression::default(), false);
    zlib.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate(zlib.total_out() as usize - TAIL.len());
    out
}

/// Whether a compressed payload is that of an expected one.
#[must_use]
pub fn is(compressed: &[u8], expected: &[u8]) -> bool {
    let mut out = vec![0; expected.len() + 1];
    let mut zlib = Decompress::new(false);
    let read = zlib.decompress(&[compressed, &TAIL].concat(), &mut out, FlushDecompress::Sync);
    out.truncate(zlib.total_out() as usize);
    read.is_ok() && out == expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_recognised() {
        for size in [1, 64, 256, 1024, 70_000] {
            let payload = json(size);
            assert_eq!(payload.len(), size);
            assert!(is(&compress(&payload), &payload));
            assert!(!is(&compress(&payload), &json(size + 1)));
        }
        assert!(compress(&json(1024)).len() < 512);
        assert!(!is(b"garbage", b"x"));
    }
}

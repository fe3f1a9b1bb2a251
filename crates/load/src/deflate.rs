//! Compression (RFC 7692) as the load uses it: messages that were compressed before, and one look into what the server sends.
//! After that look only bytes are compared: the load costs the same with compression as without.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What clients offer: every message by itself, so that the same message is the same bytes each time.
pub const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The longest message that is inflated.
const MAX_INFLATED: usize = 256 << 20;

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

/// The payload of a compressed message.
///
/// # Errors
/// When it is not compressed, or longer than anything a load sends.
pub fn inflate(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let input = [compressed, &TAIL].concat();
    let mut zlib = Decompress::new(false);
    let mut out = Vec::with_capacity(4 * input.len() + 64);
    loop {
        let read = usize::try_from(zlib.total_in()).unwrap_or(usize::MAX);
        let status = zlib.decompress_vec(&input[read.min(input.len())..], &mut out, FlushDecompress::Sync);
        status.map_err(|error| format!("a message cannot be inflated: {error}"))?;
        if out.len() < out.capacity() {
            return Ok(out);
        }
        if out.len() > MAX_INFLATED {
            return Err(format!("a message inflates to more than {MAX_INFLATED} bytes"));
        }
        out.reserve(out.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_inflated() {
        for size in [0, 1, 64, 256, 1024, 70_000] {
            let payload = json(size);
            assert_eq!(payload.len(), size);
            assert_eq!(inflate(&compress(&payload)), Ok(payload));
        }
        // Much from little: the memory for it is not there at first.
        assert_eq!(inflate(&compress(&[b'a'; 1 << 20])).map(|out| out.len()), Ok(1 << 20));
        assert!(compress(&json(1024)).len() < 512);
        assert!(inflate(b"garbage").is_err());
    }
}

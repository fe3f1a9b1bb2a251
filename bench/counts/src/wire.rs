//! What clients write and read: frames as RFC 6455, section 5.2, has them, and compressed payloads (RFC 7692).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
/// The bit of the first byte that says that a message is compressed.
pub const COMPRESSED: u8 = 0x40;

/// What every compressed message ends in, and what is not sent of it (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

fn head(first: u8, length: usize, masked: u8) -> Vec<u8> {
    match length {
        0..126 => vec![first, masked | length as u8],
        126..65_536 => [&[first, masked | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, masked | 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

/// A frame from a client.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = head(first, payload.len(), 0x80);
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame from the server.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, payload.len(), 0), payload.to_vec()].concat()
}

/// Text of a size.
pub fn text(size: usize) -> Vec<u8> {
    b"All the world's a stage, and all the men and women merely players. ".iter().copied().cycle().take(size).collect()
}

/// JSON of a size, as varied as an application's.
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

/// The compressed payload of a message that refers to no other.
pub fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + payload.len() / 8 + 64];
    let mut zlib = Compress::new(Compression::default(), false);
    zlib.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
    out.truncate(zlib.total_out() as usize - TAIL.len());
    out
}

/// The payload of one frame from the server, inflated if it was compressed; none when that is no such frame.
pub fn payload_of(frame: &[u8]) -> Option<Vec<u8>> {
    let skip = match frame.get(1)? {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = frame.get(skip..)?;
    if frame[0] & COMPRESSED == 0 {
        return Some(payload.to_vec());
    }
    let mut out = vec![0; 1 << 20];
    let mut zlib = Decompress::new(false);
    zlib.decompress(&[payload, &TAIL].concat(), &mut out, FlushDecompress::Sync).ok()?;
    out.truncate(zlib.total_out() as usize);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_back() {
        for size in [0, 20, 125, 126, 65_535, 65_536] {
            let payload = json(size.max(1));
            assert_eq!(payload_of(&frame(BINARY, &payload)), Some(payload.clone()));
            assert_eq!(payload_of(&frame(TEXT | COMPRESSED, &deflated(&payload))), Some(payload.clone()));
            assert_eq!(masked(TEXT, &payload).len(), frame(TEXT, &payload).len() + 4);
        }
        assert_eq!(masked(TEXT, b"Hello"), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }
}

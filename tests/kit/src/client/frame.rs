//! Frames, written and read straight from RFC 6455, section 5.2.
//!
//! This is a second opinion on purpose: it shares no line with the implementation under test, it is slow and plain, and it
//! can write what no correct endpoint would.

/// FIN: the last frame of its message.
pub const FIN: u8 = 0x80;
/// RSV1: compressed, when that was negotiated (RFC 7692).
pub const RSV1: u8 = 0x40;
/// Opcode of a continuation.
pub const CONTINUATION: u8 = 0x0;
/// Opcode of a text frame.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub const PING: u8 = 0x9;
/// Opcode of a pong.
pub const PONG: u8 = 0xA;

/// How a frame's length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// As the RFC wants it: in the fewest bytes.
    Minimal,
    /// In two bytes, whatever it is.
    Two,
    /// In eight bytes, whatever it is.
    Eight,
    /// In eight bytes, and not the truth.
    Claimed(u64),
}

/// Writes a frame: its first byte (FIN, RSV and opcode bits), its length, its mask, its payload.
///
/// # Examples
/// ```
/// use tidewire_kit::client::frame::{FIN, Length, TEXT, encode};
///
/// // RFC 6455, section 5.7: a masked text frame with "Hello".
/// let frame = encode(FIN | TEXT, Length::Minimal, Some([0x37, 0xfa, 0x21, 0x3d]), b"Hello");
/// assert_eq!(frame, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
#[must_use]
pub fn encode(first: u8, length: Length, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    let size = payload.len();
    match length {
        Length::Minimal if size < 126 => frame.push(mask_bit | size as u8),
        Length::Minimal | Length::Two if size < 65536 => {
            frame.push(mask_bit | 126);
            frame.extend((size as u16).to_be_bytes());
        }
        other => {
            let claimed = if let Length::Claimed(claimed) = other { claimed } else { size as u64 };
            frame.push(mask_bit | 127);
            frame.extend(claimed.to_be_bytes());
        }
    }
    match mask {
        Some(mask) => {
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => frame.extend(payload),
    }
    frame
}

/// The payload of a close frame.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame as it was received, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode bits.
    pub first: u8,
    /// Whether it was masked.
    pub masked: bool,
    /// Whether its length was written in the fewest bytes.
    pub minimal: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The opcode.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    /// Whether it is the last frame of its message.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    /// The three RSV bits, in place.
    #[must_use]
    pub const fn reserved(&self) -> u8 {
        self.first & 0x70
    }
}

/// Reads the frame at the start of the bytes, and says how many bytes it took; `None` when it is not complete.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (size, mut at, minimal) = match second & 0x7F {
        126 => {
            let size = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            (u64::from(size), 4, size > 125)
        }
        127 => {
            let size = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (size, 10, size > 65535)
        }
        short => (u64::from(short), 2, true),
    };
    let masked = second & 0x80 != 0;
    let mut mask = [0; 4];
    if masked {
        mask.copy_from_slice(bytes.get(at..at + 4)?);
        at += 4;
    }
    let end = at.checked_add(usize::try_from(size).ok()?)?;
    let payload = bytes.get(at..end)?.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((Frame { first, masked, minimal, payload }, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_each_seed;

    /// The examples of RFC 6455, section 5.7.
    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(encode(FIN | TEXT, Length::Minimal, None, b"Hello"), b"\x81\x05Hello");
        assert_eq!(encode(TEXT, Length::Minimal, None, b"Hel"), b"\x01\x03Hel");
        assert_eq!(encode(FIN | CONTINUATION, Length::Minimal, None, b"lo"), b"\x80\x02lo");
        assert_eq!(encode(FIN | PING, Length::Minimal, None, b"Hello"), b"\x89\x05Hello");
        assert_eq!(encode(FIN | BINARY, Length::Minimal, None, &[0; 256])[..4], [0x82, 0x7E, 0x01, 0x00]);
        let large = encode(FIN | BINARY, Length::Minimal, None, &[0; 65536]);
        assert_eq!(large[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_written_is_read_and_never_too_early() {
        for_each_seed(50, |seed| {
            let mut random = crate::Random::new(seed);
            let size = *random.pick(&[0, 1, 125, 126, 127, 1000, 65535, 65536]);
            let payload = random.bytes(size);
            let mask = random.chance(0.5).then_some([1, 2, 3, seed as u8]);
            let frame = encode(FIN | BINARY, Length::Minimal, mask, &payload);
            let head = frame.len() - size;
            for cut in (0..=head).chain([frame.len().saturating_sub(1)]).filter(|&cut| cut < frame.len()) {
                assert_eq!(decode(&frame[..cut]), None);
            }
            let expected = Frame { first: FIN | BINARY, masked: mask.is_some(), minimal: true, payload };
            assert_eq!(decode(&[&frame[..], b"next"].concat()), Some((expected, frame.len())));
        });
    }

    #[test]
    fn lies_about_the_length_are_possible() {
        let (frame, _) = decode(&encode(FIN | TEXT, Length::Two, None, b"x")).unwrap();
        assert!(!frame.minimal);
        let (frame, _) = decode(&encode(FIN | TEXT, Length::Eight, None, b"x")).unwrap();
        assert!(!frame.minimal);
        let lie = encode(FIN | TEXT, Length::Claimed(u64::MAX), Some([0; 4]), b"x");
        assert_eq!(lie[1..10], [0xFF; 9]);
        assert_eq!(decode(&lie), None);
    }
}

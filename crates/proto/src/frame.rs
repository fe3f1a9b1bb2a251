//! Frames as they are written (RFC 6455, section 5.2). The decoder of their heads is in `head`.

use crate::error::UsageError;
use crate::mask;

/// The largest payload of a control frame in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The largest head of a frame in bytes: two, eight of length, four of key.
pub const MAX_HEAD: usize = 14;

/// The largest length that the second byte of a head carries by itself, and the values that announce a longer form.
pub(crate) const LEN_7: usize = 125;
pub(crate) const LEN_16: u8 = 126;
pub(crate) const LEN_64: u8 = 127;

/// Bits of the first two bytes of a head.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV: u8 = 0x70;
pub(crate) const OPCODE: u8 = 0x0f;
pub(crate) const MASKED: u8 = 0x80;

/// What a frame carries. The values are those of the wire (RFC 6455, section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that another frame began.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A question that a Pong answers.
    Ping = 0x9,
    /// The answer to a Ping, or a sign of life.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode with this value of the wire; `None` for the reserved ones.
    #[inline]
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether it is a Close, Ping or Pong: never fragmented, at most [`MAX_CONTROL`] bytes.
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What the head of a frame says, but for the mask key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the frame carries.
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// The bit that a negotiated extension may give a meaning (compression: this message is compressed).
    pub rsv1: bool,
    /// The length of the payload in bytes.
    pub len: usize,
}

/// How many bytes the head of a frame takes for a payload of `len` bytes.
///
/// ```
/// use tidewire_proto::head_len;
///
/// assert_eq!([head_len(125, false), head_len(126, false), head_len(65_536, true)], [2, 4, 14]);
/// ```
#[inline]
#[must_use]
pub const fn head_len(len: usize, masked: bool) -> usize {
    let length = if len <= LEN_7 {
        2
    } else if len <= u16::MAX as usize {
        4
    } else {
        10
    };
    if masked { length + 4 } else { length }
}

/// Appends the head of a frame, its length minimally encoded. The caller appends the payload, masked with the same key
/// ([`mask::apply`]).
#[inline]
pub fn encode_head(out: &mut Vec<u8>, head: Head, mask: Option<[u8; 4]>) {
    debug_assert!(!head.opcode.is_control() || head.fin && head.len <= MAX_CONTROL, "a control frame is short and whole");
    let first = head.opcode as u8 | if head.fin { FIN } else { 0 } | if head.rsv1 { RSV1 } else { 0 };
    let masked = if mask.is_some() { MASKED } else { 0 };
    if head.len <= LEN_7 {
        out.extend_from_slice(&[first, head.len as u8 | masked]);
    } else if let Ok(len) = u16::try_from(head.len) {
        let [a, b] = len.to_be_bytes();
        out.extend_from_slice(&[first, LEN_16 | masked, a, b]);
    } else {
        let [a, b, c, d, e, f, g, h] = (head.len as u64).to_be_bytes();
        out.extend_from_slice(&[first, LEN_64 | masked, a, b, c, d, e, f, g, h]);
    }
    if let Some(key) = mask {
        out.extend_from_slice(&key);
    }
}

/// Appends a whole message as one frame, or a control frame whose payload is known to fit (see [`encode_control`] for one
/// that an application supplies). A client passes a fresh unpredictable key, a server `None` (RFC 6455, section 5.3).
///
/// ```
/// use tidewire_proto::{Opcode, encode_frame};
///
/// let mut out = Vec::new();
/// encode_frame(&mut out, Opcode::Text, b"Hello", None);
/// assert_eq!(out, [0x81, 0x05, b'H', b'e', b'l', b'l', b'o']); // RFC 6455, section 5.7
/// ```
#[inline]
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    encode(out, opcode, false, payload, mask);
}

/// As [`encode_frame`], for a payload that [`Deflater::message`](crate::deflate::Deflater::message) has made: RSV1 says that
/// it is compressed (RFC 7692, section 6).
#[inline]
pub fn encode_compressed(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(matches!(opcode, Opcode::Text | Opcode::Binary), "only messages are compressed");
    encode(out, opcode, true, payload, mask);
}

#[inline]
fn encode(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    // One growth at most, whatever the parts are.
    out.reserve(head_len(payload.len(), mask.is_some()) + payload.len());
    encode_head(out, Head { opcode, fin: true, rsv1, len: payload.len() }, mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(key, 0, &mut out[start..]);
    }
}

/// Appends a Ping or Pong (or a Close whose payload is already made) with an application's payload.
///
/// # Errors
/// [`UsageError::ControlTooLong`] when the payload is longer than [`MAX_CONTROL`]; nothing is written then.
#[inline]
pub fn encode_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Result<(), UsageError> {
    if payload.len() > MAX_CONTROL {
        return Err(UsageError::ControlTooLong(payload.len()));
    }
    encode_frame(out, opcode, payload, mask);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut out = b"before".to_vec();
        encode_frame(&mut out, opcode, payload, mask);
        assert_eq!(out.len(), 6 + head_len(payload.len(), mask.is_some()) + payload.len());
        assert_eq!(&out[..6], b"before");
        out.split_off(6)
    }

    #[test]
    fn examples_of_rfc_6455_section_5_7() {
        assert_eq!(frame(Opcode::Text, b"Hello", None), b"\x81\x05Hello");
        let masked = frame(Opcode::Text, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]));
        assert_eq!(masked, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(frame(Opcode::Ping, b"Hello", None), b"\x89\x05Hello");
        assert_eq!(frame(Opcode::Binary, &[0; 256], None)[..4], *b"\x82\x7e\x01\x00");
        assert_eq!(frame(Opcode::Binary, &[0; 65_536], None)[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");

        let mut out = Vec::new();
        encode_head(&mut out, Head { opcode: Opcode::Text, fin: false, rsv1: false, len: 3 }, None);
        encode_head(&mut out, Head { opcode: Opcode::Continuation, fin: true, rsv1: false, len: 2 }, None);
        assert_eq!(out, b"\x01\x03\x80\x02");
    }

    #[test]
    fn lengths_are_minimal_and_as_announced() {
        for len in [0, 1, 125, 126, 127, 65_534, 65_535, 65_536, 16 << 20, usize::MAX] {
            for mask in [None, Some([9, 8, 7, 6])] {
                let mut out = Vec::new();
                encode_head(&mut out, Head { opcode: Opcode::Binary, fin: true, rsv1: true, len }, mask);
                assert_eq!(out.len(), head_len(len, mask.is_some()), "{len}");
                assert!(out.len() <= MAX_HEAD);
                assert_eq!((out[0], out[1] & 0x80 != 0), (0xc2, mask.is_some()));
                let (short, extended) = (usize::from(out[1] & 0x7f), out.len() - 2 - if mask.is_some() { 4 } else { 0 });
                let read = out[2..2 + extended].iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
                assert_eq!((if short < 126 { short } else { read }, extended), (len, [0, 2, 8][short.saturating_sub(125)]));
                assert!(mask.is_none_or(|key| out.ends_with(&key)));
            }
        }
    }

    #[test]
    fn opcodes_are_those_of_the_registry() {
        let known = [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
        for value in 0..=u8::MAX {
            let opcode = known.into_iter().find(|opcode| *opcode as u8 == value);
            assert_eq!(Opcode::from_wire(value), opcode);
            assert!(opcode.is_none_or(|opcode| opcode.is_control() == (value >= 8)));
        }
    }

    #[test]
    fn an_application_cannot_send_a_long_control_frame() {
        let mut out = Vec::new();
        assert_eq!(encode_control(&mut out, Opcode::Ping, &[0; 126], None), Err(UsageError::ControlTooLong(126)));
        assert!(out.is_empty());
        assert_eq!(encode_control(&mut out, Opcode::Pong, &[0; 125], None), Ok(()));
        assert_eq!((out.len(), &out[..2]), (127, &[0x8a, 125][..]));
    }
}

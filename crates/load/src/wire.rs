//! Frames that are built once and then repeated: sending and checking them is a matter of offsets.

/// What the payload of a frame is (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Opcodes of the control frames that a load sends.
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

/// The mask key of every frame of the load. Only its cost matters here, and a key of zeros would have none in some servers.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The bit in a frame's first byte that says that a message is compressed.
const RSV1: u8 = 0x40;

/// The longest run of bytes that [`Pattern::run`] gives at once.
pub const RUN: usize = 256 * 1024;

/// A payload of a size in bytes: ASCII letters, so that it is text as well.
#[must_use]
pub fn payload(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// A whole message in one frame, as a client sends it: masked.
#[must_use]
pub fn client_frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(kind, payload.len(), 0x80);
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A client's answer to a ping.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    control(PONG, payload)
}

/// A client's Close with code 1000.
#[must_use]
pub fn close() -> Vec<u8> {
    control(CLOSE, &1000_u16.to_be_bytes())
}

/// A control frame is a small frame with another opcode.
fn control(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = client_frame(Kind::Binary, payload);
    frame[0] = first;
    frame
}

/// A whole compressed message in one frame, as a client sends it (RFC 7692, section 6).
#[must_use]
pub fn compressed_client_frame(kind: Kind, compressed: &[u8]) -> Vec<u8> {
    let mut frame = client_frame(kind, compressed);
    frame[0] |= RSV1;
    frame
}

/// Whether a frame begins a compressed message.
#[must_use]
pub fn is_compressed(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & RSV1 != 0)
}

/// A whole message in one frame, as a server sends it: not masked.
#[must_use]
pub fn server_frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(kind, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

fn head(kind: Kind, length: usize, masked: u8) -> Vec<u8> {
    let opcode = match kind {
        Kind::Text => 0x81,
        Kind::Binary => 0x82,
    };
    let mut head = vec![opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => head.push(masked | short),
        (_, Ok(middle)) => {
            head.push(masked | 126);
            head.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// The lengths of a server's frame: its head, and the whole frame. `None` while too little of it is there.
#[must_use]
pub fn frame_lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = usize::from(bytes.get(1)? & 0x7f);
    match length {
        126 => {
            let length = usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
            Some((4, 4 + length))
        }
        127 => {
            let length = usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?;
            Some((10, length.checked_add(10)?))
        }
        _ => Some((2, 2 + length)),
    }
}

/// An endless stream of one repeated frame, addressed by the offset within the frame.
#[derive(Debug, Clone)]
pub struct Pattern {
    bytes: Vec<u8>,
    period: usize,
}

impl Pattern {
    /// Repeats a frame.
    ///
    /// # Panics
    /// When the frame is empty: no stream consists of nothing.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        assert!(!frame.is_empty(), "a frame has at least its head");
        let bytes = frame.iter().copied().cycle().take(frame.len() + RUN).collect();
        Self { bytes, period: frame.len() }
    }

    /// The length of the frame.
    #[must_use]
    pub const fn period(&self) -> usize {
        self.period
    }

    /// The frame's first byte.
    #[must_use]
    pub fn first(&self) -> u8 {
        self.bytes[0]
    }

    /// Whether the frame is this one.
    #[must_use]
    pub fn is(&self, frame: &[u8]) -> bool {
        self.bytes[..self.period] == *frame
    }

    /// The bytes of the stream from an offset within the frame on: as many as wanted, at most [`RUN`].
    #[must_use]
    pub fn run(&self, at: usize, wanted: usize) -> &[u8] {
        &self.bytes[at..at + wanted.min(RUN)]
    }

    /// The offset within the frame after more bytes.
    #[must_use]
    pub const fn after(&self, at: usize, more: usize) -> usize {
        (at + more) % self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_have_the_three_forms_of_the_rfc() {
        assert_eq!(server_frame(Kind::Text, b"hi"), [0x81, 2, b'h', b'i']);
        assert_eq!(server_frame(Kind::Binary, &[0; 126])[..4], [0x82, 126, 0, 126]);
        assert_eq!(server_frame(Kind::Text, &[0; 65_536])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(client_frame(Kind::Text, b"abc"), [0x81, 0x83, 0x37, 0xfa, 0x21, 0x3d, b'a' ^ 0x37, b'b' ^ 0xfa, b'c' ^ 0x21]);
        assert_eq!(client_frame(Kind::Binary, &[0; 125]).len(), 131);
        assert_eq!(close(), [0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d, 0x03 ^ 0x37, 0xe8 ^ 0xfa]);
        assert_eq!(pong(b"a")[..2], [0x8a, 0x81]);
    }

    #[test]
    fn lengths_are_read_back_and_wait_for_the_whole_head() {
        for size in [0, 125, 126, 65_535, 65_536] {
            let frame = server_frame(Kind::Text, &payload(size));
            let (head, whole) = frame_lengths(&frame).unwrap();
            assert_eq!((head + size, whole), (frame.len(), frame.len()));
            for short in 0..head {
                assert_eq!(frame_lengths(&frame[..short]), None, "{short} bytes of the head for {size}");
            }
        }
    }

    #[test]
    fn a_pattern_goes_on_from_any_offset() {
        let pattern = Pattern::of(b"abc");
        assert_eq!(pattern.run(0, 7), b"abcabca");
        assert_eq!(pattern.run(2, 4), b"cabc");
        assert_eq!(pattern.after(2, 4), 0);
        assert_eq!(pattern.run(2, 2 * RUN).len(), RUN);
        assert!(pattern.is(b"abc") && !pattern.is(b"abca") && pattern.first() == b'a');
    }
}

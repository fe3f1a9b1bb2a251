//! What the server sends, judged by RFC 6455 and put together.

use super::deflate::Codec;
use super::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, RSV1, TEXT};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A message with RSV1 set, where permessage-deflate was agreed on and the client does not decompress: its opcode and its
    /// compressed bytes.
    Compressed(u8, Vec<u8>),
}

/// A close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; `None` when the frame was empty.
    pub code: Option<u16>,
    /// The reason.
    pub reason: String,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) compression: bool,
    /// Reads what is compressed, when the client was asked to.
    pub(super) codec: Option<Codec>,
    pub(super) messages: Vec<Message>,
    pub(super) frames: Vec<Frame>,
    pub(super) close: Option<CloseFrame>,
    /// The first byte and the bytes so far of a message in fragments.
    partial: Option<(u8, Vec<u8>)>,
}

impl Inbox {
    pub(super) fn take(&mut self, frame: &Frame) {
        assert!(self.close.is_none(), "section 5.5.1: a frame after the close frame: {frame:?}");
        assert!(!frame.masked, "section 5.1: a server must not mask: {frame:?}");
        assert!(frame.minimal, "section 5.2: the length must be written in the fewest bytes: {frame:?}");
        match frame.opcode() {
            CONTINUATION | TEXT | BINARY => self.take_data(frame),
            CLOSE | PING | PONG => self.take_control(frame),
            other => panic!("section 5.2: opcode {other} is reserved"),
        }
    }

    fn take_data(&mut self, frame: &Frame) {
        let continues = frame.opcode() == CONTINUATION;
        let compressed = frame.reserved() == RSV1 && self.compression && !continues;
        assert!(frame.reserved() == 0 || compressed, "section 5.2: a reserved bit is set: {frame:?}");
        let (first, mut bytes) = match (self.partial.take(), continues) {
            (Some(partial), true) => partial,
            (None, false) => (frame.first, Vec::new()),
            (Some(_), false) => panic!("section 5.4: a new message inside a fragmented one"),
            (None, true) => panic!("section 5.4: a continuation of nothing"),
        };
        bytes.extend(&frame.payload);
        if !frame.is_final() {
            self.partial = Some((first, bytes));
            return;
        }
        let opcode = first & 0x0F;
        let mut compressed = first & RSV1 != 0;
        if let Some(codec) = self.codec.as_mut().filter(|_| compressed) {
            bytes = codec.decompress(&bytes);
            compressed = false;
        }
        self.messages.push(match opcode {
            _ if compressed => Message::Compressed(opcode, bytes),
            TEXT => Message::Text(String::from_utf8(bytes).expect("section 8.1: text must be UTF-8")),
            _ => Message::Binary(bytes),
        });
    }

    fn take_control(&mut self, frame: &Frame) {
        assert!(frame.is_final(), "section 5.5: a control frame must not be fragmented: {frame:?}");
        assert!(frame.payload.len() <= 125, "section 5.5: a control frame has at most 125 bytes");
        assert_eq!(frame.reserved(), 0, "section 5.2: a reserved bit is set: {frame:?}");
        if frame.opcode() != CLOSE {
            return;
        }
        let (code, reason) = match frame.payload.as_slice() {
            [] => (None, &[][..]),
            [_] => panic!("section 5.5.1: a close frame of one byte"),
            [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
        };
        let on_the_wire = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert!(code.is_none_or(on_the_wire), "section 7.4: {code:?} must not be sent");
        let reason = std::str::from_utf8(reason).expect("section 5.5.1: a reason must be UTF-8").to_owned();
        self.close = Some(CloseFrame { code, reason });
    }
}

//! What a server said, taken apart: only while connections are opened. Later its bytes are compared with those that must come.

use crate::{deflate, wire};

/// Something whole that a server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message {
        /// The frames as they came.
        raw: Vec<u8>,
        /// What they say; inflated if it was compressed.
        payload: Vec<u8>,
        compressed: bool,
    },
    Ping(Vec<u8>),
    Pong,
    Close(String),
}

/// The first whole thing in the bytes, and how many of them it takes; `None` while more must come.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn next(bytes: &[u8]) -> Result<Option<(Item, usize)>, String> {
    let (mut at, mut raw, mut payload) = (0, Vec::new(), Vec::new());
    loop {
        let rest = &bytes[at..];
        let Some((head, length)) = wire::frame_lengths(rest).filter(|(_, length)| rest.len() >= *length) else { return Ok(None) };
        if rest[1] & 0x80 != 0 {
            return Err("the server masks its frames, which only clients may".into());
        }
        let (frame, content) = (&rest[..length], &rest[head..length]);
        at += length;
        match frame[0] & 0x0f {
            // A control frame between fragments: its sender gets no answer, and a ping that is not answered says nothing yet.
            8..=10 if !raw.is_empty() => {}
            8 => return Ok(Some((Item::Close(close(content)), at))),
            9 => return Ok(Some((Item::Ping(content.to_vec()), at))),
            10 => return Ok(Some((Item::Pong, at))),
            0..=2 => {
                raw.extend_from_slice(frame);
                payload.extend_from_slice(content);
                if frame[0] & 0x80 != 0 {
                    let compressed = wire::is_compressed(&raw);
                    let payload = if compressed { deflate::inflate(&payload)? } else { payload };
                    return Ok(Some((Item::Message { raw, payload, compressed }, at)));
                }
            }
            opcode => return Err(format!("the server sent a frame with opcode {opcode}, which means nothing")),
        }
    }
}

/// A Close for people.
pub(crate) fn close(content: &[u8]) -> String {
    match content {
        [high, low, reason @ ..] => {
            let reason = String::from_utf8_lossy(reason);
            let colon = if reason.is_empty() { "" } else { ": " };
            format!("the server closed it with {}{colon}{reason}", u16::from_be_bytes([*high, *low]))
        }
        _ => "the server closed it without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    #[test]
    fn messages_are_put_together_and_pings_found() {
        let bytes = [b"\x01\x01a\x89\x00\x80\x01b".as_slice(), b"\x89\x01p"].concat();
        let (item, taken) = next(&bytes).unwrap().unwrap();
        let raw = b"\x01\x01a\x80\x01b".to_vec();
        assert_eq!((item, taken), (Item::Message { raw, payload: b"ab".to_vec(), compressed: false }, 8));
        assert_eq!(next(&bytes[8..]).unwrap(), Some((Item::Ping(b"p".to_vec()), 3)));
        for short in 0..8 {
            assert_eq!(next(&bytes[..short]), Ok(None));
        }
    }

    #[test]
    fn what_is_compressed_is_inflated() {
        let payload = deflate::json(500);
        let mut frame = wire::server_frame(Kind::Text, &deflate::compress(&payload));
        frame[0] |= 0x40;
        let (item, _) = next(&frame).unwrap().unwrap();
        assert_eq!(item, Item::Message { raw: frame.clone(), payload, compressed: true });
    }

    #[test]
    fn a_close_is_told_and_nonsense_refused() {
        let close = |bytes: &[u8]| match next(bytes).unwrap() {
            Some((Item::Close(text), _)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(close(b"\x88\x04\x03\xf1ok"), "the server closed it with 1009: ok");
        assert_eq!(close(b"\x88\x00"), "the server closed it without a code");
        assert!(next(b"\x83\x00").unwrap_err().contains("opcode 3"));
        assert!(next(b"\x81\x80....").unwrap_err().contains("masks"));
    }
}

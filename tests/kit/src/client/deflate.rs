//! permessage-deflate (RFC 7692) by C zlib: another implementation than the one under test.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What every message ends in, and what is not sent of it (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The two contexts of a connection, with the windows and the resets that were agreed on.
#[derive(Debug)]
pub(super) struct Codec {
    send: Compress,
    receive: Decompress,
    send_takeover: bool,
    receive_takeover: bool,
}

impl Codec {
    /// The codec for a server's answer, seen from the client.
    ///
    /// # Panics
    /// When the answer has a parameter that RFC 7692 does not know, or a value out of range.
    pub(super) fn agreed(answer: &str) -> Self {
        let (mut send_takeover, mut receive_takeover, mut send_bits, mut receive_bits) = (true, true, 15, 15);
        let mut parameters = answer.split(';').map(str::trim);
        assert_eq!(parameters.next(), Some("permessage-deflate"), "the extension in {answer:?}");
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
            match (name, value) {
                ("server_no_context_takeover", None) => receive_takeover = false,
                ("client_no_context_takeover", None) => send_takeover = false,
                ("server_max_window_bits", Some(value)) => receive_bits = window(value),
                ("client_max_window_bits", Some(value)) => send_bits = window(value),
                _ => panic!("section 7.1: {parameter:?} in {answer:?}"),
            }
        }
        Self {
            send: Compress::new_with_window_bits(Compression::new(6), false, send_bits),
            receive: Decompress::new_with_window_bits(false, receive_bits),
            send_takeover,
            receive_takeover,
        }
    }

    /// A message's payload, compressed.
    pub(super) fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            return vec![0];
        }
        let mut out = vec![0; payload.len() + payload.len() / 8 + 100];
        let before = self.send.total_out();
        self.send.compress(payload, &mut out, FlushCompress::Sync).expect("zlib compresses");
        out.truncate((self.send.total_out() - before) as usize);
        assert!(out.ends_with(&TAIL), "a sync flush ends so");
        out.truncate(out.len() - TAIL.len());
        if !self.send_takeover {
            self.send.reset();
        }
        out
    }

    /// A message's payload, decompressed.
    ///
    /// # Panics
    /// When it is none.
    pub(super) fn decompress(&mut self, compressed: &[u8]) -> Vec<u8> {
        let input = [compressed, &TAIL].concat();
        let (start, mut out, mut chunk) = (self.receive.total_in(), Vec::new(), vec![0; 65536]);
        loop {
            let (used, made) = (self.receive.total_in(), self.receive.total_out());
            let rest = &input[(used - start) as usize..];
            self.receive
                .decompress(rest, &mut chunk, FlushDecompress::Sync)
                .expect("section 7.2.2: the message is not compressed data");
            let fresh = (self.receive.total_out() - made) as usize;
            out.extend_from_slice(&chunk[..fresh]);
            if fresh < chunk.len() && self.receive.total_in() - start == input.len() as u64 {
                break;
            }
            assert!(fresh > 0 || self.receive.total_in() > used, "section 7.2.2: the message does not end in a block");
        }
        if !self.receive_takeover {
            self.receive.reset(false);
        }
        out
    }
}

/// zlib's raw streams have at least nine bits; with 256 bytes of window the server must not refer back farther than that, and
/// a larger window reads it.
fn window(value: &str) -> u8 {
    let bits: u8 = value.parse().unwrap_or_else(|_| panic!("section 7.1.2: {value:?} are no window bits"));
    assert!((8..=15).contains(&bits), "section 7.1.2: {value:?} are no window bits");
    bits.max(9)
}

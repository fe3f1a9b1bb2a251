//! Target `deflate`: compression both ways against other implementations. What ours makes zlib reads, inside the window that was agreed on; what
//! zlib makes ours reads; and of any other bytes ours says what a plain reader of the RFCs says.
//!
//! Input: two bytes of choices (which way; takeover, window and level, or the compressor for whole messages), then messages as chunks, or one as it is.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tidewire_proto::deflate::{Deflater, Inflater};
use tidewire_proto::extension::Direction;
use tidewire_proto::{Event, Limits, Opcode, PeerError, Receiver, Role, encode_compressed};

use super::{Flags, Input};
use crate::deflate::TAIL;
use crate::inflate;

/// See the [module](self).
///
/// # Panics
/// When it does not hold.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut way = Flags(input.byte());
    let mut flags = Flags(input.byte());
    let direction = Direction { takeover: flags.next(), window_bits: 8 + flags.below(8) };
    let level = u32::from(flags.below(16));
    let whole = level > 9 && !direction.takeover;
    let level = level.min(9);
    match way.below(4) {
        0 if whole => ours_to_zlib(input, direction, Deflater::whole(direction.window_bits)),
        0 => ours_to_zlib(input, direction, Deflater::new(direction, level as i32)),
        1 => zlib_to_ours(input, direction, level),
        _ => any_bytes(input, direction.takeover, way.below(64)),
    }
}

/// The next message: its bytes, repeated so often as makes windows matter.
fn message(input: &mut Input<'_>) -> Vec<u8> {
    let times = usize::from(input.byte());
    let unit = input.chunk();
    unit.repeat(if times < 240 { 1 + times % 8 } else { 1 << ((times - 238) / 2) })
}

fn ours_to_zlib(mut input: Input<'_>, direction: Direction, mut ours: Deflater) {
    // zlib cannot read a window of 8 bits; ours stays inside it, which the tests of distances show.
    let mut zlib = Decompress::new_with_window_bits(false, direction.window_bits.max(9));
    while !input.is_empty() {
        let message = message(&mut input);
        let Some(compressed) = ours.message(&message) else { panic!("a working codec does not fail") };
        let reach = inflate::reach(compressed).map(|reach| (reach.len, reach.distance <= 1 << direction.window_bits));
        assert_eq!(reach, Ok((message.len(), true)), "in a window of {} bits", direction.window_bits);
        let compressed = [compressed, &TAIL].concat();
        if !direction.takeover {
            zlib.reset(false);
        }
        let (used, made) = (zlib.total_in(), zlib.total_out());
        let mut out = vec![0; message.len() + 1];
        let status = zlib.decompress(&compressed, &mut out, FlushDecompress::Sync);
        assert!(matches!(status, Ok(Status::Ok | Status::BufError)), "zlib reads it: {status:?}");
        assert_eq!((zlib.total_in() - used) as usize, compressed.len(), "all of it");
        out.truncate((zlib.total_out() - made) as usize);
        assert_eq!(out, message);
    }
}

fn zlib_to_ours(mut input: Input<'_>, direction: Direction, level: u32) {
    let mut zlib = Compress::new_with_window_bits(Compression::new(level), false, direction.window_bits.max(9));
    let mut peer = Peer::new(direction.takeover, usize::MAX >> 1);
    while !input.is_empty() {
        let message = message(&mut input);
        if !direction.takeover {
            zlib.reset();
        }
        let before = zlib.total_out();
        let mut out = vec![0; 2 * message.len() + 100];
        let status = zlib.compress(&message, &mut out, FlushCompress::Sync);
        assert!(status.is_ok(), "zlib compresses: {status:?}");
        out.truncate((zlib.total_out() - before) as usize);
        // It does not flush twice in a row: an empty message is one byte (section 7.2.3.6).
        let out = out.strip_suffix(&TAIL).unwrap_or(&[0]);
        assert_eq!(peer.receive(out), Ok(message));
    }
}

/// One message of any bytes, and a good one behind it: an error leaves nothing behind, nor does a message without takeover.
fn any_bytes(mut input: Input<'_>, takeover: bool, limit: u8) {
    let limit = if limit == 0 { 1 << 20 } else { usize::from(limit) * 16 };
    let mut peer = Peer::new(takeover, limit);
    let bytes = input.rest();
    let told = peer.receive(bytes);
    let expected = match bytes.len() > limit + limit / 16 + 1024 {
        // No compressor makes so many bytes of a message that is allowed: it is refused before it is kept.
        true => Err(PeerError::MessageTooBig),
        false => inflate::message(bytes, limit),
    };
    assert_eq!(told, expected, "of {} bytes", bytes.len());
    if expected.is_ok() {
        // The next may not refer to it, but must be read whatever state it left the codec in.
        assert_eq!(peer.receive(b"\xf2\x48\xcd\xc9\xc9\x07\x00"), Ok(b"Hello".to_vec()));
    }
}

/// An endpoint of ours that receives compressed messages.
struct Peer {
    receiver: Receiver,
    inflater: Inflater,
    limits: Limits,
}

impl Peer {
    fn new(takeover: bool, max_message: usize) -> Self {
        let limits = Limits { max_message, ..Limits::default() };
        Self { receiver: Receiver::new(Role::Client), inflater: Inflater::new(takeover), limits }
    }

    fn receive(&mut self, compressed: &[u8]) -> Result<Vec<u8>, PeerError> {
        let (mut wire, mut at) = (Vec::new(), 0);
        encode_compressed(&mut wire, Opcode::Binary, compressed, None);
        match self.receiver.next_with(&self.limits, &mut self.inflater, &mut wire, &mut at)? {
            Some(Event::Binary(bytes)) => Ok(bytes.into_owned()),
            other => panic!("a whole binary message is one: {other:?}"),
        }
    }
}

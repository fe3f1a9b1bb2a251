//! The head of a frame as it arrives (RFC 6455, section 5.2), judged byte by byte: what is wrong is said as soon as the byte
//! that shows it is there, so that the verdict does not depend on how the bytes were cut.

use crate::deflate::max_compressed;
use crate::error::PeerError;
use crate::frame::{FIN, LEN_7, LEN_16, LEN_64, MASKED, MAX_HEAD, OPCODE, Opcode, RSV, RSV1};
use crate::limits::Role;

const TEXT: u8 = Opcode::Text as u8;
const BINARY: u8 = Opcode::Binary as u8;

/// A frame whose head has arrived, and what is still to come of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// The first frame of a compressed message.
    pub(crate) compressed: bool,
    pub(crate) key: Option<[u8; 4]>,
    /// Payload bytes that have been taken: the offset into the mask.
    pub(crate) taken: usize,
    /// Payload bytes that have not.
    pub(crate) remaining: usize,
}

impl Incoming {
    /// Whether the frame is an event by itself: a control frame, or a message of one frame.
    pub(crate) fn is_whole_event(self) -> bool {
        self.fin && self.opcode != Opcode::Continuation
    }
}

/// What a head is judged by, besides itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) role: Role,
    /// Whether permessage-deflate was agreed on.
    pub(crate) compression: bool,
    /// The message that fragments belong to, if one is under way.
    pub(crate) open: Option<Open>,
    pub(crate) max_message: usize,
    pub(crate) max_fragments: u32,
}

/// How far a message under way has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// Payload bytes as they came, compressed or not.
    pub(crate) len: usize,
    pub(crate) fragments: u32,
    pub(crate) compressed: bool,
}

/// Reads a head from the first of `bytes`: the frame, and how many bytes its head took; `None` when more are needed,
/// which is never the case with [`MAX_HEAD`] bytes.
pub(crate) fn decode(bytes: &[u8], context: Context) -> Result<Option<(Incoming, usize)>, PeerError> {
    let Some((&first, after)) = bytes.split_first() else { return Ok(None) };
    let (opcode, fin) = judge_first(first, context)?;
    let compressed = first & RSV1 != 0;

    let Some((&second, after)) = after.split_first() else { return Ok(None) };
    judge_second(second, opcode, context.role)?;

    let Some((len, after)) = length(second & !MASKED, after)? else { return Ok(None) };
    // How much a compressed message is is seen when it is inflated; here it is bounded by what the largest could take.
    let packed = compressed || context.open.is_some_and(|open| open.compressed);
    let max_payload = if packed { max_compressed(context.max_message) } else { context.max_message };
    let room = max_payload.saturating_sub(context.open.map_or(0, |open| open.len));
    if !opcode.is_control() && len > room as u64 {
        return Err(PeerError::MessageTooBig);
    }
    // It fits: the limit is a usize, and a control frame's length is at most 125.
    let remaining = len as usize;

    if second & MASKED == 0 {
        let used = bytes.len() - after.len();
        return Ok(Some((Incoming { opcode, fin, compressed, key: None, taken: 0, remaining }, used)));
    }
    let Some((key, after)) = after.split_first_chunk::<4>() else { return Ok(None) };
    let used = bytes.len() - after.len();
    debug_assert!(used <= MAX_HEAD, "a head is at most two bytes, eight of length and four of key");
    Ok(Some((Incoming { opcode, fin, compressed, key: Some(*key), taken: 0, remaining }, used)))
}

/// The first byte: FIN, reserved bits, opcode; and whether such a frame may come now.
fn judge_first(first: u8, context: Context) -> Result<(Opcode, bool), PeerError> {
    let fin = first & FIN != 0;
    // "MUST be 0 unless an extension is negotiated" (section 5.2). The one that is gives RSV1 a meaning in the first frame of
    // a message, and nowhere else (RFC 7692, section 6).
    let compressed = context.compression && matches!(first & OPCODE, TEXT | BINARY);
    if first & RSV & if compressed { !RSV1 } else { RSV } != 0 {
        return Err(PeerError::ReservedBits);
    }
    // "If an unknown opcode is received, the receiving endpoint MUST fail the connection" (section 5.2).
    let opcode = Opcode::from_wire(first & OPCODE).ok_or(PeerError::ReservedOpcode)?;
    if opcode.is_control() {
        // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented" (section 5.5).
        return if fin { Ok((opcode, fin)) } else { Err(PeerError::FragmentedControl) };
    }
    // Fragments of one message must not be interleaved with another's (section 5.4).
    match (opcode, context.open) {
        (Opcode::Continuation, None) => Err(PeerError::UnexpectedContinuation),
        (Opcode::Continuation, Some(open)) if open.fragments >= context.max_fragments => Err(PeerError::TooManyFragments),
        (Opcode::Continuation, Some(_)) | (_, None) => Ok((opcode, fin)),
        (_, Some(_)) => Err(PeerError::ExpectedContinuation),
    }
}

/// The second byte: the mask bit, and the length of a control frame.
fn judge_second(second: u8, opcode: Opcode, role: Role) -> Result<(), PeerError> {
    // "The server MUST close the connection upon receiving a frame that is not masked. [...] A client MUST close a
    // connection if it detects a masked frame" (section 5.1).
    match (role, second & MASKED != 0) {
        (Role::Server, false) => return Err(PeerError::NotMasked),
        (Role::Client, true) => return Err(PeerError::Masked),
        _ => {}
    }
    if opcode.is_control() && usize::from(second & !MASKED) > LEN_7 {
        return Err(PeerError::ControlTooLong);
    }
    Ok(())
}

/// The length: seven bits, or 16 or 64 that follow. "The minimal number of bytes MUST be used [...], the most significant
/// bit MUST be 0" (section 5.2).
fn length(short: u8, after: &[u8]) -> Result<Option<(u64, &[u8])>, PeerError> {
    match short {
        LEN_16 => {
            let Some((bytes, after)) = after.split_first_chunk::<2>() else { return Ok(None) };
            let len = u64::from(u16::from_be_bytes(*bytes));
            if len <= LEN_7 as u64 { Err(PeerError::LengthNotMinimal) } else { Ok(Some((len, after))) }
        }
        LEN_64 => {
            let Some((bytes, after)) = after.split_first_chunk::<8>() else { return Ok(None) };
            let len = u64::from_be_bytes(*bytes);
            if len >> 63 != 0 {
                return Err(PeerError::LengthOverflow);
            }
            if len <= u64::from(u16::MAX) { Err(PeerError::LengthNotMinimal) } else { Ok(Some((len, after))) }
        }
        short => Ok(Some((u64::from(short), after))),
    }
}

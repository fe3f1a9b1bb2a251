//! Close frames: codes, reasons, and who may say what (RFC 6455, sections 5.5.1 and 7.4).

use std::borrow::Cow;

use crate::error::{PeerError, UsageError};
use crate::frame::{MAX_CONTROL, Opcode, encode_frame};
use crate::utf8;

/// The largest reason in bytes of UTF-8: a control frame less the two bytes of the code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// Close codes that this crate or an engine uses by name (RFC 6455, section 7.4.1).
pub mod code {
    /// The connection has served its purpose.
    pub const NORMAL: u16 = 1000;
    /// The server stops, or the page is left.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer sent a kind of data that is not wanted.
    pub const UNSUPPORTED: u16 = 1003;
    /// Never on the wire: the peer's Close had no code.
    pub const NO_CODE: u16 = 1005;
    /// Never on the wire: the connection was lost without a Close.
    pub const ABNORMAL: u16 = 1006;
    /// The data of a message do not fit its type: text that is not UTF-8, or broken compression.
    pub const INVALID_DATA: u16 = 1007;
    /// A rule of this endpoint was broken.
    pub const POLICY: u16 = 1008;
    /// A message was too big.
    pub const TOO_BIG: u16 = 1009;
    /// The server met a condition that it cannot handle.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// Never on the wire: TLS failed.
    pub const TLS_HANDSHAKE: u16 = 1015;
}

/// Why a peer closed: what its Close frame said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason<'a> {
    /// A code that [`may_be_received`].
    pub code: u16,
    /// Text for people, at most [`MAX_REASON`] bytes; often empty.
    pub reason: Cow<'a, str>,
}

impl CloseReason<'_> {
    /// The same reason with a copy of its text.
    #[must_use]
    pub fn into_owned(self) -> CloseReason<'static> {
        CloseReason { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

/// Whether a code may stand in a Close frame: 1000-1003, 1007-1014 (defined, or registered with IANA since) and 3000-4999
/// (libraries and applications). Not 1004-1006 and 1015, which are never on the wire, nor what is unassigned below 3000.
#[inline]
#[must_use]
pub const fn may_be_received(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Whether an application may pass a code to `close()`: what [`may_be_received`], so that no close of ours is an error at
/// the other end. It includes the codes that the protocol itself uses (1002, 1007, 1009), since an application may speak a
/// protocol of its own inside messages. A browser's API allows only 1000 and 3000-4999; see
/// [`may_be_sent_by_script`].
#[inline]
#[must_use]
pub const fn may_be_sent(code: u16) -> bool {
    may_be_received(code)
}

/// Whether the standard `WebSocket` class lets a script pass a code to `close()` (WHATWG WebSockets, `close()`).
#[inline]
#[must_use]
pub const fn may_be_sent_by_script(code: u16) -> bool {
    matches!(code, 1000 | 3000..=4999)
}

/// Appends a Close frame. No code makes it empty, which the peer sees as 1005.
///
/// # Errors
/// [`UsageError`] for a code that may not be sent, a reason of more than [`MAX_REASON`] bytes, or a reason without a code;
/// nothing is written then.
///
/// ```
/// use tidewire_proto::encode_close;
///
/// let mut out = Vec::new();
/// encode_close(&mut out, Some(1000), "bye", None)?;
/// assert_eq!(out, b"\x88\x05\x03\xe8bye");
/// assert!(encode_close(&mut out, Some(1006), "", None).is_err());
/// # Ok::<(), tidewire_proto::UsageError>(())
/// ```
pub fn encode_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) -> Result<(), UsageError> {
    let Some(code) = code else {
        if !reason.is_empty() {
            return Err(UsageError::CloseReasonWithoutCode);
        }
        encode_frame(out, Opcode::Close, &[], mask);
        return Ok(());
    };
    if !may_be_sent(code) {
        return Err(UsageError::CloseCode(code));
    }
    if reason.len() > MAX_REASON {
        return Err(UsageError::CloseReasonTooLong(reason.len()));
    }
    let mut payload = [0; MAX_CONTROL];
    let len = 2 + reason.len();
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..len].copy_from_slice(reason.as_bytes());
    encode_frame(out, Opcode::Close, &payload[..len], mask);
    Ok(())
}

/// Reads the payload of a Close frame (RFC 6455, section 5.5.1: empty, or a code and UTF-8).
pub(crate) fn decode(payload: Cow<'_, [u8]>) -> Result<Option<CloseReason<'_>>, PeerError> {
    let code = match *payload {
        [] => return Ok(None),
        [_] => return Err(PeerError::CloseTooShort),
        [high, low, ..] => u16::from_be_bytes([high, low]),
    };
    if !may_be_received(code) {
        return Err(PeerError::InvalidCloseCode);
    }
    let reason = match payload {
        Cow::Borrowed(bytes) => utf8::validate(&bytes[2..]).map(Cow::Borrowed),
        Cow::Owned(bytes) => utf8::validate(&bytes[2..]).map(|text| Cow::Owned(text.to_owned())),
    };
    let reason = reason.ok_or(PeerError::InvalidCloseReason)?;
    Ok(Some(CloseReason { code, reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code() {
        // RFC 6455, section 7.4, with what IANA has registered since (1012-1014).
        let allowed = |code| [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code);
        for code in 0..=u16::MAX {
            assert_eq!(may_be_received(code), allowed(code) || (3000..5000).contains(&code), "{code}");
            assert_eq!(may_be_sent(code), may_be_received(code), "{code}: what we send must be acceptable, and can be echoed");
            assert_eq!(may_be_sent_by_script(code), code == 1000 || (3000..5000).contains(&code), "{code}");
            let mut out = Vec::new();
            let outcome = encode_close(&mut out, Some(code), "", None);
            assert_eq!(outcome.is_ok(), may_be_sent(code));
            assert_eq!(out.is_empty(), outcome.is_err(), "nothing is written in vain");
        }
    }

    #[test]
    fn reasons_are_measured_in_bytes() {
        let mut out = Vec::new();
        let longest = "ü".repeat(61) + "x";
        assert_eq!(encode_close(&mut out, Some(1000), &longest, None), Ok(()));
        assert_eq!(out.len(), 2 + MAX_CONTROL);
        assert_eq!(&out[..4], b"\x88\x7d\x03\xe8");

        out.clear();
        let outcome = encode_close(&mut out, Some(1000), &"ü".repeat(62), None);
        assert_eq!(outcome, Err(UsageError::CloseReasonTooLong(124)));
        assert_eq!(encode_close(&mut out, None, "why", None), Err(UsageError::CloseReasonWithoutCode));
        assert!(out.is_empty());
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for (code, reason) in [(1000, ""), (1001, "going"), (4999, "größer")] {
            let mut out = Vec::new();
            assert_eq!(encode_close(&mut out, Some(code), reason, None), Ok(()));
            let expected = CloseReason { code, reason: reason.into() };
            assert_eq!(decode(Cow::Borrowed(&out[2..])), Ok(Some(expected.clone())));
            assert_eq!(decode(Cow::Owned(out[2..].to_vec())), Ok(Some(expected)));
        }
        assert_eq!(decode(Cow::Borrowed(&[])), Ok(None));
    }

    #[test]
    fn a_client_masks_its_close() {
        let mut out = Vec::new();
        assert_eq!(encode_close(&mut out, None, "", Some([1, 2, 3, 4])), Ok(()));
        assert_eq!(out, [0x88, 0x80, 1, 2, 3, 4]);
        assert_eq!(encode_close(&mut out, Some(1000), "", Some([1, 2, 3, 4])), Ok(()));
        assert_eq!(out[6..], [0x88, 0x82, 1, 2, 3, 4, 3 ^ 1, 0xe8 ^ 2]);
    }
}

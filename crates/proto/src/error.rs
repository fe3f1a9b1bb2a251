//! What can go wrong, and whose fault it is.

use thiserror::Error;

use crate::close::code;

/// The peer broke the protocol or a limit. The connection is over: send a Close with [`PeerError::code`] and
/// [`PeerError::reason`], then end the transport (RFC 6455, section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum PeerError {
    /// A reserved bit without an extension that gives it a meaning (RFC 6455, section 5.2).
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15 (RFC 6455, section 5.2).
    ReservedOpcode,
    /// A control frame with FIN = 0 (RFC 6455, section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455, section 5.5).
    ControlTooLong,
    /// A client's frame without a mask (RFC 6455, section 5.1).
    NotMasked,
    /// A server's frame with a mask (RFC 6455, section 5.1).
    Masked,
    /// A continuation frame with nothing to continue (RFC 6455, section 5.4).
    UnexpectedContinuation,
    /// A new data frame before the fragmented message was finished (RFC 6455, section 5.4).
    ExpectedContinuation,
    /// A length that a shorter form could have carried (RFC 6455, section 5.2).
    LengthNotMinimal,
    /// A 64-bit length with the most significant bit set (RFC 6455, section 5.2).
    LengthOverflow,
    /// More payload than [`Limits::max_message`](crate::Limits::max_message).
    MessageTooBig,
    /// A compressed message that becomes more times as large as it came than
    /// [`Inflater::limit_ratio`](crate::deflate::Inflater::limit_ratio) allows.
    InflatesTooMuch,
    /// More frames in a message than [`Limits::max_fragments`](crate::Limits::max_fragments).
    TooManyFragments,
    /// A text message that is not UTF-8 (RFC 6455, section 8.1).
    InvalidUtf8,
    /// A compressed message that is none: broken, cut off, or with something behind its end (RFC 7692, section 7.2.2).
    InvalidCompression,
    /// A Close payload of one byte: neither empty nor a code (RFC 6455, section 5.5.1).
    CloseTooShort,
    /// A Close code that may not be on the wire (RFC 6455, section 7.4).
    InvalidCloseCode,
    /// A Close reason that is not UTF-8 (RFC 6455, section 5.5.1).
    InvalidCloseReason,
}

impl PeerError {
    /// The close code that says this to the peer: 1002 protocol error, 1007 wrong data, 1008 policy, 1009 too big.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidCompression | Self::InvalidCloseReason => code::INVALID_DATA,
            Self::TooManyFragments => code::POLICY,
            Self::MessageTooBig | Self::InflatesTooMuch => code::TOO_BIG,
            _ => code::PROTOCOL_ERROR,
        }
    }

    /// The text of the error, short enough for the reason of a Close frame (at most 123 bytes).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set without a negotiated extension",
            Self::ReservedOpcode => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::ControlTooLong => "control frame longer than 125 bytes",
            Self::NotMasked => "frame from client is not masked",
            Self::Masked => "frame from server is masked",
            Self::UnexpectedContinuation => "continuation frame without a message to continue",
            Self::ExpectedContinuation => "new message before the fragmented one was finished",
            Self::LengthNotMinimal => "payload length is not minimally encoded",
            Self::LengthOverflow => "payload length has its most significant bit set",
            Self::MessageTooBig => "message is too big",
            Self::InflatesTooMuch => "message inflates too much",
            Self::TooManyFragments => "message has too many fragments",
            Self::InvalidUtf8 => "text is not valid UTF-8",
            Self::InvalidCompression => "compressed message is not valid",
            Self::CloseTooShort => "close frame with an incomplete code",
            Self::InvalidCloseCode => "invalid close code",
            Self::InvalidCloseReason => "close reason is not valid UTF-8",
        }
    }
}

/// The application asked for something that the protocol does not allow. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A close code that an application may not send.
    #[error("close code {0} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")]
    CloseCode(u16),
    /// A close reason of more than 123 bytes of UTF-8.
    #[error("a close reason holds at most 123 bytes of UTF-8, not {0}")]
    CloseReasonTooLong(usize),
    /// A close reason without a code, for which the frame has no room.
    #[error("a close reason needs a close code before it")]
    CloseReasonWithoutCode,
    /// A Ping or Pong payload of more than 125 bytes.
    #[error("a control frame holds at most 125 bytes, not {0}")]
    ControlTooLong(usize),
    /// A subprotocol that is not a token (RFC 9110, section 5.6.2).
    #[error("subprotocol {0:?} is not a token: use letters, digits and !#$%&'*+-.^_`|~")]
    Protocol(String),
    /// A subprotocol that is offered twice (RFC 6455, section 4.1: they must all be unique).
    #[error("subprotocol {0:?} is offered twice")]
    RepeatedProtocol(String),
    /// A header name that is not a token.
    #[error("header name {0:?} is not a token")]
    HeaderName(String),
    /// A header value with CR, LF or NUL (or another control character).
    #[error("the value of header {0:?} has a control character in it")]
    HeaderValue(String),
    /// A host that cannot stand in a Host header.
    #[error("host {0:?} is empty or has a character in it that is not visible ASCII")]
    Host(String),
    /// A path that cannot stand in a request line.
    #[error("path {0:?} must start with '/' and be visible ASCII (percent-encoded) without a fragment")]
    Path(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::{MAX_REASON, may_be_sent};

    const ALL: [PeerError; 18] = [
        PeerError::ReservedBits,
        PeerError::ReservedOpcode,
        PeerError::FragmentedControl,
        PeerError::ControlTooLong,
        PeerError::NotMasked,
        PeerError::Masked,
        PeerError::UnexpectedContinuation,
        PeerError::ExpectedContinuation,
        PeerError::LengthNotMinimal,
        PeerError::LengthOverflow,
        PeerError::MessageTooBig,
        PeerError::InflatesTooMuch,
        PeerError::TooManyFragments,
        PeerError::InvalidUtf8,
        PeerError::InvalidCompression,
        PeerError::CloseTooShort,
        PeerError::InvalidCloseCode,
        PeerError::InvalidCloseReason,
    ];

    #[test]
    fn every_error_fits_into_a_close_frame() {
        for error in ALL {
            assert!(may_be_sent(error.code()), "{error:?}");
            assert!((1..=MAX_REASON).contains(&error.reason().len()), "{error:?}");
            assert_eq!(error.to_string(), error.reason());
            assert_eq!(ALL.iter().filter(|other| other.reason() == error.reason()).count(), 1, "{error:?} can be told apart");
        }
    }

    #[test]
    fn codes() {
        let with = |code| ALL.into_iter().filter(|error| error.code() == code).collect::<Vec<_>>();
        assert_eq!(with(1007), [PeerError::InvalidUtf8, PeerError::InvalidCompression, PeerError::InvalidCloseReason]);
        assert_eq!(with(1008), [PeerError::TooManyFragments]);
        assert_eq!(with(1009), [PeerError::MessageTooBig, PeerError::InflatesTooMuch]);
        assert_eq!(with(1002).len(), ALL.len() - 6);
    }
}

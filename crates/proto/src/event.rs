//! What a peer sent, as the application sees it.

use std::borrow::Cow;

use crate::close::CloseReason;

/// A whole message, or a control frame. It borrows from the input that was given to [`Receiver::next`] where it can:
/// a message that came in one piece is lent, one that was gathered is owned.
///
/// [`Receiver::next`]: crate::Receiver::next
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message, valid UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A Ping: to be answered with a Pong of the same payload, at most 125 bytes (RFC 6455, section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A Pong, asked for or not (RFC 6455, section 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// A Close with its code and reason; `None` when it was empty (reported as 1005, answered empty). The last event.
    Close(Option<CloseReason<'a>>),
}

/// A short message that [`Receiver::next_ahead`](crate::Receiver::next_ahead) has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead<'a> {
    /// A text message, all of it ASCII: the bytes are its characters, in UTF-8 as in Latin-1.
    Ascii(&'a [u8]),
    /// A text message with other characters, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Ahead<'a> {
    /// The payload.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Ascii(bytes) | Self::Binary(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

impl Event<'_> {
    /// The same event with a copy of what it borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(bytes) => Event::Ping(Cow::Owned(bytes.into_owned())),
            Self::Pong(bytes) => Event::Pong(Cow::Owned(bytes.into_owned())),
            Self::Close(reason) => Event::Close(reason.map(CloseReason::into_owned)),
        }
    }
}

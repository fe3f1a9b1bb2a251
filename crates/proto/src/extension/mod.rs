//! The negotiation of permessage-deflate (RFC 7692, section 7), for both roles.
//!
//! ```text
//!  client                                             server
//!  Proposal::write ── Sec-WebSocket-Extensions ──> choose(lines, policy) -> Agreement
//!  judge(lines, proposal) -> Agreement <────────── Agreement::write
//! ```
//!
//! An [`Agreement`] is said from one's own side: [`Agreement::send`] is how this endpoint compresses, [`Agreement::receive`]
//! how the peer does. Nothing here needs the compression itself.

mod list;
mod parameters;

use http::HeaderValue;
use thiserror::Error;

use list::Extensions;
use parameters::Parameters;

/// The name of the extension (RFC 7692, section 7).
pub const NAME: &str = "permessage-deflate";

/// The largest window of DEFLATE, 2^15 bytes, which is also what an endpoint uses that agreed on none (RFC 7692, section
/// 7.1.2).
pub const MAX_WINDOW_BITS: u8 = 15;
/// The smallest window that can be agreed on.
pub const MIN_WINDOW_BITS: u8 = 8;

/// How one direction is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Whether a message may refer to those before it ("context takeover"): both ends keep a window for each connection then.
    pub takeover: bool,
    /// The window that distances stay inside: 2^`window_bits` bytes, 8 to 15.
    pub window_bits: u8,
}

impl Direction {
    /// Each message by itself, in the largest window.
    pub const ALONE: Self = Self { takeover: false, window_bits: MAX_WINDOW_BITS };
    /// Every message may refer to those before it, in the largest window.
    pub const TAKEOVER: Self = Self { takeover: true, window_bits: MAX_WINDOW_BITS };

    /// What both of two can live with.
    fn and(self, other: Self) -> Self {
        Self { takeover: self.takeover && other.takeover, window_bits: self.window_bits.min(other.window_bits) }
    }
}

/// What an endpoint has the means for: the most that it can agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Its own compressor.
    pub send: Direction,
    /// Its decompressor for what the peer sends. A smaller window is asked for where the peer allows it and cannot be relied
    /// on where it does not: look at the [`Agreement`].
    pub receive: Direction,
}

/// What two endpoints have agreed on, said from this endpoint's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Agreement {
    /// How this endpoint compresses, if it does: it may always send a message as it is.
    pub send: Direction,
    /// How the peer compresses.
    pub receive: Direction,
    /// The answer's parameters, as a server writes them.
    answer: Parameters,
}

impl Agreement {
    /// Appends the value of Sec-WebSocket-Extensions that answers the offer.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME.as_bytes());
        self.answer.write(out);
    }
}

/// The server's choice among what a client offers: the first offer of permessage-deflate that it can accept, `None` if there
/// is none. An offer with an unknown, repeated or invalid parameter is declined by itself (RFC 7692, section 7.1); the others
/// stand. Offers of other extensions are passed over.
///
/// ```
/// use http::HeaderValue;
/// use tidewire_proto::extension::{Direction, Policy, choose};
///
/// let lines = [HeaderValue::from_static("permessage-deflate; server_max_window_bits=10")];
/// let policy = Policy { send: Direction::ALONE, receive: Direction::TAKEOVER };
/// let agreement = choose(lines.iter(), &policy).ok_or("declined")?;
/// let mut answer = Vec::new();
/// agreement.write(&mut answer);
/// assert_eq!(answer, b"permessage-deflate; server_no_context_takeover; server_max_window_bits=10");
/// assert_eq!((agreement.send.window_bits, agreement.receive.takeover), (10, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn choose<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>, policy: &Policy) -> Option<Agreement> {
    lines
        .into_iter()
        .flat_map(|line| Extensions::new(line.as_bytes()))
        .filter_map(|extension| extension.is_named(NAME).then(|| Parameters::of_offer(&extension)).flatten())
        .map(|offer| accept(&offer, policy))
        .next()
}

/// The answer to one offer. Any valid offer can be accepted: what it asks for only makes us use less.
fn accept(offer: &Parameters, policy: &Policy) -> Agreement {
    let server_bits = offer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    let send = policy.send.and(Direction { takeover: !offer.server_no_context_takeover, window_bits: server_bits });
    // Without a value the client only says that it would obey; with one it stays inside without being told (section 7.1.2.2).
    let obeys = offer.client_may_be_limited;
    let client_bits = offer.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    let wanted = Direction { takeover: !offer.client_no_context_takeover, window_bits: client_bits };
    let mut receive = policy.receive.and(wanted);
    if !obeys {
        receive.window_bits = MAX_WINDOW_BITS;
    }
    let answer = Parameters {
        server_no_context_takeover: !send.takeover,
        client_no_context_takeover: !receive.takeover,
        server_max_window_bits: (offer.server_max_window_bits.is_some() || send.window_bits < MAX_WINDOW_BITS)
            .then_some(send.window_bits),
        // Said also where the client has promised it by itself: what both have said, both keep.
        client_max_window_bits: (receive.window_bits < MAX_WINDOW_BITS).then_some(receive.window_bits),
        client_may_be_limited: false,
    };
    Agreement { send, receive, answer }
}

/// A client's offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proposal {
    policy: Policy,
}

impl Proposal {
    /// The offer of a client that has these means.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// Appends the value of Sec-WebSocket-Extensions. It always allows the server to limit our window, as browsers do.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Policy { send, receive } = self.policy;
        let offer = Parameters {
            server_no_context_takeover: !receive.takeover,
            client_no_context_takeover: !send.takeover,
            server_max_window_bits: (receive.window_bits < MAX_WINDOW_BITS).then_some(receive.window_bits),
            client_max_window_bits: (send.window_bits < MAX_WINDOW_BITS).then_some(send.window_bits),
            client_may_be_limited: true,
        };
        out.extend_from_slice(NAME.as_bytes());
        offer.write(out);
    }
}

/// Why a server's answer to an offer of extensions is none (RFC 6455, section 9.1; RFC 7692, section 7.1.3). The connection
/// must be failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// An extension that was not offered.
    #[error("the server uses an extension that was not offered")]
    NotOffered,
    /// More than one answer to one offer.
    #[error("the server answers one offer of an extension several times")]
    Repeated,
    /// A parameter that is unknown, repeated, out of its range, or more than was offered.
    #[error("a parameter in the server's answer about permessage-deflate is invalid")]
    Parameter,
}

/// The client's judgement of the answer's Sec-WebSocket-Extensions: `None` when nothing was agreed on.
///
/// # Errors
/// [`AnswerError`].
pub fn judge<'a>(
    lines: impl IntoIterator<Item = &'a HeaderValue>,
    proposal: Option<&Proposal>,
) -> Result<Option<Agreement>, AnswerError> {
    let mut extensions = lines.into_iter().flat_map(|line| Extensions::new(line.as_bytes()));
    let Some(extension) = extensions.next() else { return Ok(None) };
    let proposal = proposal.filter(|_| extension.is_named(NAME)).ok_or(AnswerError::NotOffered)?;
    if let Some(more) = extensions.next() {
        return Err(if more.is_named(NAME) { AnswerError::Repeated } else { AnswerError::NotOffered });
    }
    let answer = Parameters::of_answer(&extension).ok_or(AnswerError::Parameter)?;
    let Policy { send, receive } = proposal.policy;
    let server_bits = answer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    let client_bits = answer.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    // The server has accepted what was offered, so it says at most that (sections 7.1.1.1 and 7.1.2.1); and nobody may ask
    // us for a window beyond our own offer (section 7.1.2.2).
    let broken = !receive.takeover && !answer.server_no_context_takeover
        || server_bits > receive.window_bits
        || answer.client_max_window_bits.is_some_and(|bits| bits > send.window_bits);
    if broken {
        return Err(AnswerError::Parameter);
    }
    Ok(Some(Agreement {
        send: send.and(Direction { takeover: !answer.client_no_context_takeover, window_bits: client_bits }),
        receive: Direction { takeover: !answer.server_no_context_takeover, window_bits: server_bits },
        answer,
    }))
}

#[cfg(test)]
mod tests;

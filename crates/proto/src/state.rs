//! The closing table: who may still send and receive, and when the connection is over (RFC 6455, sections 1.4, 5.5.1, 7.1).
//!
//! One enum of phases, one match over (phase, happening). The pairs that a correct engine cannot produce are listed as
//! [`IllegalStep`], so that a bug is seen and not acted on. Nothing is done here: a [`Step`] says what to do.
//!
//! The roles differ in two things. A server's application is told of the end as soon as it closes (Bun: `close` runs inside
//! `close()`); a client's when the handshake is over, with what the server answered, as the WHATWG's `close` event is. And who
//! ends the transport differs (section 7.1.1).
//!
//! ```text
//!            LocalClose                PeerClose, PeerError
//!   Open ───────────────> CloseSent ──────────────────────────> Ending
//!    │ └── PeerClose, PeerError ───────────────────────────────>  │
//!    │                        │                                   │
//!    └─ EndOfStream, Lost, LocalTerminate, CutOff (and Deadline, once closing) ──> Ended
//! ```

use thiserror::Error;

use crate::limits::Role;

/// How far a connection is in its closing handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Messages flow both ways.
    #[default]
    Open,
    /// We have sent a Close and wait for the peer's, until the closing deadline. What still arrives is read and ignored.
    CloseSent,
    /// Nothing more comes from the peer and nothing more is added to what is queued: both Closes are said, or the peer has
    /// failed. The transport ends, until the closing deadline at the latest.
    Ending,
    /// The transport is gone.
    Ended,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// The receiver gave a message, a Ping or a Pong.
    Message,
    /// The application closes, or the server stops.
    LocalClose,
    /// The application terminates.
    LocalTerminate,
    /// A limit ends it (the idle timeout, the patience of a stop), or the server stops by force.
    CutOff,
    /// The receiver gave a Close.
    PeerClose,
    /// The receiver gave an error.
    PeerError,
    /// The peer has ended its direction of the transport.
    EndOfStream,
    /// The transport is broken: a reset, or a failed write.
    Lost,
    /// The closing handshake took too long.
    Deadline,
}

/// Which Close frame to append to what is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseFrame {
    /// None.
    No,
    /// Our own: the application's code and reason, or those of the error.
    Send,
    /// The answer to the peer's: its code and reason, or empty if it was empty (RFC 6455, section 5.5.1). The reason as well,
    /// as Bun does: the `close` event of a browser that closed shows what the server answered.
    Echo,
}

/// What the application's close handler is told, which happens once in the life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Report {
    /// Nothing: it has been told, or it is not over.
    Nothing,
    /// The code and reason that it closed with itself.
    Local,
    /// The peer's code and reason; 1005 and an empty one when the Close was empty.
    Remote,
    /// The peer's failure: a server is told 1006 and the reason of the error, a client the code and reason of the error.
    Failed,
    /// 1006 and an empty reason.
    Lost,
}

/// What becomes of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// It stays.
    Keep,
    /// Send what is queued, then end our direction, and let go once the peer has ended its own. (Closing at once would reset
    /// the connection if input is unread, and the peer could lose our Close.)
    Finish,
    /// Send what is queued and wait for the server to end the transport, so that the TIME-WAIT state is not the client's
    /// loss (RFC 6455, section 7.1.1).
    AwaitPeer,
    /// Send of what is queued whatever the kernel takes at once, then close.
    Release,
    /// Close at once; what is queued is dropped.
    Abort,
}

/// What to do about a happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The phase from now on.
    pub next: Phase,
    /// Whether a message goes to the application (and a Ping is answered).
    pub deliver: bool,
    /// The Close frame to send.
    pub close: CloseFrame,
    /// What to tell the close handler.
    pub report: Report,
    /// What to do with the transport.
    pub transport: Transport,
}

/// A pair that cannot be: the engine has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{happening:?} cannot happen to a connection that is {phase:?}")]
pub struct IllegalStep {
    /// The phase that the connection was in.
    pub phase: Phase,
    /// What is said to have happened.
    pub happening: Happening,
}

/// The table.
///
/// # Errors
/// [`IllegalStep`] for a pair that is listed as impossible.
///
/// ```
/// use tidewire_proto::Role;
/// use tidewire_proto::state::{CloseFrame, Happening, Phase, Transport, step};
///
/// let closed = step(Role::Server, Phase::Open, Happening::PeerClose)?;
/// assert_eq!((closed.next, closed.close, closed.transport), (Phase::Ending, CloseFrame::Echo, Transport::Finish));
/// # Ok::<(), tidewire_proto::state::IllegalStep>(())
/// ```
#[inline]
pub const fn step(role: Role, phase: Phase, happening: Happening) -> Result<Step, IllegalStep> {
    use {CloseFrame as C, Happening as H, Phase as P, Report as R, Transport as T};

    /// How the transport ends after both Closes: "the server MUST close the TCP connection immediately; the client SHOULD
    /// wait for the server to close" (section 5.5.1).
    const fn both_closed(role: Role) -> Transport {
        match role {
            Role::Server => Transport::Finish,
            Role::Client => Transport::AwaitPeer,
        }
    }

    /// What a server's application is told when it closes itself, and a client's is not yet.
    const fn at_once(role: Role, report: Report) -> Report {
        match role {
            Role::Server => report,
            Role::Client => Report::Nothing,
        }
    }

    /// What a client's application is told when its own closing is over, and a server's has been before.
    const fn at_last(role: Role, report: Report) -> Report {
        match role {
            Role::Server => Report::Nothing,
            Role::Client => report,
        }
    }

    let (next, close, report, transport) = match (phase, happening) {
        (P::Open, H::Message) => {
            return Ok(Step { next: P::Open, deliver: true, close: C::No, report: R::Nothing, transport: T::Keep });
        }
        (P::Open, H::LocalClose) => (P::CloseSent, C::Send, at_once(role, R::Local), T::Keep),
        // What was said to be sent leaves, as in Bun; what a limit ends has a peer that does not take it.
        (P::Open, H::LocalTerminate) => (P::Ended, C::No, R::Lost, T::Release),
        (P::Open, H::CutOff) => (P::Ended, C::No, R::Lost, T::Abort),
        (P::Open, H::PeerClose) => (P::Ending, C::Echo, R::Remote, both_closed(role)),
        // Both roles end it: a peer that failed is not waited for (section 7.1.7).
        (P::Open, H::PeerError) => (P::Ending, C::Send, R::Failed, T::Finish),
        (P::Open, H::EndOfStream | H::Lost) => (P::Ended, C::No, R::Lost, T::Release),

        // Nothing may follow a Close (section 5.5.1).
        (P::CloseSent, H::Message | H::LocalClose) => (P::CloseSent, C::No, R::Nothing, T::Keep),
        (P::CloseSent, H::PeerClose) => (P::Ending, C::No, at_last(role, R::Remote), both_closed(role)),
        (P::CloseSent, H::PeerError) => (P::Ending, C::No, at_last(role, R::Failed), T::Finish),
        (P::CloseSent, H::CutOff) => (P::Ended, C::No, at_last(role, R::Lost), T::Abort),
        (P::CloseSent, H::LocalTerminate | H::EndOfStream | H::Lost | H::Deadline) => {
            (P::Ended, C::No, at_last(role, R::Lost), T::Release)
        }

        // Calls after the end are safe and do nothing.
        (P::Ending, H::LocalClose) => (P::Ending, C::No, R::Nothing, T::Keep),
        (P::Ended, H::LocalClose | H::LocalTerminate | H::CutOff) => (P::Ended, C::No, R::Nothing, T::Keep),

        (P::Ending, H::CutOff) => (P::Ended, C::No, R::Nothing, T::Abort),
        (P::Ending, H::LocalTerminate | H::EndOfStream | H::Lost | H::Deadline) => {
            (P::Ended, C::No, R::Nothing, T::Release)
        }

        // The closing deadline runs only while closing.
        (P::Open, H::Deadline)
        // The receiver gives nothing after a Close or an error.
        | (P::Ending, H::Message | H::PeerClose | H::PeerError)
        // There is no transport that it could come from.
        | (P::Ended, H::Message | H::PeerClose | H::PeerError | H::EndOfStream | H::Lost | H::Deadline) => {
            return Err(IllegalStep { phase, happening });
        }
    };
    Ok(Step { next, deliver: false, close, report, transport })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PHASES: [Phase; 4] = [Phase::Open, Phase::CloseSent, Phase::Ending, Phase::Ended];
    const HAPPENINGS: [Happening; 9] = [
        Happening::Message,
        Happening::LocalClose,
        Happening::LocalTerminate,
        Happening::CutOff,
        Happening::PeerClose,
        Happening::PeerError,
        Happening::EndOfStream,
        Happening::Lost,
        Happening::Deadline,
    ];
    const ROLES: [Role; 2] = [Role::Server, Role::Client];

    /// Every history without an illegal step, one for each different (phase, reports, closes) that it leads to.
    fn walk(role: Role, mut visit: impl FnMut(Phase, u32, u32, Happening, Step)) {
        let (mut seen, mut open) = (HashSet::new(), vec![(Phase::Open, 0, 0)]);
        while let Some((phase, reports, closes)) = open.pop() {
            if !seen.insert((phase, reports, closes)) {
                continue;
            }
            for happening in HAPPENINGS {
                let Ok(step) = step(role, phase, happening) else { continue };
                let reports = reports + u32::from(step.report != Report::Nothing);
                let closes = closes + u32::from(step.close != CloseFrame::No);
                assert!(reports <= 1 && closes <= 1, "{happening:?} in {phase:?} repeats itself");
                visit(phase, reports, closes, happening, step);
                open.push((step.next, reports, closes));
            }
        }
    }

    #[test]
    fn the_application_is_told_once() {
        // A server's as soon as it closes, a client's as soon as the answer has come.
        walk(Role::Server, |_, reports, _, _, step| assert_eq!(reports == 1, step.next != Phase::Open));
        walk(Role::Client, |_, reports, _, _, step| {
            assert_eq!(reports == 1, !matches!(step.next, Phase::Open | Phase::CloseSent));
        });
    }

    #[test]
    fn a_client_that_closes_is_told_what_became_of_it() {
        let report = |happening| step(Role::Client, Phase::CloseSent, happening).map(|step| step.report);
        assert_eq!(report(Happening::PeerClose), Ok(Report::Remote));
        assert_eq!(report(Happening::PeerError), Ok(Report::Failed));
        use Happening::{CutOff, Deadline, EndOfStream, LocalTerminate, Lost};
        for happening in [EndOfStream, Lost, Deadline, LocalTerminate, CutOff] {
            assert_eq!(report(happening), Ok(Report::Lost));
        }
    }

    #[test]
    fn nothing_is_delivered_or_sent_once_closed() {
        for role in ROLES {
            walk(role, |phase, _, _, happening, step| {
                assert_eq!(step.deliver, phase == Phase::Open && happening == Happening::Message);
                assert!(step.close == CloseFrame::No || phase == Phase::Open, "section 5.5.1: nothing after a Close");
            });
        }
    }

    #[test]
    fn it_only_ever_goes_forward_and_everything_ends() {
        let rank = |phase| PHASES.iter().position(|other| *other == phase);
        for role in ROLES {
            walk(role, |phase, _, _, _, step| {
                assert!(rank(step.next) >= rank(phase));
                // The transport is let go exactly where the last phase begins, and is on its way from the one before.
                let gone = matches!(step.transport, Transport::Release | Transport::Abort);
                assert_eq!(gone, step.next == Phase::Ended && phase != Phase::Ended);
                let going = matches!(step.transport, Transport::Finish | Transport::AwaitPeer);
                assert_eq!(going, step.next == Phase::Ending && phase != Phase::Ending);
            });
            for phase in [Phase::CloseSent, Phase::Ending] {
                assert!(step(role, phase, Happening::Deadline).is_ok_and(|step| step.next == Phase::Ended));
            }
        }
    }

    #[test]
    fn the_illegal_pairs_are_these() {
        use {Happening as H, Phase as P};
        for role in ROLES {
            let illegal: Vec<_> = PHASES
                .into_iter()
                .flat_map(|phase| HAPPENINGS.map(|happening| (phase, happening)))
                .filter(|&(phase, happening)| step(role, phase, happening) == Err(IllegalStep { phase, happening }))
                .collect();
            let expected = [
                (P::Open, H::Deadline),
                (P::Ending, H::Message),
                (P::Ending, H::PeerClose),
                (P::Ending, H::PeerError),
                (P::Ended, H::Message),
                (P::Ended, H::PeerClose),
                (P::Ended, H::PeerError),
                (P::Ended, H::EndOfStream),
                (P::Ended, H::Lost),
                (P::Ended, H::Deadline),
            ];
            assert_eq!(illegal, expected);
        }
    }

    #[test]
    fn a_server_ends_the_transport_and_a_client_waits_for_it() {
        for phase in [Phase::Open, Phase::CloseSent] {
            let transport = |role| step(role, phase, Happening::PeerClose).map(|step| step.transport);
            assert_eq!(transport(Role::Server), Ok(Transport::Finish));
            assert_eq!(transport(Role::Client), Ok(Transport::AwaitPeer));
        }
    }
}

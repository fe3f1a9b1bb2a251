//! What a worker keeps for each connection. Small: an idle WebSocket is this and nothing else.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tidewire_proto::state::{Phase, Transport};
use tidewire_proto::{Receiver, Role};
use tidewire_sys as sys;

use super::compression::{Compression, Contexts};
use super::dialing::Dialing;
use super::outbox::Outbox;
use super::outgoing::CORK;
use super::table::SocketId;
use super::timer::Tick;
use super::transport::Secured;
use crate::http::exchange::Exchange;
use crate::topics::MemberId;

pub(crate) struct Connection {
    pub socket: sys::Socket,
    pub stage: Stage,
    /// Taken out while frames are dispatched.
    pub receiver: Receiver,
    /// Only while there is something to send.
    pub outbox: Option<Box<Outbox>>,
    pub tls: Secured,
    /// The application's data, from the upgrade on.
    pub data: Option<Rc<dyn Any>>,
    /// What its messages refer to, if they refer to others, and once there were any.
    pub contexts: Option<Box<Contexts>>,
    pub compression: Compression,
    pub member: MemberId,
    pub peer: PeerAddress,
    /// When the connection has been silent, or has taken, too long; what that means depends on the stage.
    pub deadline: Tick,
    pub flags: Flags,
}

/// Where a connection is on its way. It only moves downwards.
pub(crate) enum Stage {
    /// We connect to a server, or wait for its answer to our handshake.
    Dialing(Box<Dialing>),
    /// A socket that one that is dialing may get, if it is the first to be established.
    Attempt(SocketId),
    /// Accepted, and nothing has come yet. HTTP's state is made when it does: who only connects costs a slot, and of a crowd that
    /// connects at once few have such a state at the same time.
    Accepted,
    /// Requests and responses. Empty while the exchange is being polled.
    Http(Option<Box<Exchange>>),
    /// A WebSocket; with the bytes that came before its `open` had returned, until they are dispatched.
    Open(Early),
    /// Our Close is sent and the application's `close` has run; the peer's Close is awaited, which may be among such bytes.
    CloseSent(Early),
    /// Nothing is read any more; what is queued is sent, then the transport ends so.
    Ending(Transport),
    /// Input is thrown away until its end: closing with unread input would make the kernel destroy what we sent last.
    Lingering,
}

/// Input that has come and is not dispatched yet.
// Boxed twice, because this is rare and the connection must be small.
pub(crate) type Early = Option<Box<Vec<u8>>>;

impl Stage {
    /// The input that waits, and where more of it may wait.
    pub fn early(&mut self) -> Option<&mut Early> {
        match self {
            Self::Open(early) | Self::CloseSent(early) => Some(early),
            _ => None,
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Flags {
    /// It is in the list of outboxes to flush.
    pub dirty: bool,
    /// The kernel took less than it was given; a writable event will come.
    pub stalled: bool,
    /// A send during the stall was answered with backpressure: `drain` is owed.
    pub owes_drain: bool,
    /// The application paused it.
    pub paused: bool,
    /// HTTP input is not consumed: the socket is not read.
    pub blocked: bool,
    /// It was pinged and has been silent since.
    pub pinged: bool,
    /// It is in the list of lost connections.
    pub lost: bool,
    /// We are the client on this one: our frames are masked.
    pub client: bool,
}

impl Connection {
    /// The number of the socket that a connection has which is still to get one.
    pub const NO_SOCKET: i32 = -1;

    /// A connection that was accepted, or is to be dialed.
    pub fn new(socket: sys::Socket, peer: Option<SocketAddr>) -> Self {
        Self {
            socket,
            stage: Stage::Accepted,
            receiver: Receiver::default(),
            outbox: None,
            tls: None,
            data: None,
            contexts: None,
            compression: Compression::default(),
            member: MemberId::NONE,
            peer: PeerAddress::from(peer),
            deadline: 0,
            flags: Flags::default(),
        }
    }

    /// Where it is in the closing table; `None` while it speaks HTTP, in either role.
    pub fn phase(&self) -> Option<Phase> {
        match self.stage {
            Stage::Dialing(_) | Stage::Attempt(_) | Stage::Accepted | Stage::Http(_) => None,
            Stage::Open(_) => Some(Phase::Open),
            Stage::CloseSent(_) => Some(Phase::CloseSent),
            Stage::Ending(_) | Stage::Lingering => Some(Phase::Ending),
        }
    }

    pub fn role(&self) -> Role {
        if self.flags.client { Role::Client } else { Role::Server }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether what is sent to it can still arrive: it is open, and the kernel has not declared it lost in this turn.
    pub fn is_sending(&self) -> bool {
        self.is_open() && !self.flags.lost
    }

    /// How many bytes wait to be sent. (As a call it takes a tenth of a publish to many.)
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured")]
    pub fn queued(&self) -> usize {
        let sealed = self.tls.as_ref().map_or(0, |session| session.queued());
        self.outbox.as_ref().map_or(0, |outbox| outbox.queued()) + sealed
    }

    /// Whether so many bytes of messages can be queued one after the other with none of them dropped: while each is, no more than the limit
    /// is queued already.
    pub fn admits(&self, bytes: usize, limit: usize) -> bool {
        !self.flags.lost && self.queued().saturating_add(bytes) <= limit
    }

    /// How much is queued before the kernel is asked, or something is dropped.
    pub fn room(&self, limit: usize) -> usize {
        if !self.is_sending() || self.flags.stalled {
            return 0;
        }
        limit.min(CORK - 1).saturating_sub(self.queued())
    }

    /// What the poller should tell us about.
    pub fn interest(&self) -> sys::Interest {
        let readable = match self.stage {
            Stage::Attempt(_) => return sys::Interest::WRITE,
            Stage::Ending(_) => false,
            Stage::Open(_) => !self.flags.paused,
            _ => !self.flags.blocked,
        };
        sys::Interest { readable, writable: self.flags.stalled }
    }
}

/// A peer's address in 19 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerAddress {
    /// A unix socket has none.
    Unnamed,
    V4([u8; 4], [u8; 2]),
    V6([u8; 16], [u8; 2]),
}

impl From<Option<SocketAddr>> for PeerAddress {
    fn from(address: Option<SocketAddr>) -> Self {
        match address {
            None => Self::Unnamed,
            Some(address) => {
                let port = address.port().to_be_bytes();
                match address.ip() {
                    IpAddr::V4(ip) => Self::V4(ip.octets(), port),
                    IpAddr::V6(ip) => Self::V6(ip.octets(), port),
                }
            }
        }
    }
}

impl PeerAddress {
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Unnamed => None,
            Self::V4(ip, port) => Some((Ipv4Addr::from(ip), u16::from_be_bytes(port)).into()),
            Self::V6(ip, port) => Some((Ipv6Addr::from(ip), u16::from_be_bytes(port)).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 120, "{} bytes", size_of::<Connection>());
        assert!(Table::<Connection>::entry_size() <= 128, "two cache lines, not {} bytes", Table::<Connection>::entry_size());
    }

    #[test]
    fn addresses_survive() {
        for text in ["127.0.0.1:80", "[::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(PeerAddress::from(Some(address)).address(), Some(address));
        }
        assert_eq!(PeerAddress::from(None).address(), None);
    }
}

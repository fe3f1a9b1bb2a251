//! What TLS adds to the way out: records that wait beside the outbox, and the last word of a session.

use tidewire_proto::state::Transport;

use super::connection::{Connection, Stage};
#[cfg(feature = "tls")]
use super::core::Core;
use super::outgoing::Outgoing;
use super::table::SocketId;
use super::transport;

impl Connection {
    /// Whether records wait that the kernel has not taken.
    #[inline]
    pub fn holds_sealed(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| !session.waiting().is_empty())
    }

    /// Whether our direction ends behind what is queued.
    #[inline]
    pub fn ends_with_outbox(&self) -> bool {
        matches!(self.stage, Stage::Ending(Transport::Finish))
    }
}

impl Outgoing {
    /// Has what the session wants to say (a part of a handshake, an alert) sent at the end of the turn.
    #[inline]
    pub fn mark_sealed(&mut self, connection: &mut Connection, id: SocketId) {
        if connection.holds_sealed() && !connection.flags.stalled {
            self.mark(&mut connection.flags, id);
        }
    }

    /// Sends records that wait, ahead of the outbox; `false` when the kernel did not take all. What a handshake says leaves
    /// together with the outbox if there is one.
    #[inline]
    pub fn push_sealed(&mut self, connection: &mut Connection, id: SocketId) -> bool {
        let Some(session) = &mut connection.tls else { return true };
        let alone = session.is_stalled() || connection.outbox.as_ref().is_none_or(|outbox| outbox.queued() == 0);
        !alone || self.push(connection, id)
    }

    fn push(&mut self, connection: &mut Connection, id: SocketId) -> bool {
        let Some(session) = connection.tls.as_deref_mut().filter(|session| !session.waiting().is_empty()) else { return true };
        let before = session.waiting().len();
        let pushed = transport::push(&mut *self.io, &connection.socket, session);
        if session.waiting().len() < before {
            self.moved_on(connection);
        }
        match pushed {
            Ok(true) => true,
            Ok(false) => {
                self.stall(connection, id);
                false
            }
            Err(_) => {
                self.lose(connection, id);
                false
            }
        }
    }

    /// Everything is sent: if our direction ends here and that is not said yet inside TLS, says so. `false` when the kernel did
    /// not take it.
    #[inline]
    pub fn finish_sealed(&mut self, connection: &mut Connection, id: SocketId) -> bool {
        let ends = connection.ends_with_outbox();
        match connection.tls.as_deref_mut().filter(|_| ends) {
            Some(session) => {
                session.finish();
                self.push(connection, id)
            }
            None => true,
        }
    }
}

#[cfg(feature = "tls")]
impl Core {
    /// How a connection is secured, for the handlers of its requests.
    pub(super) fn tls_details(&self, id: SocketId) -> Option<crate::tls::TlsDetails> {
        self.state.borrow().table.find(id)?.tls.as_ref()?.details()
    }
}

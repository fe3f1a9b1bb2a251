//! The way in, from the poller to the stage of a connection: accepted sockets, readiness, received bytes, mail.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_proto::state::Happening;
use tidewire_sys::{Accepted, Event, Socket};

use super::connection::{Connection, Stage};
use super::core::Core;
use super::local::opcode;
use super::mailbox::Mail;
use super::packing::Outbound;
use super::state::State;
use super::table::SocketId;
use super::transport::{self, Then};

/// Whether there may be one more connection; if so, it is counted.
fn admits(state: &mut State, peer: Option<SocketAddr>) -> bool {
    if state.stopping {
        return false;
    }
    let options = &state.options;
    match state.census.admit(peer, options.max_connections, options.max_connections_per_address) {
        Ok(()) => true,
        Err(limit) => {
            state.out.reached(limit, peer.into());
            false
        }
    }
}

impl Core {
    /// Gives a connection to the next worker in turn.
    pub(super) fn hand_out(&self, state: &mut State, accepted: Accepted) {
        let Some(link) = state.link.clone() else { return };
        let turn = state.out.counters.handed_out.value() as usize;
        state.out.counters.handed_out.add(1);
        let Some(mailbox) = link.in_turn(turn).filter(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox)) else {
            return self.adopt(state, accepted.socket, accepted.peer);
        };
        match state.out.io.release(accepted.socket) {
            // A refused post drops the descriptor, which closes it; the mailbox has counted it.
            Ok(descriptor) => drop(mailbox.post(Mail::Adopt(descriptor, accepted.peer))),
            Err(error) => tracing::warn!(%error, "a connection could not be handed to another worker"),
        }
    }

    /// A new connection begins with HTTP, as soon as something comes.
    pub(super) fn adopt(&self, state: &mut State, socket: Socket, peer: Option<SocketAddr>) {
        state.out.counters.accepted.add(1);
        if !admits(state, peer) {
            state.out.counters.closed.add(1);
            return state.out.io.close(socket);
        }
        let tls = match state.tls.as_ref().map(|acceptor| acceptor.session()).transpose() {
            Ok(tls) => tls.map(Box::new),
            Err(error) => {
                tracing::error!(%error, "a connection cannot be secured");
                state.census.leave(peer);
                state.out.counters.closed.add(1);
                return state.out.io.close(socket);
            }
        };
        let id = state.table.insert(Connection { tls, ..Connection::new(socket, peer) });
        if let Some(connection) = state.table.find_mut(id) {
            state.out.watch(connection, id);
        }
        state.arm(id, state.options.head_timeout);
    }

    /// The poller says that something can be done for a connection.
    pub(super) fn ready(self: &Rc<Self>, id: SocketId, event: Event) {
        if (event.writable || event.hangup) && self.attempted(id) {
            return;
        }
        if event.writable {
            let mut state = self.state.borrow_mut();
            let State { table, out, .. } = &mut *state;
            if let Some(connection) = table.find_mut(id) {
                out.flush(connection, id);
            }
        }
        if event.hangup && self.has_heard_all(id) {
            return self.lost(id, Happening::Lost);
        }
        if event.readable || event.hangup {
            self.readable(id);
        }
    }

    /// Whether the end of the peer's requests was read before, while a response is still due. A hangup is then a reset, which no receive
    /// will tell: behind a FIN each says only that this is the end. It is reported whether it is watched for or not, for ever.
    fn has_heard_all(&self, id: SocketId) -> bool {
        match self.state.borrow().table.find(id).map(|connection| &connection.stage) {
            Some(Stage::Http(Some(exchange))) => exchange.pipe().has_ended(),
            _ => false,
        }
    }

    fn readable(self: &Rc<Self>, id: SocketId) {
        let (received, dialing) = {
            let mut state = self.state.borrow_mut();
            let State { table, out, .. } = &mut *state;
            let Some(connection) = table.find_mut(id).filter(|connection| !connection.flags.lost) else { return };
            let received = transport::recv(&mut *out.io, &mut out.scratch, &connection.socket, &mut connection.tls);
            out.mark_sealed(connection, id);
            (received, matches!(connection.stage, Stage::Dialing(_)))
        };
        let mut received = match received {
            Ok(received) => received,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    self.lost(id, Happening::Lost);
                }
                return;
            }
        };
        self.counters.bytes_in.add(received.input.len() as u64);
        if dialing {
            self.dial_input(id, &received);
        } else {
            if !received.input.is_empty() {
                self.received(id, &mut received.input);
            }
            match received.then {
                Then::More => {}
                Then::End => self.received(id, &mut []),
                Then::Broken => self.broken(id),
            }
        }
        let state = &mut *self.state.borrow_mut();
        state.out.scratch.give_back(&mut *state.out.io, received.input);
    }

    /// The peer broke TLS, or never spoke it: it is told so, and that was it.
    #[cold]
    pub(super) fn broken(self: &Rc<Self>, id: SocketId) {
        self.counters.tls_errors.add(1);
        let exchange = {
            let state = &mut *self.state.borrow_mut();
            let Some(connection) = state.table.find_mut(id) else { return };
            match &mut connection.stage {
                Stage::Http(exchange) => {
                    let exchange = exchange.take();
                    state.end_http(id);
                    Some(exchange)
                }
                Stage::Accepted => {
                    state.end_http(id);
                    Some(None)
                }
                _ => {
                    state.out.flush(connection, id);
                    None
                }
            }
        };
        match exchange {
            Some(exchange) => self.let_go(exchange), // it may hold user code
            None => self.lost(id, Happening::Lost),
        }
    }

    /// Hands received bytes to the stage that the connection is in.
    pub(super) fn received(self: &Rc<Self>, id: SocketId, bytes: &mut [u8]) {
        enum To {
            Http,
            Frames { early: bool },
            Nobody,
        }
        let to = match self.state.borrow().table.find(id).map(|connection| &connection.stage) {
            Some(Stage::Accepted | Stage::Http(_)) => To::Http,
            Some(Stage::Open(early) | Stage::CloseSent(early)) => To::Frames { early: early.is_some() },
            // What is queued is still sent: a peer may end its direction right behind its Close.
            Some(Stage::Ending(_)) => return,
            Some(Stage::Lingering) => To::Nobody,
            // Those have a way in of their own.
            Some(Stage::Dialing(_) | Stage::Attempt(_)) | None => return,
        };
        match to {
            To::Http => self.http_input(id, bytes),
            _ if bytes.is_empty() => self.lost(id, Happening::EndOfStream),
            To::Frames { early } => {
                if early {
                    self.early_bytes(id);
                }
                self.frames(id, bytes);
            }
            To::Nobody => {}
        }
    }

    /// Does what another thread asked for.
    pub(super) fn mail(self: &Rc<Self>, mail: Mail) {
        match mail {
            Mail::Publish(batch) => {
                let mut state = self.state.borrow_mut();
                batch.stretches().for_each(|stretch| state.deliver_stretch(&stretch));
            }
            Mail::Send(id, kind, payload, compress) => {
                let message = Outbound { opcode: opcode(kind), payload: &payload, compress };
                let _ = self.state.borrow_mut().send(id, &message);
            }
            Mail::PublishFrom(id, topic, kind, payload, compress) => {
                let message = Outbound { opcode: opcode(kind), payload: &payload, compress };
                let _ = self.state.borrow_mut().publish_from(id, &topic, &message);
            }
            Mail::Close(id, code, reason) => self.happen(id, Happening::LocalClose, code, &reason),
            Mail::Terminate(id) => self.happen(id, Happening::LocalTerminate, 1006, ""),
            Mail::Adopt(descriptor, peer) => {
                let mut state = self.state.borrow_mut();
                match state.out.io.adopt(descriptor) {
                    Ok(socket) => self.adopt(&mut state, socket, peer),
                    Err(error) => tracing::warn!(%error, "a connection from another worker was lost"),
                }
            }
            Mail::Reload(number, make) => self.reload(number, make),
            Mail::Resolved(id, found) => self.resolved(id, found),
            Mail::Stop(_) => {}
        }
    }
}

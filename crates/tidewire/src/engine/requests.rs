//! The HTTP stage of the way in: bytes to hyper, requests to `fetch`, responses out, and the upgrade.

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tidewire_proto::extension::choose;
use tidewire_proto::handshake::server;
use tidewire_proto::state::Happening;
use tidewire_proto::{Receiver, Role};

use super::compression::Compression;
use super::connection::Stage;
use super::core::Core;
use super::executor::Ready;
use super::limits::Limit;
use super::outgoing::outbox;
use super::state::State;
use super::table::SocketId;
use crate::http::exchange::{Exchange, Progress};
use crate::http::{PeerGone, RequestBody, Responder, Response, Ticket, UpgradeError};

impl Core {
    /// Received bytes of a connection that speaks HTTP; none is the end of the peer's direction.
    pub fn http_input(self: &Rc<Self>, id: SocketId, bytes: &[u8]) {
        {
            let mut state = self.state.borrow_mut();
            let head_timeout = state.options.head_timeout;
            self.begin_http(&mut state, id);
            let Some(exchange) = exchange(&mut state, id) else { return };
            if bytes.is_empty() {
                exchange.end_input();
            } else {
                exchange.feed(bytes);
            }
            let begins = exchange.awaiting_head && !exchange.head_begun;
            exchange.head_begun = true;
            if begins {
                // From its first byte a head has so long in all, however slowly the rest comes.
                state.arm(id, head_timeout);
            }
        }
        self.poll_exchange(id);
    }

    /// The first bytes of a connection have come, or its end: HTTP's state is made.
    fn begin_http(&self, state: &mut State, id: SocketId) {
        let Some(connection) = state.table.find_mut(id) else { return };
        if matches!(connection.stage, Stage::Accepted) {
            let mut exchange = Exchange::new(&state.options, self.executor.waker(Ready::Exchange(id)));
            // The handshake and the first head have one deadline together.
            exchange.head_begun = connection.tls.is_some();
            connection.stage = Stage::Http(Some(Box::new(exchange)));
        }
    }

    /// Lets hyper work on what has changed, sends what it wrote, and hands on the request that it parked.
    pub fn poll_exchange(self: &Rc<Self>, id: SocketId) {
        let Some(mut exchange) = self.take_exchange(id) else { return };
        let progress = exchange.poll();
        let output = exchange.pipe().take_output(0);
        let request = exchange.take_request();
        let mut state = self.state.borrow_mut();
        let State { table, out, .. } = &mut *state;
        let Some(connection) = table.find_mut(id) else {
            drop(state);
            return self.let_go(exchange);
        };
        out.put_bytes(connection, id, &output);
        match progress {
            Progress::TooLarge => out.reached(Limit::HeadSize, connection.peer),
            Progress::Malformed => out.reached(Limit::Malformed, connection.peer),
            Progress::Waiting | Progress::Done => {}
        }
        if progress != Progress::Waiting && !exchange.is_active() {
            state.end_http(id);
            drop(state);
            return self.let_go(exchange);
        }
        self.put_back(&mut state, id, exchange, !output.is_empty());
        drop(state);
        if let Some((request, sequence)) = request {
            self.request(id, request, sequence);
        }
    }

    /// Takes the exchange out to be polled, with room for as much output as the connection may queue.
    fn take_exchange(&self, id: SocketId) -> Option<Box<Exchange>> {
        let mut state = self.state.borrow_mut();
        let limit = state.options.backpressure_limit;
        let connection = state.table.find_mut(id)?;
        let queued = connection.queued();
        let Stage::Http(exchange) = &mut connection.stage else { return None };
        let exchange = exchange.take()?;
        exchange.pipe().set_room(limit.saturating_sub(queued).min(super::outgoing::CORK));
        Some(exchange)
    }

    fn put_back(&self, state: &mut State, id: SocketId, mut exchange: Box<Exchange>, wrote: bool) {
        let active = exchange.is_active();
        if !active {
            exchange.idle_timeout = None; // it was for the request that is over
        }
        let (idle, head) = (exchange.patience(&state.options), state.options.head_timeout);
        // The time between requests, and within one, is bounded by progress; a head by its total.
        let progressed = active || !exchange.awaiting_head;
        let first = !active && exchange.awaiting_head && !exchange.head_begun;
        if active || wrote {
            exchange.head_begun = false;
        }
        exchange.awaiting_head = !active;
        // While hyper does not take what there is, no more is read. Nor is the end of the peer's direction: it stays readable,
        // and would be told again and again for as long as `fetch` takes.
        let blocked = exchange.pipe().unread() > 0 || exchange.pipe().has_ended();
        let Some(connection) = state.table.find_mut(id) else { return };
        connection.stage = Stage::Http(Some(exchange));
        if blocked != connection.flags.blocked {
            connection.flags.blocked = blocked;
            state.out.watch(connection, id);
        }
        if first {
            state.arm(id, head);
        } else if progressed && idle.is_zero() {
            state.wheel.disarm(id.index()); // the head came in time, and nothing else is bounded
        } else if progressed {
            state.arm(id, idle);
        }
    }

    /// Hands a request to the application.
    fn request(self: &Rc<Self>, id: SocketId, request: http::Request<hyper::body::Incoming>, sequence: u64) {
        self.counters.requests.add(1);
        let limit = self.state.borrow().options.max_request_body;
        let ticket = Ticket { worker: self.number, id, sequence };
        let mut request = request.map(|incoming| RequestBody::new(incoming, limit));
        request.extensions_mut().insert(ticket);
        #[cfg(feature = "tls")]
        if let Some(details) = self.tls_details(id) {
            request.extensions_mut().insert(details);
        }
        let responder = Responder { core: self.clone(), ticket };
        if http_body::Body::size_hint(request.body()).lower() > limit {
            self.reached(Limit::Body, id);
            let mut response = Response::new("the request body is larger than allowed\n".into());
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return responder.respond(response);
        }
        self.application().fetch(request, responder);
    }

    /// Gives hyper the response; it is written within this turn, or the next.
    pub fn respond(&self, ticket: Ticket, response: Response) {
        let refused = {
            let mut state = self.state.borrow_mut();
            match exchange(&mut state, ticket.id) {
                Some(exchange) => exchange.answer(ticket.sequence, response),
                None => Some(response),
            }
        };
        self.let_go(refused); // its body may be user code
    }

    /// A request was dropped without an answer: that is an error of the application's.
    pub fn abandon(&self, ticket: Ticket) {
        let mut response = Response::new("no response\n".into());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        self.respond(ticket, response);
    }

    /// Makes the connection of a request a WebSocket, and runs `open`.
    pub fn upgrade<B>(
        self: &Rc<Self>,
        ticket: Ticket,
        request: &http::Request<B>,
        headers: &HeaderMap,
        data: Option<Rc<dyn Any>>,
    ) -> Result<(), UpgradeError> {
        if ticket.worker != self.number {
            return Err(UpgradeError::WrongThread);
        }
        if !self.awaits_answer(ticket) {
            return Err(UpgradeError::Gone);
        }
        let offer = server::check(request.method(), request.version(), request.headers())?;
        let options = self.state.borrow().options.clone();
        let agreement = options.policy().and_then(|policy| choose(offer.extensions(), &policy));
        let mut response = Vec::with_capacity(256);
        server::write_response(&mut response, &offer, None, agreement.as_ref(), headers)?;
        let compression = options.compression(agreement.as_ref());
        let exchange = self.begin_websocket(ticket.id, &response, compression, data).ok_or(UpgradeError::Gone)?;
        let (early, rest) = exchange.into_early_bytes();
        self.let_go(rest); // it may hold user code
        self.application().open(&self.local(ticket.id));
        if self.state.borrow().stopping {
            // The request came before the stop, and is served; its socket goes the way of all others.
            self.happen(ticket.id, Happening::LocalClose, 1001, "");
        }
        self.keep_early(ticket.id, early);
        Ok(())
    }

    /// The request of a ticket, watched for its peer's leaving.
    pub fn peer_gone(&self, ticket: Ticket) -> PeerGone {
        let mut state = self.state.borrow_mut();
        exchange(&mut state, ticket.id).map_or_else(PeerGone::already, |exchange| exchange.peer_gone(ticket.sequence))
    }

    /// Gives the request of a ticket a limit of its own.
    pub fn set_idle_timeout(&self, ticket: Ticket, timeout: Duration) {
        let state = &mut *self.state.borrow_mut();
        let options = state.options.clone();
        let Some(exchange) = exchange(state, ticket.id).filter(|exchange| exchange.awaits_answer(ticket.sequence)) else {
            return;
        };
        exchange.idle_timeout = Some(timeout);
        let timeout = exchange.patience(&options);
        if timeout.is_zero() {
            state.wheel.disarm(ticket.id.index());
        } else {
            state.arm(ticket.id, timeout);
        }
    }

    fn awaits_answer(&self, ticket: Ticket) -> bool {
        let mut state = self.state.borrow_mut();
        exchange(&mut state, ticket.id).is_some_and(|exchange| exchange.awaits_answer(ticket.sequence))
    }

    /// Queues the 101 and changes the stage; gives the exchange to be taken apart.
    fn begin_websocket(
        &self,
        id: SocketId,
        response: &[u8],
        compression: Compression,
        data: Option<Rc<dyn Any>>,
    ) -> Option<Box<Exchange>> {
        let state = &mut *self.state.borrow_mut();
        let connection = state.table.find_mut(id)?;
        let Stage::Http(exchange) = &mut connection.stage else { return None };
        let exchange = exchange.take()?;
        connection.stage = Stage::Open(None);
        connection.receiver = Receiver::new(Role::Server);
        connection.compression = compression;
        connection.data = data;
        outbox(&mut connection.outbox, &mut state.out.shelf).write(|out| out.extend_from_slice(response));
        if !connection.flags.stalled {
            state.out.mark(&mut connection.flags, id);
        }
        if std::mem::take(&mut connection.flags.blocked) {
            state.out.watch(connection, id);
        }
        state.begin_open(id);
        Some(exchange)
    }

    /// Frames that came with the request wait until the callback that upgraded has returned.
    fn keep_early(&self, id: SocketId, bytes: Vec<u8>) {
        let state = &mut *self.state.borrow_mut();
        let Some(early) = state.table.find_mut(id).and_then(|connection| connection.stage.early()) else { return };
        if !bytes.is_empty() {
            *early = Some(Box::new(bytes));
            state.early.push(id);
        }
    }

    /// What hyper wrote was taken by the kernel: there may be more where it came from.
    pub fn output_taken(self: &Rc<Self>, id: SocketId) {
        let more = {
            let mut state = self.state.borrow_mut();
            // hyper may hold the rest of a body that it was given whole, long after that body is dropped.
            exchange(&mut state, id).is_some_and(|exchange| exchange.is_active() || exchange.pipe().waits())
        };
        if more {
            self.poll_exchange(id);
        }
    }

    /// Ends a connection that speaks HTTP: after the response that is under way, or at once.
    pub fn end_exchange(self: &Rc<Self>, id: SocketId, at_once: bool) {
        if at_once {
            self.state.borrow_mut().remove(id, true);
            return self.bury();
        }
        {
            let state = &mut *self.state.borrow_mut();
            if state.table.find(id).is_some_and(|connection| matches!(connection.stage, Stage::Accepted)) {
                return state.end_http(id);
            }
            if let Some(exchange) = exchange(state, id) {
                exchange.shut_down();
            }
        }
        self.executor.waker(Ready::Exchange(id)).wake();
    }
}

/// The exchange of a connection that speaks HTTP, unless it is being polled.
fn exchange(state: &mut State, id: SocketId) -> Option<&mut Exchange> {
    match &mut state.table.find_mut(id)?.stage {
        Stage::Http(exchange) => exchange.as_deref_mut(),
        _ => None,
    }
}

//! The WebSocket stage of the way in: received bytes become events, events become callbacks.

use std::rc::Rc;

use hashbrown::HashMap;
use tidewire_proto::deflate::Inflater;
use tidewire_proto::state::Happening;
use tidewire_proto::{Event, Limits, PeerError, Receiver};

use super::application::{Application, Message};
use super::compression::{Way, own_inflater};
use super::connection::Stage;
use super::core::Core;
use super::limits::Limit;
use super::local::LocalSocket;
use super::run::Run;
use super::state::State;
use super::table::SocketId;
use super::timer::Tick;

/// What the loop over a read's events needs to know before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// We have closed: only the peer's Close is still of interest.
    Closing,
    /// The application does not want more now.
    Paused,
    Gone,
}

/// What is taken out of a connection while its frames are dispatched.
struct Reception {
    receiver: Receiver,
    inflater: Inflating,
    limits: Limits,
}

/// Whose decompressor a connection's messages go through.
enum Inflating {
    No,
    Shared(Box<Inflater>),
    Own(Box<Inflater>),
}

/// Who has pinged in the second that is, and how often: most sockets never do, so none has a counter of its own.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    second: Tick,
    counts: HashMap<SocketId, u32, foldhash::fast::RandomState>,
}

impl Pings {
    /// Counts one more; how many there are now.
    fn count(&mut self, id: SocketId, now: Tick) -> u32 {
        if self.second != now {
            self.second = now;
            // A second in which everybody pinged is no reason to hold its memory.
            match self.counts.capacity() > 1024 && self.counts.len() * 8 < self.counts.capacity() {
                true => self.counts = HashMap::default(),
                false => self.counts.clear(),
            }
        }
        let count = self.counts.entry(id).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }
}

impl State {
    /// Counts a ping, and says whether it is within the limit.
    fn may_ping(&mut self, id: SocketId) -> bool {
        self.pings.count(id, self.out.deadlines.now) <= self.options.max_pings_per_second
    }
}

impl Core {
    /// Dispatches received bytes, in place. Nothing is borrowed while a handler runs: the receiver is taken out, and the
    /// event borrows the buffer, which is the caller's.
    pub fn frames(self: &Rc<Self>, id: SocketId, input: &mut [u8]) {
        let Some(Reception { mut receiver, mut inflater, mut limits }) = self.begin_frames(id) else { return };
        let socket = self.local(id);
        let mut application = self.application_of(&socket);
        let mut reloads = self.reloads.get();
        let mut takes_runs = application.takes_runs();
        let mut at = 0;
        let rest = loop {
            if at == input.len() {
                break None;
            }
            let standing = self.standing(id);
            match standing {
                Standing::Open | Standing::Closing => {}
                Standing::Paused => break Some(at),
                Standing::Gone => break None,
            }
            if self.reloads.get() != reloads {
                // A handler has reloaded: what follows in the same read is the new handlers', by the new limits.
                (reloads, limits) = (self.reloads.get(), self.state.borrow().limits);
                self.let_go(std::mem::replace(&mut application, self.application_of(&socket)));
                takes_runs = application.takes_runs();
            }
            if takes_runs && standing == Standing::Open && Receiver::looks_short(&input[at..]) {
                let (before, mut run) = (at, Run::new(self, id, &mut receiver, &limits, input, at));
                application.run(&socket, &mut run);
                match run.end() {
                    Ok(end) => at = end,
                    Err(error) => {
                        self.peer_error(id, error);
                        break None;
                    }
                }
                if at != before {
                    continue;
                }
            }
            let next = match &mut inflater {
                Inflating::No => receiver.next(&limits, input, &mut at),
                Inflating::Shared(inflater) | Inflating::Own(inflater) => receiver.next_with(&limits, inflater, input, &mut at),
            };
            match next {
                Ok(Some(Event::Close(reason))) => {
                    let (code, text) = reason.as_ref().map_or((1005, ""), |reason| (reason.code, &*reason.reason));
                    self.happen(id, Happening::PeerClose, code, text);
                    break None;
                }
                Ok(Some(event)) if standing == Standing::Open => self.dispatch(&*application, &socket, id, event),
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => {
                    self.peer_error(id, error);
                    break None;
                }
            }
        };
        self.end_frames(id, receiver, inflater, rest.map(|at| &input[at..]));
        self.let_go(application);
    }

    fn begin_frames(&self, id: SocketId) -> Option<Reception> {
        let state = &mut *self.state.borrow_mut();
        let connection = state.table.find_mut(id)?;
        if connection.is_open() {
            // Inbound traffic proves that the peer is alive: one store, the wheel is asked later.
            connection.deadline = state.out.deadlines.idle;
            connection.flags.pinged = false;
        }
        let inflater = match connection.compression.receive {
            Way::Plain => None,
            Way::Shared(_) => state.out.shared.take_inflater().map(Inflating::Shared),
            Way::Own(window_bits) => {
                let contexts = connection.contexts.get_or_insert_default();
                contexts.inflater.take().or_else(|| own_inflater(window_bits)).map(|mut inflater| {
                    inflater.lend_room(std::mem::take(&mut state.out.shared.room.inflate));
                    Inflating::Own(inflater)
                })
            }
        };
        let mut inflater = inflater.unwrap_or(Inflating::No);
        if let Inflating::Shared(inflater) | Inflating::Own(inflater) = &mut inflater {
            inflater.limit_ratio(state.options.max_inflate_ratio);
        }
        let receiver = std::mem::take(&mut connection.receiver);
        Some(Reception { receiver, inflater, limits: state.limits })
    }

    fn end_frames(&self, id: SocketId, receiver: Receiver, inflater: Inflating, rest: Option<&[u8]>) {
        let state = &mut *self.state.borrow_mut();
        let own = match inflater {
            Inflating::No => None,
            Inflating::Own(mut inflater) => {
                state.out.shared.room.inflate = inflater.take_room();
                Some(inflater)
            }
            Inflating::Shared(inflater) => {
                state.out.shared.put_inflater(inflater);
                None
            }
        };
        let Some(connection) = state.table.find_mut(id) else { return };
        connection.receiver = receiver;
        if let Some(contexts) = &mut connection.contexts {
            contexts.inflater = own;
        }
        if let (Some(rest), Some(early)) = (rest.filter(|rest| !rest.is_empty()), connection.stage.early()) {
            early.get_or_insert_default().extend_from_slice(rest);
        }
    }

    /// Whether messages of this socket are due.
    pub(super) fn is_reading(&self, id: SocketId) -> bool {
        self.standing(id) == Standing::Open
    }

    fn standing(&self, id: SocketId) -> Standing {
        match self.state.borrow().table.find(id) {
            Some(connection) => match connection.stage {
                Stage::Open(_) if connection.flags.paused => Standing::Paused,
                Stage::Open(_) => Standing::Open,
                Stage::CloseSent(_) => Standing::Closing,
                _ => Standing::Gone,
            },
            None => Standing::Gone,
        }
    }

    fn dispatch(self: &Rc<Self>, application: &dyn Application, socket: &LocalSocket, id: SocketId, event: Event<'_>) {
        match event {
            Event::Text(text) => {
                self.count_message(text.len());
                application.message(socket, Message::Text(text));
            }
            Event::Binary(bytes) => {
                self.count_message(bytes.len());
                application.message(socket, Message::Binary(bytes));
            }
            Event::Ping(data) => {
                if !self.state.borrow_mut().may_ping(id) {
                    return self.over(id, Limit::Pings, 1008, "too many pings in one second");
                }
                self.state.borrow_mut().answer_ping(id, &data);
                application.ping(socket, &data);
            }
            Event::Pong(data) => application.pong(socket, &data),
            Event::Close(_) => {}
        }
    }

    #[inline]
    fn count_message(&self, bytes: usize) {
        self.counters.messages_in.add(1);
        self.counters.message_bytes_in.add(bytes as u64);
    }

    fn peer_error(self: &Rc<Self>, id: SocketId, error: PeerError) {
        match error {
            PeerError::MessageTooBig => return self.over(id, Limit::Payload, error.code(), error.reason()),
            PeerError::InflatesTooMuch => return self.over(id, Limit::Inflation, error.code(), error.reason()),
            PeerError::TooManyFragments => return self.over(id, Limit::Fragments, error.code(), error.reason()),
            _ => {}
        }
        self.counters.peer_errors.add(1);
        tracing::debug!(%error, "a peer broke the protocol");
        self.happen(id, Happening::PeerError, error.code(), error.reason());
    }

    /// The peer went over a limit of what it may send: that ends it as an error does.
    #[cold]
    fn over(self: &Rc<Self>, id: SocketId, limit: Limit, code: u16, reason: &str) {
        self.counters.peer_errors.add(1);
        self.reached(limit, id);
        self.happen(id, Happening::PeerError, code, reason);
    }

    /// Dispatches what came before `open` had returned, or while the application had paused the socket.
    pub fn early_bytes(self: &Rc<Self>, id: SocketId) {
        let early = match self.state.borrow_mut().table.find_mut(id) {
            Some(connection) if !connection.flags.paused => connection.stage.early().and_then(Option::take),
            _ => None,
        };
        if let Some(mut early) = early {
            self.frames(id, &mut early);
        }
    }
}

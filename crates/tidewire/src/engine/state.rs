//! The state of a worker: connections, topics, timers, and what waits to be sent. It is borrowed for one operation at a time,
//! and never while user code runs: what user code must be told is returned, or noted in a list.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_proto::close::encode_close;
use tidewire_proto::frame::encode_frame;
use tidewire_proto::state::{CloseFrame, Happening, Phase, Report, Transport, step};
use tidewire_proto::{Limits, Opcode};
use tidewire_sys as sys;

use super::application::SendStatus;
use super::census::Census;
use super::compression::Compress;
use super::connection::{Connection, Stage};
use super::deadlines::Deadlines;
use super::frames::Pings;
use super::limits::Limit;
use super::options::{Options, ticks};
use super::outgoing::{Outgoing, outbox};
use super::packing::Outbound;
use super::table::{SocketId, Table};
use super::timer::{Tick, Wheel};
use super::transport::Acceptor;
use crate::backplane::{Link, Pending};
use crate::topics::counts::Counts;
use crate::topics::{MemberId, Topics};

pub(crate) struct State {
    pub table: Table<Connection>,
    pub out: Outgoing,
    pub topics: Topics<SocketId>,
    /// Who pinged in this second, and how often.
    pub pings: Pings,
    /// All connections that were accepted, of all workers.
    pub census: Arc<Census>,
    pub wheel: Wheel,
    pub options: Rc<Options>,
    pub limits: Limits,
    /// The time of this turn.
    pub now: Duration,
    /// Grows whenever a socket is closed or paused, or options change: what was received may not be due any more.
    pub changes: u64,
    /// Whose kept input is due.
    pub early: Vec<SocketId>,
    /// Connections that are over. Dropping one may run user code, so the worker does it when nothing is borrowed.
    pub graveyard: Vec<Connection>,
    /// Open WebSockets, as the application counts them.
    pub open: usize,
    /// How many entries of the table are attempts to connect.
    pub attempts: usize,
    /// When to begin the next attempt of whom.
    pub staggers: Vec<(Duration, SocketId)>,
    pub link: Option<Arc<Link>>,
    /// What secures new connections; `None`: they are in the clear.
    pub tls: Option<Arc<Acceptor>>,
    pub pending: Pending,
    pub worker: usize,
    /// Accepting stops and connections end.
    pub stopping: bool,
}

impl State {
    pub fn new(mut out: Outgoing, options: Rc<Options>, counts: Arc<Counts>, census: Arc<Census>, worker: usize) -> Self {
        let now = out.io.now();
        out.deadlines = Deadlines::at(now, &options);
        out.compression_threshold = options.compression_threshold;
        out.shared.configure(&options);
        Self {
            table: Table::default(),
            out,
            topics: Topics::new(counts, worker),
            pings: Pings::default(),
            census,
            wheel: Wheel::new(now.as_secs() as Tick),
            limits: limits(&options),
            options,
            now,
            changes: 0,
            early: Vec::new(),
            graveyard: Vec::new(),
            open: 0,
            attempts: 0,
            staggers: Vec::new(),
            link: None,
            tls: None,
            pending: Pending::default(),
            worker,
            stopping: false,
        }
    }

    pub fn reload(&mut self, options: Rc<Options>) {
        self.changes += 1;
        self.limits = limits(&options);
        self.out.compression_threshold = options.compression_threshold;
        self.out.shared.configure(&options);
        let before = std::mem::replace(&mut self.options, options);
        self.out.deadlines = Deadlines::at(self.now, &self.options);
        if (before.idle_timeout, before.send_pings) != (self.options.idle_timeout, self.options.send_pings) {
            self.rearm_idle();
        }
    }

    /// How many connections there are, and how many of them are open WebSockets.
    pub fn population(&self) -> (usize, usize) {
        (self.table.len() - self.attempts, self.open)
    }

    pub fn tick(&self) -> Tick {
        self.out.deadlines.now
    }

    /// A turn begins: asks for the time.
    pub fn begin_turn(&mut self) {
        self.now = self.out.io.now();
        self.out.deadlines = Deadlines::at(self.now, &self.options);
    }

    /// Sets the connection's deadline, `after` from now.
    pub fn arm(&mut self, id: SocketId, after: Duration) {
        // One tick more, because this one has begun.
        let deadline = self.tick().saturating_add(ticks(after)).saturating_add(1);
        if let Some(connection) = self.table.find_mut(id) {
            connection.deadline = deadline;
            self.wheel.arm(id.index(), deadline);
        }
    }

    /// Sends a message to one socket: the contract's `send`.
    #[inline]
    pub fn send(&mut self, id: SocketId, message: &Outbound<'_>) -> SendStatus {
        let limit = self.options.backpressure_limit;
        let Some(connection) = self.table.find_mut(id).filter(|connection| connection.is_sending()) else {
            self.out.counters.dropped_closed.add(1);
            return SendStatus::Dropped;
        };
        let status = self.out.send(connection, id, message, limit);
        if status.is_dropped() {
            self.dropped(id);
        }
        status
    }

    /// Sends a ping or a pong of the application's.
    pub fn control(&mut self, id: SocketId, opcode: Opcode, payload: &[u8]) -> SendStatus {
        debug_assert!(payload.len() <= 125, "the caller has refused longer ones");
        self.send(id, &Outbound { opcode, payload, compress: Compress::No })
    }

    /// A message was dropped: `close_on_backpressure_limit` cuts the peer off.
    #[cold]
    pub(super) fn dropped(&mut self, id: SocketId) {
        let close = self.options.close_on_backpressure_limit;
        if let Some(connection) = self.table.find_mut(id).filter(|connection| close && connection.is_sending()) {
            self.out.reached(Limit::SlowReader, connection.peer);
            self.out.lose(connection, id);
        }
    }

    /// Answers a ping. Behind a stall only the latest is answered (RFC 6455, section 5.5.3), so a flood stays bounded.
    pub fn answer_ping(&mut self, id: SocketId, payload: &[u8]) {
        let Some(connection) = self.table.find_mut(id).filter(|connection| connection.is_sending()) else { return };
        if connection.flags.stalled {
            outbox(&mut connection.outbox, &mut self.out.shelf).pong = Some(payload.into());
        } else {
            self.out.put_frame(connection, id, Opcode::Pong, payload);
        }
    }

    /// A WebSocket has opened, in either role.
    pub fn begin_open(&mut self, id: SocketId) {
        self.open += 1;
        self.out.counters.opened.add(1);
        self.wheel.disarm(id.index());
        if !self.options.idle_timeout.is_zero() {
            self.arm_idle(id);
        }
    }

    /// Applies the closing table to what happened; says what the close handler must be told. `code` and `reason` go into the
    /// Close frame, if one is due: ours, or the error's, or the peer's own.
    pub fn happen(&mut self, id: SocketId, happening: Happening, code: u16, reason: &str) -> Report {
        let Some(connection) = self.table.find_mut(id) else { return Report::Nothing };
        let Some(phase) = connection.phase() else { return Report::Nothing };
        let step = match step(connection.role(), phase, happening) {
            Ok(step) => step,
            Err(illegal) => {
                debug_assert!(false, "{illegal}");
                tracing::error!(%illegal, "a bug in the engine; the connection is cut off");
                self.remove(id, true);
                return Report::Lost;
            }
        };
        self.put_close(id, step.close, code, reason);
        if phase == Phase::Open && step.next != Phase::Open {
            self.open -= 1;
            self.leave(id);
        }
        if step.report != Report::Nothing {
            self.out.counters.ended.add(1);
        }
        self.end(id, step.next, step.transport);
        step.report
    }

    fn put_close(&mut self, id: SocketId, close: CloseFrame, code: u16, reason: &str) {
        let Some(connection) = self.table.find_mut(id) else { return };
        let code = match close {
            CloseFrame::No => return,
            _ if code == 1005 => None,
            _ => Some(code),
        };
        let client = connection.flags.client;
        let outbox = outbox(&mut connection.outbox, &mut self.out.shelf);
        if let Some(pong) = outbox.pong.take() {
            // It waited behind a stall. Nothing may follow a Close (RFC 6455, section 5.5.1), so it goes before.
            let mask = client.then(|| self.out.masks.next());
            outbox.write(|out| encode_frame(out, Opcode::Pong, &pong, mask));
        }
        let mask = client.then(|| self.out.masks.next());
        let written = outbox.write(|out| encode_close(out, code, reason, mask));
        debug_assert!(written.is_ok(), "codes and reasons are checked where they enter: {written:?}");
    }

    fn leave(&mut self, id: SocketId) {
        if let Some(connection) = self.table.find_mut(id) {
            self.topics.leave(&mut connection.member);
        }
    }

    /// Brings a connection to a phase and its transport to what follows from it.
    fn end(&mut self, id: SocketId, next: Phase, transport: Transport) {
        self.changes += 1;
        let Some(connection) = self.table.find_mut(id) else { return };
        match transport {
            Transport::Keep => {
                if next == Phase::CloseSent && connection.is_open() {
                    // The peer's Close, or a part of a frame, may be in what waits.
                    let early = connection.stage.early().and_then(Option::take);
                    if early.is_some() {
                        self.early.push(id);
                    }
                    connection.stage = Stage::CloseSent(early);
                    connection.flags.paused = false;
                    self.finish_soon(id);
                }
            }
            Transport::Finish | Transport::AwaitPeer => {
                connection.stage = Stage::Ending(transport);
                self.finish_soon(id);
            }
            Transport::Release => {
                if connection.tls.is_some() {
                    // Whom to tell that nothing more comes may still be there.
                    connection.stage = Stage::Ending(Transport::Finish);
                }
                self.out.flush(connection, id);
                self.remove(id, false);
            }
            Transport::Abort => self.remove(id, true),
        }
    }

    /// Ends an HTTP connection once what is queued is sent.
    pub fn end_http(&mut self, id: SocketId) {
        if let Some(connection) = self.table.find_mut(id) {
            connection.stage = Stage::Ending(Transport::Finish);
            self.finish_soon(id);
        }
    }

    /// Has the rest sent at the end of the turn, within the closing deadline.
    fn finish_soon(&mut self, id: SocketId) {
        let Some(connection) = self.table.find_mut(id) else { return };
        self.out.watch(connection, id);
        if !connection.flags.stalled {
            self.out.mark(&mut connection.flags, id);
        }
        if let Some(outbox) = &mut connection.outbox {
            outbox.until.get_or_insert(self.out.deadlines.drain);
        }
        self.arm(id, self.options.close_timeout);
    }

    /// Everything is sent on a connection that ends: end our direction, and wait for the peer to end its own.
    pub fn linger(&mut self, id: SocketId) {
        let Some(connection) = self.table.find_mut(id) else { return };
        let Stage::Ending(transport) = connection.stage else { return };
        if transport == Transport::Finish {
            self.out.io.shutdown(&connection.socket);
        }
        connection.stage = Stage::Lingering;
        self.out.watch(connection, id);
    }

    /// Takes a connection out and closes its socket, or resets it.
    pub fn remove(&mut self, id: SocketId, abort: bool) {
        self.changes += 1;
        self.leave(id);
        let Some(mut connection) = self.table.remove(id) else { return };
        if let Some(mut outbox) = connection.outbox.take() {
            outbox.clear(&mut self.out.log);
            self.out.shelf.put(outbox);
        }
        self.wheel.disarm(id.index());
        if !connection.flags.client {
            self.census.leave(connection.peer.address());
        }
        let socket = std::mem::replace(&mut connection.socket, sys::Socket::from_number(Connection::NO_SOCKET));
        if socket.number() == Connection::NO_SOCKET {
            // It never got one.
        } else if abort {
            self.out.io.abort(socket);
        } else {
            self.out.io.close(socket);
        }
        self.out.counters.closed.add(1);
        self.graveyard.push(connection);
    }

    /// Gives the kernel everything that was queued in this turn.
    pub fn flush_dirty(&mut self) {
        self.flush_dirty_while(|| true);
    }

    /// The same as long as it may go on, which is asked before each send but the first. Whether it has come to the end.
    pub fn flush_dirty_while(&mut self, may_go_on: impl Fn() -> bool) -> bool {
        // First of all: what other workers must do, they do beside us.
        if let Some(link) = &self.link {
            self.pending.post(link);
        }
        let mut dirty = std::mem::take(&mut self.out.dirty);
        if dirty.len() > 1 && self.out.io.gathers_sends() {
            self.out.flush_gathered(&mut self.table, &dirty);
            dirty.retain(|id| self.table.find(*id).is_some_and(|connection| connection.flags.dirty));
        }
        let mut flushed = 0;
        for id in &dirty {
            if flushed > 0 && !may_go_on() {
                break;
            }
            flushed += 1;
            if let Some(connection) = self.table.find_mut(*id) {
                connection.flags.dirty = false;
                if !connection.flags.stalled {
                    self.out.flush(connection, *id);
                }
            }
        }
        dirty.drain(..flushed);
        let ended = dirty.is_empty();
        // What was marked meanwhile comes behind what is left; and the list keeps its memory.
        dirty.append(&mut self.out.dirty);
        self.out.dirty = dirty;
        ended
    }

    /// The application's data of a socket.
    pub fn data(&self, id: SocketId) -> Option<Rc<dyn Any>> {
        self.table.find(id)?.data.clone()
    }

    /// Subscribes an open socket.
    pub fn subscribe(&mut self, id: SocketId, topic: &str) -> Subscription {
        let Some(connection) = self.table.find_mut(id).filter(|connection| connection.is_open()) else {
            return Subscription::Closed;
        };
        let fits = topic.len() <= self.options.max_topic_length;
        if fits && self.topics.subscribe(&mut connection.member, id, topic, self.options.max_subscriptions).is_ok() {
            return Subscription::Done;
        }
        let peer = connection.peer;
        self.out.reached(Limit::Subscriptions, peer);
        Subscription::Refused
    }

    pub fn unsubscribe(&mut self, id: SocketId, topic: &str) -> bool {
        match self.table.find_mut(id) {
            Some(connection) => self.topics.unsubscribe(&mut connection.member, topic),
            None => false,
        }
    }

    pub fn member(&self, id: SocketId) -> MemberId {
        self.table.find(id).map_or(MemberId::NONE, |connection| connection.member)
    }
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    Done,
    Closed,
    /// Over a limit: of topics, or of a name's length.
    Refused,
}

fn limits(options: &Options) -> Limits {
    Limits { max_message: options.max_payload_length, max_fragments: options.max_fragments }
}

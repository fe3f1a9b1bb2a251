//! What it means that a connection's timer came due, by the stage that it is in.

use std::rc::Rc;

use std::time::Duration;

use tidewire_proto::Opcode;
use tidewire_proto::state::Happening;

use super::connection::{Connection, Stage};
use super::core::Core;
use super::limits::Limit;
use super::options::{Options, ticks};
use super::state::State;
use super::table::SocketId;
use super::timer::Tick;

/// What a connection's deadline becomes when something moves in this turn.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Deadlines {
    pub now: Tick,
    pub idle: Tick,
    pub http_idle: Tick,
    pub close: Tick,
    pub drain: Tick,
}

impl Deadlines {
    /// Those of a turn that begins at `now`.
    pub fn at(now: Duration, options: &Options) -> Self {
        let now = now.as_secs() as Tick;
        // One tick more, because this one has begun.
        let after = |duration| now.saturating_add(ticks(duration)).saturating_add(1);
        Self {
            now,
            idle: after(options.idle_timeout),
            http_idle: after(options.http_idle_timeout),
            close: after(options.close_timeout),
            drain: after(options.drain_timeout),
        }
    }
}

/// Which limit a connection has reached whose deadline is over; `None` for an open socket, which may have been heard since.
fn overdue(connection: &Connection) -> Option<Limit> {
    match &connection.stage {
        Stage::Open(_) => None,
        Stage::Dialing(_) | Stage::Attempt(_) => Some(Limit::Connect),
        Stage::Accepted => Some(Limit::Head),
        Stage::Http(Some(exchange)) if exchange.awaits_head() => Some(Limit::Head),
        Stage::Http(_) => Some(Limit::HttpIdle),
        Stage::CloseSent(_) | Stage::Ending(_) | Stage::Lingering => Some(Limit::Unfinished),
    }
}

impl Core {
    /// The connection at a place of the table has a timer that came due.
    pub(super) fn timer(self: &Rc<Self>, index: u32) {
        let (id, overdue) = {
            let state = &mut *self.state.borrow_mut();
            let tick = state.tick();
            let Some(id) = state.table.id_at(index) else { return };
            let Some(connection) = state.table.find_mut(id) else { return };
            if !connection.is_open() && connection.deadline > tick {
                return state.wheel.arm(index, connection.deadline);
            }
            let overdue = overdue(connection);
            if let Some(limit) = overdue {
                state.out.reached(limit, connection.peer);
            }
            (id, overdue)
        };
        match overdue {
            None => self.idle_timer(id),
            Some(_) => self.lost(id, Happening::Deadline),
        }
    }
}

/// The reason that `close` is given for the end of a silent peer: Bun's.
const TIMED_OUT: &str = "WebSocket timed out from inactivity";

/// How long before its idle timeout a silent peer is pinged, in ticks.
fn ping_lead(idle: u32) -> u32 {
    (idle / 2).clamp(1, 8)
}

impl State {
    /// Arms the timer of an open socket: for the ping, if one is due before the end, else for the end.
    pub fn arm_idle(&mut self, id: SocketId) {
        let deadline = self.out.deadlines.idle;
        let lead = if self.options.send_pings { ping_lead(ticks(self.options.idle_timeout)) } else { 0 };
        if let Some(connection) = self.table.find_mut(id) {
            connection.deadline = deadline;
            self.wheel.arm(id.index(), deadline - lead);
        }
    }
}

impl State {
    /// The idle timeout has changed: from now on, the new one counts for the sockets that are open.
    pub fn rearm_idle(&mut self) {
        let ids: Vec<_> = self.table.ids().collect();
        for id in ids {
            let Some(connection) = self.table.find_mut(id).filter(|connection| connection.is_open()) else { continue };
            connection.flags.pinged = false;
            if self.options.idle_timeout.is_zero() {
                self.wheel.disarm(id.index());
            } else {
                self.arm_idle(id);
            }
        }
    }
}

impl Core {
    /// An open socket's timer: it has been heard since, or it is pinged, or it has been silent for too long.
    fn idle_timer(self: &Rc<Self>, id: SocketId) {
        let silent = {
            let state = &mut *self.state.borrow_mut();
            let idle = ticks(state.options.idle_timeout);
            let tick = state.tick();
            let Some(connection) = state.table.find_mut(id).filter(|_| idle > 0) else { return };
            let deadline = connection.deadline;
            let lead = if state.options.send_pings && !connection.flags.pinged { ping_lead(idle) } else { 0 };
            if deadline > tick && deadline - lead > tick {
                return state.wheel.arm(id.index(), deadline - lead);
            }
            if deadline > tick {
                connection.flags.pinged = true;
                if !connection.flags.stalled {
                    state.out.put_frame(connection, id, Opcode::Ping, b"");
                    state.out.counters.pings_sent.add(1);
                }
                return state.wheel.arm(id.index(), deadline);
            }
            state.out.reached(Limit::Idle, connection.peer);
            // Who has taken everything may be there and only say nothing: it is let go behind what it was sent, as by Bun.
            Some(if connection.flags.stalled { Happening::CutOff } else { Happening::LocalTerminate })
        };
        if let Some(happening) = silent {
            self.happen(id, happening, 1006, TIMED_OUT);
        }
    }
}

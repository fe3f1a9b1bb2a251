//! What JavaScript sends to the socket whose run it handles: short messages lie in the slab until JavaScript calls anything that reaches
//! a socket, or the run ends. So most of them cost no call of their own.

use std::cell::Cell;
use std::rc::Rc;

use tidewire::Kind;
use tidewire::engine::LocalSocket;

use crate::calls::Data;
use crate::seats::Seats;
use crate::slab::Slab;

pub struct Replies {
    pub slab: Rc<Slab>,
    seats: Rc<Seats>,
    /// The seat of the socket whose run is handled, while replies may lie there.
    seat: Cell<Option<u32>>,
}

impl Replies {
    pub fn new(slab: Rc<Slab>, seats: Rc<Seats>) -> Self {
        Self { slab, seats, seat: Cell::default() }
    }

    /// A run of this socket's begins: JavaScript may write as many replies as are certain to be sent.
    pub fn begin(&self, seat: u32, socket: &LocalSocket) {
        self.slab.set_room(socket.room());
        self.seat.set(Some(seat));
    }

    /// Sends what lies there, and has JavaScript call for what follows: what is certain may have changed.
    #[inline]
    pub fn settle(&self) {
        if let Some(seat) = self.seat.take() {
            self.send(seat);
        }
    }

    fn send(&self, seat: u32) {
        self.slab.set_room(0);
        self.seats.with(seat, |socket| {
            self.slab.take_replies(|reply| {
                let kind = if reply.binary { Kind::Binary } else { Kind::Text };
                socket.send(Data(kind, reply.bytes));
            });
        });
    }
}

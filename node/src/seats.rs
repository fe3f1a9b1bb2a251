//! The sockets that JavaScript holds, by small numbers: it finds its object by one, and we find our socket by the same.

use std::cell::RefCell;
use std::rc::Rc;

use tidewire::engine::LocalSocket;

/// What an upgrade attaches to its socket: the number of its seat.
pub struct Seat(u32);

impl Seat {
    /// A number that no seat has. JavaScript writes -1 and less over the numbers of sockets that have ended, which is this and
    /// what is just below it.
    pub const NOBODY: u32 = u32::MAX;

    pub fn number(&self) -> u32 {
        self.0
    }
}

/// All seats of one environment.
#[derive(Default)]
pub struct Seats(RefCell<Rows>);

#[derive(Default)]
struct Rows {
    sockets: Vec<Option<LocalSocket>>,
    free: Vec<u32>,
}

impl Seats {
    /// Keeps a seat for a socket that is about to open.
    pub fn reserve(&self) -> Rc<Seat> {
        let rows = &mut *self.0.borrow_mut();
        let number = rows.free.pop().unwrap_or_else(|| {
            rows.sockets.push(None);
            rows.sockets.len() as u32 - 1
        });
        Rc::new(Seat(number))
    }

    /// The socket has opened.
    pub fn take(&self, number: u32, socket: &LocalSocket) {
        if let Some(place) = self.0.borrow_mut().sockets.get_mut(number as usize) {
            *place = Some(socket.clone());
        }
    }

    /// The socket has ended, or did not open: the number is free for another.
    pub fn leave(&self, number: u32) {
        let socket = {
            let rows = &mut *self.0.borrow_mut();
            let Some(place) = rows.sockets.get_mut(number as usize) else { return };
            rows.free.push(number);
            place.take()
        };
        drop(socket); // it may be the last to hold its worker
    }

    /// Calls `with` with the socket of a seat; `with` must not call JavaScript.
    pub fn with<R>(&self, number: u32, with: impl FnOnce(&LocalSocket) -> R) -> Option<R> {
        self.0.borrow().sockets.get(number as usize)?.as_ref().map(with)
    }

    /// The socket of a seat, for what may call JavaScript.
    pub fn socket(&self, number: u32) -> Option<LocalSocket> {
        self.with(number, LocalSocket::clone)
    }
}

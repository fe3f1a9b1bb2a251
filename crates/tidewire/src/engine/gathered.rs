//! A flush of many connections in few system calls, where the [`Io`](tidewire_sys::Io) has such a thing.

use std::io::IoSlice;

use tidewire_sys::io::Sending;

use super::connection::Connection;
use super::outbox::MAX_SLICES;
use super::outgoing::Outgoing;
use super::table::{SocketId, Table};

/// The most connections that are flushed together.
const MOST: usize = 128;

impl Outgoing {
    /// Gives the kernel what these connections have queued. Who needs more than a send (TLS, a pong that waits behind the rest) stays
    /// dirty, for [`Outgoing::flush`].
    pub fn flush_gathered(&mut self, table: &mut Table<Connection>, mut ids: &[SocketId]) {
        let mut offers = Vec::with_capacity(ids.len().min(MOST));
        while !ids.is_empty() {
            let count = self.offer(table, ids, &mut offers);
            ids = &ids[count..];
            for Offer { id, bytes, answer } in offers.drain(..) {
                let Some(connection) = table.find_mut(id) else { continue };
                connection.flags.dirty = false;
                if self.sent(connection, id, bytes, answer) {
                    self.flush(connection, id);
                }
            }
        }
    }

    /// Sends once for as many as fit into a batch, and says how many ids that has dealt with.
    fn offer(&mut self, table: &Table<Connection>, ids: &[SocketId], offers: &mut Vec<Offer>) -> usize {
        let mut slices = [IoSlice::new(&[]); 2 * MOST];
        let mut rest = &mut slices[..];
        let mut sends = Vec::with_capacity(ids.len().min(MOST));
        let mut count = 0;
        for id in ids.iter().take(MOST) {
            if rest.len() < MAX_SLICES {
                break;
            }
            count += 1;
            let Some(connection) = table.find(*id).filter(|connection| connection.needs_only_a_send()) else { continue };
            let Some(outbox) = connection.outbox.as_deref() else { continue };
            let pieces = outbox.slices(&self.log, rest);
            let (mine, others) = std::mem::take(&mut rest).split_at_mut(pieces);
            rest = others;
            offers.push(Offer { id: *id, bytes: mine.iter().map(|slice| slice.len()).sum(), answer: Ok(0) });
            sends.push(Sending::new(&connection.socket, mine));
        }
        self.io.send_each(&mut sends);
        for (offer, sending) in offers.iter_mut().zip(sends) {
            offer.answer = sending.sent;
        }
        count
    }
}

/// What a connection had to send, and what the kernel said to it.
struct Offer {
    id: SocketId,
    bytes: usize,
    answer: std::io::Result<usize>,
}

impl Connection {
    /// Whether its flush begins with a send of what its outbox holds, as it is.
    fn needs_only_a_send(&self) -> bool {
        let free = self.tls.is_none() && !self.flags.stalled && !self.flags.lost;
        free && self.outbox.as_ref().is_some_and(|outbox| outbox.queued() > 0)
    }
}

//! The test's side of a simulated connection: raw bytes.

use super::Network;
use super::kernel::ListenerId;
use super::tcp::{Holder, Stream, StreamId};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tidewire_sys::{Endpoint, ListenOptions};

/// A raw connection of the test to the program; made by [`Network::connect`], or by a [`PeerListener`].
///
/// What it writes waits in its own memory, without limit, until the buffers have room. What it does not [read](Self::read)
/// stays in its receive buffer; a peer that stops reading is one that the test does not read. Dropping it closes it as
/// `close(2)` does: with a FIN, or with a reset when something was left unread.
#[derive(Debug)]
pub struct Peer {
    network: Network,
    stream: StreamId,
}

impl Peer {
    pub(super) fn dial(network: &Network, from: Option<SocketAddr>, endpoint: &Endpoint) -> Self {
        let stream = network.kernel.borrow_mut().dial(Holder::Peer, from, endpoint);
        Self { network: network.clone(), stream }
    }

    /// Sends bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.network.kernel.borrow_mut().tcp.send_unbounded(self.stream, bytes);
    }

    /// Everything that has arrived since the last call.
    pub fn read(&mut self) -> Vec<u8> {
        self.read_at_most(usize::MAX)
    }

    /// At most `limit` bytes of what has arrived.
    pub fn read_at_most(&mut self, limit: usize) -> Vec<u8> {
        let mut kernel = self.network.kernel.borrow_mut();
        let mut all = Vec::new();
        loop {
            let available = kernel.tcp.readable_bytes(self.stream).min(limit - all.len());
            if available == 0 {
                return all;
            }
            let start = all.len();
            all.resize(start + available, 0);
            // Only an empty stream fails to be read, and this one is not empty.
            let count = kernel.tcp.recv(self.stream, &mut all[start..]).unwrap_or(0);
            all.truncate(start + count);
        }
    }

    /// Ends the outgoing direction behind everything that was written.
    pub fn shutdown(&mut self) {
        self.network.kernel.borrow_mut().tcp.shutdown(self.stream);
    }

    /// Resets the connection: what has not arrived yet is lost.
    pub fn reset(self) {
        self.network.kernel.borrow_mut().tcp.abort(self.stream);
    }

    /// Closes the connection, as dropping does.
    pub fn close(self) {}

    /// Holds up everything in both directions for a time.
    pub fn stall(&mut self, time: Duration) {
        self.network.kernel.borrow_mut().tcp.stall(self.stream, time);
    }

    /// Whether the connection attempt is still under way.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.look(Stream::is_connecting)
    }

    /// Whether the connection was refused or reset. What arrived before can still be read.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.look(Stream::is_dead)
    }

    /// Whether the program has ended its direction and everything before that was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.look(Stream::is_at_end)
    }

    /// How many written bytes have not arrived at the program's socket.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.look(Stream::under_way)
    }

    /// How many bytes have arrived and were not read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.network.kernel.borrow().tcp.readable_bytes(self.stream)
    }

    /// The address that the program sees; a unix socket has none.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.look(|stream| stream.address)
    }

    /// The network that it lives on.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    fn look<T>(&self, what: impl FnOnce(&Stream) -> T) -> T {
        let kernel = self.network.kernel.borrow();
        what(kernel.tcp.stream(self.stream).expect("a peer's stream lives as long as the peer"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.network.kernel.borrow_mut().tcp.close(self.stream);
    }
}

/// A listener of the test, for programs that connect; made by [`Network::listen`].
#[derive(Debug)]
pub struct PeerListener {
    network: Network,
    listener: ListenerId,
    local: Endpoint,
}

impl PeerListener {
    pub(super) fn open(network: &Network, endpoint: &Endpoint) -> io::Result<Self> {
        let (listener, _, local) = network.kernel.borrow_mut().listen(None, endpoint, &ListenOptions::default())?;
        Ok(Self { network: network.clone(), listener, local })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local(&self) -> &Endpoint {
        &self.local
    }

    /// The next connection, if one has arrived.
    ///
    /// # Errors
    /// `WouldBlock` when none has.
    pub fn accept(&mut self) -> io::Result<Peer> {
        let mut kernel = self.network.kernel.borrow_mut();
        let stream = kernel.accept(self.listener).ok_or(ErrorKind::WouldBlock)?;
        kernel.tcp.set_holder(stream, Holder::Peer);
        Ok(Peer { network: self.network.clone(), stream })
    }
}

impl Drop for PeerListener {
    fn drop(&mut self) {
        self.network.kernel.borrow_mut().close_listener(self.listener);
    }
}

//! The transport: between a connection's bytes and the kernel's. Plain for now; TLS takes its place here. It knows no frames.

use std::io::{self, IoSlice};

use tidewire_sys::{Buffer, Io};

use super::connection::Connection;

/// Sends what the kernel takes, in order.
#[inline]
pub(crate) fn send(io: &mut dyn Io, connection: &Connection, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
    io.send(&connection.socket, bytes)
}

/// Receives once; an empty buffer is the end of the stream.
#[inline]
pub(crate) fn recv(io: &mut dyn Io, connection: &Connection) -> io::Result<Buffer> {
    io.recv(&connection.socket)
}

//! A connection's bytes: in the clear, or through TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Connections from one source address, well below the number of ports that the kernel picks from.
const PER_ADDRESS: usize = 20_000;

/// How all connections of a load are secured, and whom they expect.
#[derive(Clone)]
pub(crate) struct Security {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// One connection, which never blocks.
pub(crate) enum Stream {
    Clear(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Begins to connect: the connection with a number, from a source address that has ports left.
    pub(crate) fn connect(server: SocketAddr, number: usize, security: Option<&Security>) -> io::Result<Self> {
        let socket = begin(source_address(number), server)?;
        socket.set_nodelay(true)?;
        // On close a reset: thousands of ports in TIME_WAIT would stand in the way of the next run.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        let Some(Security { config, name }) = security else { return Ok(Self::Clear(socket)) };
        let connection = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
        Ok(Self::Secure(Box::new(StreamOwned::new(connection, socket))))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Secure(stream) => &stream.sock,
        }
    }

    /// Whether records wait for the kernel, which nothing but [`Write::flush`] sends.
    #[inline]
    pub(crate) fn is_held_up(&self) -> bool {
        match self {
            Self::Clear(_) => false,
            Self::Secure(stream) => stream.conn.wants_write(),
        }
    }

    /// Whether what must come next is the server's part of a handshake of TLS.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Clear(_) => false,
            Self::Secure(stream) => stream.conn.is_handshaking() && !stream.conn.wants_write(),
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.write(bytes),
            Self::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(_) => Ok(()),
            Self::Secure(stream) => match stream.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                result => result,
            },
        }
    }
}

/// The source address of a connection: another one of 127.0.0.0/8 for every [`PER_ADDRESS`].
fn source_address(number: usize) -> Ipv4Addr {
    let host = u32::from(Ipv4Addr::LOCALHOST).saturating_add(u32::try_from(number / PER_ADDRESS).unwrap_or(u32::MAX));
    Ipv4Addr::from(host)
}

/// A socket on its way to the server; only a loopback has more than one source address to offer.
fn begin(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if matches!(server.ip(), IpAddr::V4(address) if address.is_loopback()) && source != Ipv4Addr::LOCALHOST {
        rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
    }
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_are_spread_over_addresses() {
        assert_eq!(source_address(0), Ipv4Addr::new(127, 0, 0, 1));
        assert_eq!(source_address(PER_ADDRESS - 1), Ipv4Addr::new(127, 0, 0, 1));
        assert_eq!(source_address(PER_ADDRESS), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source_address(300 * PER_ADDRESS), Ipv4Addr::new(127, 0, 1, 45));
    }
}

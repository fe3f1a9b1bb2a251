//! Opening connections in waves, small enough for any server's queue.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Target;
use super::fleet::{Fleet, Link, lost};
use super::stream::Stream;
use crate::handshake;
use crate::poller::EventFlags;
use crate::wire;

/// Handshakes under way at a time. The shortest queue of the servers that are measured holds 511 connections.
const WAVE: usize = 128;
/// Connections from one source address, well below the number of ports that the kernel picks from.
const PER_ADDRESS: usize = 20_000;

/// What a server says before it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Nothing.
    None,
    /// Nothing; then a message of ours is sent on one connection and comes back, to see which frame that is.
    Sample,
    /// Messages to everybody about who comes: they are read until the first message of ours comes back on every connection.
    Announcements,
}

/// Where a connection is on its way to being open.
enum Stage {
    /// The response has not come whole.
    Handshake(Vec<u8>),
    /// Open; with the beginning of a frame.
    Open(Vec<u8>),
}

/// Adds connections to a fleet, open and silent.
pub fn open(fleet: &mut Fleet, target: &Target, count: usize, early: Early) -> io::Result<()> {
    let request = handshake::request(&target.url.address.to_string(), &target.url.path, target.deflate);
    let first = fleet.links.len();
    let mut opening = Opening { fleet, first, stages: Vec::with_capacity(count), open: 0, echoed: 0, early };
    while opening.stages.len() < count {
        let wave = WAVE.min(count - opening.stages.len());
        for _ in 0..wave {
            opening.connect(target.url.address, &request)?;
        }
        while opening.open < opening.stages.len() {
            opening.turn()?;
        }
    }
    if early == Early::Sample {
        opening.fleet.send(first, 1)?;
        while opening.echoed == 0 {
            opening.turn()?;
        }
    }
    if early == Early::Announcements {
        // Order is kept on a connection: behind the first message of ours there is no announcement left.
        opening.fleet.send(first, 1)?;
        while opening.echoed < count {
            opening.turn()?;
        }
    }
    opening.finish()
}

struct Opening<'a> {
    fleet: &'a mut Fleet,
    /// The number of the first connection that is being opened.
    first: usize,
    stages: Vec<Stage>,
    open: usize,
    /// Connections on which our own message has come back.
    echoed: usize,
    early: Early,
}

impl Opening<'_> {
    fn connect(&mut self, server: SocketAddr, request: &str) -> io::Result<()> {
        let number = self.fleet.links.len();
        let socket = connect_from(source_address(number), server)?;
        socket.set_nodelay(true)?;
        // On close a reset: thousands of ports in TIME_WAIT would stand in the way of the next run.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        let mut stream = Stream::new(socket, self.fleet.security.as_ref(), server.ip())?;
        // A handshake of TLS is made here, before the first byte goes out.
        stream.write_all(request.as_bytes())?;
        stream.socket().set_nonblocking(true)?;
        self.fleet.poller.add(stream.socket(), number, EventFlags::IN)?;
        self.fleet.links.push(Link::new(stream));
        self.stages.push(Stage::Handshake(Vec::new()));
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        for event in 0..self.fleet.wait()? {
            let (number, _) = self.fleet.poller.event(event);
            self.receive(number)?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) -> io::Result<()> {
        let fleet = &mut *self.fleet;
        let count = match fleet.links[number].stream.read(&mut fleet.buffer) {
            Ok(0) => return Err(lost(number, "the server closed it")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(lost(number, &error.to_string())),
        };
        let Some(stage) = number.checked_sub(self.first).and_then(|index| self.stages.get_mut(index)) else {
            return Err(lost(number, "a message came that nobody sent"));
        };
        match stage {
            Stage::Handshake(bytes) => {
                bytes.extend_from_slice(&fleet.buffer[..count]);
                let Some(length) = handshake::head_length(bytes).map_err(|reason| lost(number, &reason))? else { return Ok(()) };
                handshake::check_response(&String::from_utf8_lossy(&bytes[..length])).map_err(|reason| lost(number, &reason))?;
                let rest = bytes.split_off(length);
                *stage = Stage::Open(rest);
                self.open += 1;
            }
            Stage::Open(bytes) => bytes.extend_from_slice(&fleet.buffer[..count]),
        }
        self.read_announcements(number)
    }

    /// Takes whole frames off what a connection has received.
    fn read_announcements(&mut self, number: usize) -> io::Result<()> {
        let Some(Stage::Open(bytes)) = self.stages.get_mut(number - self.first) else { return Ok(()) };
        let mut taken = 0;
        while let Some((head, length)) = wire::frame_lengths(&bytes[taken..]).filter(|(_, length)| bytes.len() - taken >= *length)
        {
            if self.early == Early::None {
                return Err(lost(number, "a message came that nobody sent"));
            }
            if self.fleet.is_ours(&bytes[taken..taken + length], head) {
                self.echoed += 1;
            }
            taken += length;
        }
        bytes.drain(..taken);
        if bytes.is_empty() {
            // Memory of thousands of connections that have nothing to keep.
            *bytes = Vec::new();
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let unfinished = self.stages.iter().position(|stage| !matches!(stage, Stage::Open(bytes) if bytes.is_empty()));
        unfinished.map_or(Ok(()), |index| Err(lost(self.first + index, "a message came that nobody sent")))
    }
}

/// The source address of a connection: another one of 127.0.0.0/8 for every [`PER_ADDRESS`].
fn source_address(number: usize) -> Ipv4Addr {
    let host = u32::from(Ipv4Addr::LOCALHOST).saturating_add(u32::try_from(number / PER_ADDRESS).unwrap_or(u32::MAX));
    Ipv4Addr::from(host)
}

/// Connects, and waits until the kernel has; on loopback that is at once.
fn connect_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) && source != Ipv4Addr::LOCALHOST {
        rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
    }
    rustix::net::connect(&socket, &server)?;
    Ok(TcpStream::from(socket))
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

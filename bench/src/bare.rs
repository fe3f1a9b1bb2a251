//! The bare servers: the kernel's price of moving the bytes, on one thread.
//!
//! After the upgrade a connection is a count of bytes. Every frame that comes in has the same length, so the number of whole
//! frames is a division; every frame that goes out is the same, so sending is an offset into a buffer that was built once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use clap::Parser;

use tidewire_load::handshake;
use tidewire_load::poller::{EventFlags, Poller};
use tidewire_load::wire::{self, Kind, Pattern};

/// The size of the one receive buffer in bytes.
const BUFFER: usize = 64 * 1024;
/// The number under which the listener is watched.
const LISTENER: usize = usize::MAX;

/// Answers the upgrade, then moves bytes without looking at them
#[derive(Debug, Parser)]
pub struct Options {
    /// The port on 127.0.0.1; 0 picks one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Bytes of payload in every frame that comes in
    #[arg(long, default_value_t = 20)]
    size: usize,
    /// What stands before the payload of every frame that goes out
    #[arg(long, default_value = "")]
    prefix: String,
    /// Binary frames instead of text
    #[arg(long)]
    binary: bool,
}

/// Who gets the answer to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Its sender.
    Sender,
    /// Every connection, the sender included.
    Everybody,
}

/// Listens, says where in one line, and serves until the process is ended.
///
/// # Errors
/// When the port is taken, or epoll fails.
pub fn run(name: &str, options: &Options, answer: Answer) -> io::Result<()> {
    tidewire_load::limits::raise_descriptor_limit()?;
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    listener.set_nonblocking(true)?;
    // std asks for a short queue; a second call makes it longer.
    rustix::net::listen(&listener, 4096)?;
    println!("{name} listening on http://{}", listener.local_addr()?);
    let mut server = Server::new(listener, options, answer)?;
    loop {
        server.turn()?;
    }
}

/// One connection.
struct Peer {
    stream: TcpStream,
    /// What has come of the request's head; `None` once it is answered.
    head: Option<Vec<u8>>,
    /// Bytes of the frame that has not come in whole.
    partial: usize,
    /// Bytes that must still go out.
    owed: usize,
    /// The offset within the outgoing frame.
    at: usize,
    /// Whether the kernel did not take all, and an event will tell when it does.
    blocked: bool,
}

struct Server {
    poller: Poller,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    frame_in: usize,
    outgoing: Pattern,
    answer: Answer,
    buffer: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener, options: &Options, answer: Answer) -> io::Result<Self> {
        let kind = if options.binary { Kind::Binary } else { Kind::Text };
        let payload = wire::payload(options.size);
        let answered = [options.prefix.as_bytes(), &payload].concat();
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, EventFlags::IN)?;
        Ok(Self {
            poller,
            listener,
            peers: Vec::new(),
            free: Vec::new(),
            frame_in: wire::client_frame(kind, &payload).len(),
            outgoing: Pattern::of(&wire::server_frame(kind, &answered)),
            answer,
            buffer: vec![0; BUFFER],
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut frames = 0;
        for index in 0..self.poller.wait(None)? {
            match self.poller.event(index) {
                (LISTENER, _) => self.accept()?,
                (number, flags) => frames += self.serve(number, flags),
            }
        }
        if frames > 0 {
            // One flush per turn, as any server does that batches what it publishes.
            for number in 0..self.peers.len() {
                self.send(number, frames);
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            self.poller.add(&stream, number, EventFlags::IN)?;
            self.peers[number] = Some(Peer { stream, head: Some(Vec::new()), partial: 0, owed: 0, at: 0, blocked: false });
        }
    }

    /// Handles a connection's event; gives the frames that everybody must get.
    fn serve(&mut self, number: usize, flags: EventFlags) -> usize {
        let mut frames = 0;
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let Some(peer) = &mut self.peers[number] else { return 0 };
            match peer.stream.read(&mut self.buffer) {
                Ok(0) => self.drop_peer(number),
                Ok(count) => frames = self.received(number, count),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => self.drop_peer(number),
            }
        }
        match self.answer {
            Answer::Sender if frames > 0 || flags.contains(EventFlags::OUT) => self.send(number, frames),
            Answer::Everybody if flags.contains(EventFlags::OUT) => self.send(number, 0),
            _ => {}
        }
        if self.answer == Answer::Everybody { frames } else { 0 }
    }

    /// Counts the whole frames in what came.
    fn received(&mut self, number: usize, count: usize) -> usize {
        let Some(peer) = &mut self.peers[number] else { return 0 };
        let Some(head) = &mut peer.head else {
            let bytes = peer.partial + count;
            peer.partial = bytes % self.frame_in;
            return bytes / self.frame_in;
        };
        head.extend_from_slice(&self.buffer[..count]);
        let Ok(length) = handshake::head_length(head) else {
            self.drop_peer(number);
            return 0;
        };
        let Some(length) = length else { return 0 };
        let response = response(&String::from_utf8_lossy(&head[..length]));
        // Short, and the first thing that is sent: the kernel takes it whole.
        let sent = response.is_some_and(|response| peer.stream.write_all(response.as_bytes()).is_ok());
        let early = head.len() - length;
        peer.head = None;
        peer.partial = early % self.frame_in;
        if !sent {
            self.drop_peer(number);
        }
        early / self.frame_in
    }

    fn send(&mut self, number: usize, frames: usize) {
        let Some(peer) = self.peers[number].as_mut().filter(|peer| peer.head.is_none()) else { return };
        peer.owed += frames * self.outgoing.period();
        while peer.owed > 0 {
            match peer.stream.write(self.outgoing.run(peer.at, peer.owed)) {
                Ok(sent) => {
                    peer.owed -= sent;
                    peer.at = self.outgoing.after(peer.at, sent);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.drop_peer(number),
            }
        }
        let blocked = peer.owed > 0;
        if blocked != peer.blocked {
            peer.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            if self.poller.change(&peer.stream, number, flags).is_err() {
                self.drop_peer(number);
            }
        }
    }

    fn drop_peer(&mut self, number: usize) {
        // Its number is free from now on, but an event of this turn may still carry it: such an event finds nobody, or a newcomer
        // that has nothing to read, and both are harmless.
        if self.peers[number].take().is_some() {
            self.free.push(number);
        }
    }
}

/// The answer to a whole request head (RFC 6455, section 4.2.2); `None` when it has no key.
fn response(head: &str) -> Option<String> {
    let accept = handshake::accept_for(handshake::field(head, "sec-websocket-key")?);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_key_has_no_answer() {
        // RFC 6455, section 1.3.
        let answer = response("GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert_eq!(response("GET / HTTP/1.1\r\n\r\n"), None);
    }
}

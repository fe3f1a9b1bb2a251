//! Many connections, each a pair of offsets into the bytes that go out and that must come in.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use super::stream::{Security, Stream};
use super::{Target, open};
use crate::deflate;
use crate::poller::{EventFlags, Poller};
use crate::wire::{self, Pattern};

/// The size of the one receive buffer in bytes.
const BUFFER: usize = wire::RUN;
/// How long nothing may happen before the server is taken for dead.
const SILENCE: Duration = Duration::from_secs(20);

/// All connections of a run.
pub struct Fleet {
    pub poller: Poller,
    pub links: Vec<Link>,
    /// The frame that every message goes out in.
    pub outgoing: Pattern,
    /// The frame that every message must come in. With compression that of the first message of ours that came.
    pub incoming: Pattern,
    /// With compression, until that message has come: the payload that it must have.
    expected: Option<Vec<u8>>,
    pub buffer: Vec<u8>,
    /// How connections are secured, if they are.
    pub security: Option<Security>,
}

/// One connection.
pub struct Link {
    pub stream: Stream,
    /// Bytes that must still go out.
    owed: usize,
    /// The offset within the outgoing frame.
    sent_at: usize,
    /// The offset within the incoming frame.
    received_at: usize,
    /// Whether the kernel did not take all, and an event will tell when it does.
    blocked: bool,
}

impl Link {
    pub const fn new(stream: Stream) -> Self {
        Self { stream, owed: 0, sent_at: 0, received_at: 0, blocked: false }
    }
}

impl Fleet {
    /// Opens the connections of a target and waits until the server has nothing more to say to them.
    pub fn open(target: &Target, early: open::Early) -> io::Result<Self> {
        let payload = if target.deflate { deflate::json(target.size) } else { wire::payload(target.size) };
        let answered = [target.prefix.as_bytes(), &payload].concat();
        let mut fleet = Self {
            poller: Poller::new()?,
            links: Vec::with_capacity(target.connections),
            outgoing: Pattern::of(&match target.deflate {
                true => wire::compressed_client_frame(target.kind(), &deflate::compress(&payload)),
                false => wire::client_frame(target.kind(), &payload),
            }),
            incoming: Pattern::of(&wire::server_frame(target.kind(), &answered)),
            expected: target.deflate.then_some(answered),
            buffer: vec![0; BUFFER],
            security: target.url.secure.then(Security::new).transpose()?,
        };
        open::open(&mut fleet, target, target.connections, early)?;
        Ok(fleet)
    }

    /// Whether a frame is our message, in the frame that all of them come in.
    pub fn is_ours(&mut self, frame: &[u8], head: usize) -> bool {
        let Some(expected) = &self.expected else { return *frame == *self.incoming.run(0, self.incoming.period()) };
        let ours = wire::is_compressed(frame) && deflate::is(&frame[head..], expected);
        if ours {
            self.incoming = Pattern::of(frame);
            self.expected = None;
        }
        ours
    }

    /// Waits for events and says how many there are.
    pub fn wait(&mut self) -> io::Result<usize> {
        match self.poller.wait(Some(SILENCE))? {
            0 => Err(io::Error::new(ErrorKind::TimedOut, format!("nothing came for {} s", SILENCE.as_secs()))),
            count => Ok(count),
        }
    }

    /// Handles an event of the last wait: gives the connection and the whole messages that came.
    #[inline]
    pub fn serve(&mut self, event: usize) -> io::Result<(usize, usize)> {
        let (number, flags) = self.poller.event(event);
        if flags.contains(EventFlags::OUT) {
            self.send(number, 0)?;
        }
        let frames = if flags == EventFlags::OUT { 0 } else { self.receive(number)? };
        Ok((number, frames))
    }

    /// Receives once, and compares.
    #[inline]
    fn receive(&mut self, number: usize) -> io::Result<usize> {
        let link = &mut self.links[number];
        let count = match link.stream.read(&mut self.buffer) {
            Ok(0) => return Err(lost(number, "the server closed it")),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(error) => return Err(lost(number, &error.to_string())),
        };
        let expected = self.incoming.run(link.received_at, count);
        if self.buffer[..count] != *expected {
            let at = self.buffer.iter().zip(expected).position(|(came, expected)| came != expected).unwrap_or(0);
            let came = self.buffer[at.saturating_sub(8)..count.min(at + 24)].escape_ascii();
            return Err(lost(number, &format!("an answer differs from what was sent, at: {came}")));
        }
        let frames = (link.received_at + count) / self.incoming.period();
        link.received_at = self.incoming.after(link.received_at, count);
        Ok(frames)
    }

    /// Sends messages on a connection, or what is left of earlier ones.
    #[inline]
    pub fn send(&mut self, number: usize, frames: usize) -> io::Result<()> {
        let link = &mut self.links[number];
        if link.stream.is_held_up() {
            link.stream.flush()?;
        }
        link.owed += frames * self.outgoing.period();
        while link.owed > 0 {
            match link.stream.write(self.outgoing.run(link.sent_at, link.owed)) {
                Ok(sent) => {
                    link.owed -= sent;
                    link.sent_at = self.outgoing.after(link.sent_at, sent);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(lost(number, &error.to_string())),
            }
        }
        let blocked = link.owed > 0 || link.stream.is_held_up();
        if blocked != link.blocked {
            link.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            self.poller.change(link.stream.socket(), number, flags)?;
        }
        Ok(())
    }
}

pub fn lost(number: usize, reason: &str) -> io::Error {
    io::Error::other(format!("connection {number}: {reason}"))
}

//! Many connections, each a pair of offsets into the bytes that go out and that must come in.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::error::{LoadError, Result};
use crate::inbox::{self, Item};
use crate::open::{self, Probe};
use crate::poller::{EventFlags, Poller};
use crate::report::Answer;
use crate::stream::{Security, Stream};
use crate::wire::{self, Pattern};
use crate::{Load, Observer, deflate};

/// The size of the one receive buffer in bytes.
const BUFFER: usize = wire::RUN;
/// How long the server may take to answer the Close of all connections.
const FAREWELL: Duration = Duration::from_secs(2);
/// Below this size a payload may come up in any text, so an answer must be equal to it, not only contain it.
const TELLING: usize = 8;

/// All connections of a run.
pub(crate) struct Fleet {
    pub poller: Poller,
    pub links: Vec<Link>,
    pub address: SocketAddr,
    /// How connections are secured, if they are.
    pub security: Option<Security>,
    pub buffer: Vec<u8>,
    payload: Vec<u8>,
    /// The frame that every message goes out in.
    outgoing: Pattern,
    /// The frames that every message must come in: those of the first that came.
    incoming: Option<(Pattern, Answer)>,
}

/// One connection.
pub(crate) struct Link {
    pub stream: Stream,
    due: Due,
    /// The offset within the incoming frame.
    received_at: usize,
    /// Whether the kernel did not take all, and an event will tell when it does.
    blocked: bool,
    /// The beginning of a control frame.
    partial: Vec<u8>,
}

impl Link {
    pub(crate) const fn new(stream: Stream) -> Self {
        let due = Due { owed: 0, sent_at: 0, control: Vec::new() };
        Self { stream, due, received_at: 0, blocked: false, partial: Vec::new() }
    }
}

/// What must still go out on a connection.
struct Due {
    /// Bytes of messages.
    owed: usize,
    /// The offset within the outgoing frame.
    sent_at: usize,
    /// Control frames that go out before the next message.
    control: Vec<u8>,
}

impl Due {
    #[inline]
    fn is_empty(&self) -> bool {
        self.owed == 0 && self.control.is_empty()
    }

    /// What goes out next; a control frame only between two others.
    #[inline]
    fn next<'a>(&'a self, outgoing: &'a Pattern) -> &'a [u8] {
        match (self.control.is_empty(), self.sent_at) {
            (true, at) => outgoing.run(at, self.owed),
            (false, 0) => &self.control,
            (false, at) => outgoing.run(at, outgoing.period() - at),
        }
    }

    #[inline]
    fn sent(&mut self, count: usize, outgoing: &Pattern) {
        if !self.control.is_empty() && self.sent_at == 0 {
            self.control.drain(..count);
        } else {
            self.owed -= count;
            self.sent_at = outgoing.after(self.sent_at, count);
        }
    }

    /// Whole messages that have not begun to go out stay here.
    fn give_up(&mut self, outgoing: &Pattern) {
        self.owed = if self.sent_at == 0 { 0 } else { outgoing.period() - self.sent_at };
    }
}

impl Fleet {
    /// Opens the connections of a load and makes sure that the server answers on them.
    pub(crate) fn open(load: &Load, probe: Probe, observer: Observer<'_>) -> Result<Self> {
        let mut fleet = Self::new(load)?;
        open::open(&mut fleet, load, load.connections, probe, observer)?;
        Ok(fleet)
    }

    /// No connection yet.
    pub(crate) fn new(load: &Load) -> Result<Self> {
        load.prepare()?;
        // What is due within a millisecond is not to be late by fifty microseconds.
        let _coarser = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let payload = load.payload.bytes();
        let kind = load.payload.kind();
        let security = match load.url.is_secure() {
            false => None,
            true => {
                let name = ServerName::try_from(load.url.host().to_owned());
                let name = name.map_err(|error| LoadError::Usage(format!("{}: {error}", load.url.host())))?;
                Some(Security { config: load.trust.config()?, name })
            }
        };
        Ok(Self {
            poller: Poller::new()?,
            links: Vec::with_capacity(load.connections),
            address: load.url.address()?,
            security,
            buffer: vec![0; BUFFER],
            outgoing: Pattern::of(&match load.deflate {
                true => wire::compressed_client_frame(kind, &deflate::compress(&payload)),
                false => wire::client_frame(kind, &payload),
            }),
            payload,
            incoming: None,
        })
    }

    /// What comes back for each message.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.incoming.as_ref().map(|(_, answer)| *answer)
    }

    /// Whether a message is ours. The first that is decides in which frames all others must come.
    ///
    /// # Errors
    /// When it is ours, and comes in other frames than the first.
    pub(crate) fn is_ours(&mut self, raw: &[u8], payload: &[u8], compressed: bool) -> std::result::Result<bool, String> {
        if let Some((pattern, _)) = &self.incoming
            && pattern.is(raw)
        {
            return Ok(true);
        }
        let ours = match self.payload.len() < TELLING {
            true => payload == self.payload,
            false => payload.windows(self.payload.len()).any(|window| window == self.payload),
        };
        match (ours, &self.incoming) {
            (false, _) => Ok(false),
            (true, Some(_)) => Err(format!(
                "the server answers the same message in different ways, which cannot be measured: {}",
                excerpt(payload)
            )),
            (true, None) => {
                self.incoming = Some((Pattern::of(raw), Answer { bytes: payload.len(), wire_bytes: raw.len(), compressed }));
                Ok(true)
            }
        }
    }

    /// Waits for events, at most so long, and says how many there are.
    #[inline]
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<usize> {
        Ok(self.poller.wait(Some(timeout))?)
    }

    /// Handles an event of the last wait: gives the connection and the whole messages that came.
    #[inline]
    pub(crate) fn serve(&mut self, event: usize) -> Result<(usize, usize)> {
        let (number, flags) = self.poller.event(event);
        if flags.contains(EventFlags::OUT) {
            self.send(number, 0)?;
        }
        let frames = if flags == EventFlags::OUT { 0 } else { self.receive(number)? };
        Ok((number, frames))
    }

    /// Receives once, and compares.
    #[inline]
    fn receive(&mut self, number: usize) -> Result<usize> {
        let link = &mut self.links[number];
        let count = match link.stream.read(&mut self.buffer) {
            Ok(0) => return Err(LoadError::answer(number, "the server closed it")),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(error) => return Err(LoadError::answer(number, format!("the server cut it off: {error}"))),
        };
        if let (Some((incoming, _)), true) = (&self.incoming, link.partial.is_empty())
            && self.buffer[..count] == *incoming.run(link.received_at, count)
        {
            let frames = (link.received_at + count) / incoming.period();
            link.received_at = incoming.after(link.received_at, count);
            return Ok(frames);
        }
        self.receive_other(number, count)
    }

    /// Where not only messages of ours came: pings are answered, and what is wrong is told.
    #[cold]
    fn receive_other(&mut self, number: usize, count: usize) -> Result<usize> {
        let link = &mut self.links[number];
        let mut bytes = std::mem::take(&mut link.partial);
        bytes.extend_from_slice(&self.buffer[..count]);
        let (mut rest, mut frames) = (&bytes[..], 0);
        while let Some(&first) = rest.first() {
            if let Some((incoming, _)) = &self.incoming
                && (link.received_at > 0 || first == incoming.first())
            {
                let length = rest.len().min(incoming.period() - link.received_at).min(wire::RUN);
                if rest[..length] != *incoming.run(link.received_at, length) {
                    return Err(LoadError::answer(number, format!("an answer differs from those before, at: {}", excerpt(rest))));
                }
                link.received_at = incoming.after(link.received_at, length);
                frames += usize::from(link.received_at == 0);
                rest = &rest[length..];
                continue;
            }
            match inbox::next(rest).map_err(|reason| LoadError::answer(number, reason))? {
                None => {
                    link.partial = rest.to_vec();
                    break;
                }
                Some((Item::Ping(payload), taken)) => {
                    link.due.control.extend(wire::pong(&payload));
                    rest = &rest[taken..];
                }
                Some((Item::Pong, taken)) => rest = &rest[taken..],
                Some((Item::Close(reason), _)) => return Err(LoadError::answer(number, reason)),
                Some((Item::Message { payload, .. }, _)) if self.incoming.is_some() => {
                    return Err(LoadError::answer(number, format!("a message came that nobody sent: {}", excerpt(&payload))));
                }
                // Nothing was sent, so nothing is expected: it is the server's own affair.
                Some((Item::Message { .. }, taken)) => rest = &rest[taken..],
            }
        }
        if !link.due.control.is_empty() {
            self.send(number, 0)?;
        }
        Ok(frames)
    }

    /// Sends a control frame on a connection, after the message that is going out.
    pub(crate) fn send_control(&mut self, number: usize, frame: &[u8]) -> Result {
        self.links[number].due.control.extend_from_slice(frame);
        self.send(number, 0)
    }

    /// Sends messages on a connection, or what is left of earlier ones.
    #[inline]
    pub(crate) fn send(&mut self, number: usize, frames: usize) -> Result {
        let link = &mut self.links[number];
        if link.stream.is_held_up() {
            link.stream.flush().map_err(|error| LoadError::answer(number, format!("the server cut it off: {error}")))?;
        }
        link.due.owed += frames * self.outgoing.period();
        while !link.due.is_empty() {
            match link.stream.write(link.due.next(&self.outgoing)) {
                Ok(sent) => link.due.sent(sent, &self.outgoing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(LoadError::answer(number, format!("the server cut it off: {error}"))),
            }
        }
        let blocked = !link.due.is_empty() || link.stream.is_held_up();
        if blocked != link.blocked {
            link.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            self.poller.change(link.stream.socket(), number, flags)?;
        }
        Ok(())
    }

    /// Closes all connections in order, as far as the server answers in time: one that is only cut off is an error to many servers.
    pub(crate) fn close(mut self) {
        let close = wire::close();
        for number in 0..self.links.len() {
            self.links[number].due.give_up(&self.outgoing);
            // One that is gone needs no farewell.
            let _gone = self.send_control(number, &close);
        }
        let (began, mut open) = (Instant::now(), self.links.len());
        let mut ended = vec![false; open];
        while open > 0 && began.elapsed() < FAREWELL {
            let Ok(events @ 1..) = self.poller.wait(Some(FAREWELL / 10)) else { return };
            for event in 0..events {
                let (number, flags) = self.poller.event(event);
                if flags.contains(EventFlags::OUT) {
                    let _gone = self.send(number, 0);
                }
                let link = &mut self.links[number];
                let over = match link.stream.read(&mut self.buffer) {
                    Ok(count) => count == 0,
                    Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
                };
                if over && !std::mem::replace(&mut ended[number], true) {
                    open -= 1;
                    // Or it would be told again and again.
                    let _gone = self.poller.remove(link.stream.socket());
                }
            }
        }
    }
}

/// A beginning of something that came, for people.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 32;
    let dots = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{}\"{dots}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_frame_goes_out_between_two_messages() {
        let outgoing = Pattern::of(b"abcd");
        let mut due = Due { owed: 12, sent_at: 0, control: Vec::new() };
        due.sent(1, &outgoing);
        due.control = b"!!".to_vec();
        assert_eq!(due.next(&outgoing), b"bcd");
        due.sent(3, &outgoing);
        assert_eq!(due.next(&outgoing), b"!!");
        due.sent(1, &outgoing);
        assert_eq!(due.next(&outgoing), b"!");
        due.sent(1, &outgoing);
        assert_eq!(due.next(&outgoing), b"abcdabcd");
        due.sent(3, &outgoing);
        due.give_up(&outgoing);
        assert_eq!(due.next(&outgoing), b"d");
        due.sent(1, &outgoing);
        due.give_up(&outgoing);
        assert!(due.is_empty());
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"a\n\x00"), "\"a\\n\\x00\"");
        assert!(excerpt(&[b'a'; 100]).ends_with("a\"..."));
    }
}

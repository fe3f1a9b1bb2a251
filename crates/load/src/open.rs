//! Opening connections, few enough at a time for any server's queue, and finding out what the server says to a message.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use crate::error::{LoadError, Result, connecting};
use crate::fleet::{Fleet, Link, excerpt};
use crate::handshake::{self, Handshake, Step, Terms};
use crate::inbox::{self, Item};
use crate::poller::EventFlags;
use crate::stream::Stream;
use crate::window::Silence;
use crate::{Load, Observer, Progress, wire};

/// Handshakes under way at a time. The shortest queue of the servers that are measured holds 511 connections.
const TOGETHER: usize = 128;
/// How long a wait is at most, so that silence is noticed.
const WAIT: Duration = Duration::from_millis(500);

/// What is tried before the load begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing. What the server says by itself is its own affair.
    Nothing,
    /// On each connection a message goes out and its answer comes back, after whatever the server had to say before.
    Each,
    /// A message of one connection comes back on all of them; then, because workers of a server may be at different points of what they
    /// tell each other, one of another.
    Everybody,
}

/// Where a connection is on its way to being open.
enum Stage {
    Handshake(Handshake, EventFlags),
    /// Open; with the beginning of a frame, and whether our own message has come back.
    Open(Vec<u8>, bool),
}

/// Adds connections to a fleet, open and silent.
pub(crate) fn open(fleet: &mut Fleet, load: &Load, count: usize, probe: Probe, observer: Observer<'_>) -> Result {
    let request = handshake::request(load);
    let terms = Terms { request: &request, deflate: load.deflate, url: &load.url };
    let first = fleet.links.len();
    let stages = Vec::with_capacity(count);
    let mut opening =
        Opening { fleet, terms, first, count, stages, open: 0, answered: 0, last: None, observer, silence: Silence::new() };
    while opening.open < count {
        while opening.stages.len() < count && opening.stages.len() - opening.open < TOGETHER {
            opening.connect()?;
        }
        opening.turn()?;
    }
    match probe {
        Probe::Nothing => {}
        Probe::Each => {
            for number in first..first + count {
                opening.fleet.send(number, 1)?;
            }
            opening.wait_for_answers()?;
        }
        Probe::Everybody => {
            for sender in [first, first + count - 1] {
                opening.forget_answers();
                opening.fleet.send(sender, 1)?;
                opening.wait_for_answers()?;
            }
        }
    }
    opening.finish(probe)
}

struct Opening<'a> {
    fleet: &'a mut Fleet,
    terms: Terms<'a>,
    /// The number of the first connection that is being opened.
    first: usize,
    count: usize,
    stages: Vec<Stage>,
    open: usize,
    /// Connections on which our own message has come back.
    answered: usize,
    /// What came last that was not ours.
    last: Option<Vec<u8>>,
    observer: Observer<'a>,
    silence: Silence,
}

impl Opening<'_> {
    fn connect(&mut self) -> Result {
        let number = self.fleet.links.len();
        let stream = Stream::connect(self.fleet.address, number, self.fleet.security.as_ref());
        let stream = stream.map_err(|error| self.failed(connecting(&error, self.terms.url)))?;
        let flags = EventFlags::IN | EventFlags::OUT;
        self.fleet.poller.add(stream.socket(), number, flags)?;
        self.fleet.links.push(Link::new(stream));
        self.stages.push(Stage::Handshake(Handshake::default(), flags));
        Ok(())
    }

    /// An error of a handshake.
    fn failed(&self, reason: String) -> LoadError {
        LoadError::Open { open: self.first + self.open, wanted: self.first + self.count, reason }
    }

    fn turn(&mut self) -> Result {
        let events = self.fleet.wait(WAIT)?;
        if self.silence.check(events, true).is_err() {
            return Err(self.silent());
        }
        for event in 0..events {
            let (number, flags) = self.fleet.poller.event(event);
            let Some(index) = number.checked_sub(self.first) else {
                // One that is open already, and idle: its pings are answered.
                self.fleet.serve(event)?;
                continue;
            };
            match &mut self.stages[index] {
                Stage::Handshake(..) => self.handshake(number)?,
                Stage::Open(..) if flags.contains(EventFlags::OUT) => self.fleet.send(number, 0)?,
                Stage::Open(..) => {}
            }
            if matches!(self.stages[index], Stage::Open(..)) {
                self.receive(number)?;
            }
        }
        Ok(())
    }

    fn handshake(&mut self, number: usize) -> Result {
        let fleet = &mut *self.fleet;
        let Stage::Handshake(handshake, watched) = &mut self.stages[number - self.first] else { return Ok(()) };
        let link = &mut fleet.links[number];
        let step = handshake.step(&mut link.stream, &self.terms, &mut fleet.buffer);
        let (flags, opened) = match step {
            Ok(Step::Wait(flags)) => (flags, None),
            Ok(Step::Open(rest)) => (EventFlags::IN, Some(rest)),
            Err(reason) => return Err(self.failed(reason)),
        };
        if *watched != flags {
            *watched = flags;
            fleet.poller.change(link.stream.socket(), number, flags)?;
        }
        if let Some(rest) = opened {
            self.stages[number - self.first] = Stage::Open(rest, false);
            self.open += 1;
            (self.observer)(Progress::Opening { open: self.first + self.open, wanted: self.first + self.count });
            self.take_items(number)?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) -> Result {
        let fleet = &mut *self.fleet;
        let count = match fleet.links[number].stream.read(&mut fleet.buffer) {
            Ok(0) => return Err(LoadError::answer(number, "the server closed it")),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(LoadError::answer(number, format!("the server cut it off: {error}"))),
        };
        if let Stage::Open(bytes, _) = &mut self.stages[number - self.first] {
            bytes.extend_from_slice(&fleet.buffer[..count]);
        }
        self.take_items(number)
    }

    /// Takes what is whole off what a connection has received.
    fn take_items(&mut self, number: usize) -> Result {
        let Stage::Open(bytes, answered) = &mut self.stages[number - self.first] else { return Ok(()) };
        let mut taken = 0;
        while let Some((item, length)) = inbox::next(&bytes[taken..]).map_err(|reason| LoadError::answer(number, reason))? {
            taken += length;
            match item {
                Item::Message { raw, payload, compressed } => {
                    let ours = self.fleet.is_ours(&raw, &payload, compressed);
                    match ours.map_err(|reason| LoadError::answer(number, reason))? {
                        true if !std::mem::replace(answered, true) => self.answered += 1,
                        true => {}
                        false => self.last = Some(payload),
                    }
                }
                Item::Ping(payload) => self.fleet.send_control(number, &wire::pong(&payload))?,
                Item::Pong => {}
                Item::Close(reason) => return Err(LoadError::answer(number, reason)),
            }
        }
        bytes.drain(..taken);
        if bytes.is_empty() {
            // Memory of thousands of connections that have nothing to keep.
            *bytes = Vec::new();
        }
        Ok(())
    }

    fn wait_for_answers(&mut self) -> Result {
        self.silence = Silence::new();
        while self.answered < self.count {
            self.turn()?;
        }
        Ok(())
    }

    fn forget_answers(&mut self) {
        self.answered = 0;
        for stage in &mut self.stages {
            if let Stage::Open(_, answered) = stage {
                *answered = false;
            }
        }
    }

    /// Why nothing comes: as far as that can be told.
    fn silent(&self) -> LoadError {
        let seconds = Silence::PATIENCE.as_secs();
        if self.open < self.stages.len() {
            return self.failed(format!("the server has not answered a handshake for {seconds} s"));
        }
        let unanswered = self.stages.iter().position(|stage| matches!(stage, Stage::Open(_, false))).unwrap_or_default();
        let instead = self.last.as_ref().map_or_else(|| "nothing".to_owned(), |last| format!("only {}", excerpt(last)));
        LoadError::answer(
            self.first + unanswered,
            format!(
                "the server does not send messages back: {} of {} connections got theirs, this one {instead} within {seconds} s",
                self.answered, self.count
            ),
        )
    }

    /// Nothing may be left over: the load counts bytes from here on.
    fn finish(self, probe: Probe) -> Result {
        let left = self.stages.iter().position(|stage| !matches!(stage, Stage::Open(bytes, _) if bytes.is_empty()));
        match left {
            Some(index) if probe != Probe::Nothing => Err(LoadError::answer(
                self.first + index,
                "the server sends messages by itself, which cannot be told from answers",
            )),
            _ => Ok(()),
        }
    }
}

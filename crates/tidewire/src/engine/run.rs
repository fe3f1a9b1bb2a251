//! Runs: short messages that came in one read.

use std::fmt;

use tidewire_proto::{Ahead, Event, Limits, PeerError, Receiver};

use super::application::Message;
use super::core::Core;
use super::table::SocketId;

/// The short messages (of at most 125 bytes, whole, not compressed) that lie next in what a socket has received: what
/// [`Application::run`](super::Application::run) is given.
///
/// ```
/// use tidewire::Message;
/// use tidewire::engine::{Application, LocalSocket, Run};
///
/// /// Echoes at most four messages in a call, and nothing behind one that says so.
/// struct Echo;
///
/// impl Application for Echo {
///     fn takes_runs(&self) -> bool {
///         true
///     }
///
///     fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
///         let mut taken = Vec::new();
///         while taken.len() < 4 && let Some(message) = run.next_ahead() {
///             taken.push(Message::from(message).into_owned());
///         }
///         let last = taken.iter().position(|message| message.text() == "bye");
///         let handled = last.map_or(taken.len(), |at| at + 1);
///         taken.drain(..handled).for_each(|message| { socket.send(message); });
///         if last.is_some() {
///             socket.close(1000, "").expect("it may be sent");
///         }
///         run.keep(handled);
///     }
/// }
/// ```
pub struct Run<'a> {
    core: &'a Core,
    id: SocketId,
    /// The state's number of changes when the run began.
    changes: u64,
    receiver: &'a mut Receiver,
    limits: &'a Limits,
    input: &'a mut [u8],
    at: usize,
    /// What was taken for good.
    taken: Taken,
    /// Where what was taken ahead begins.
    start: usize,
    ahead: Taken,
    /// The next one is not UTF-8: where it begins. It is judged by [`Receiver::next`], when it is due.
    invalid: Option<usize>,
    error: Option<PeerError>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    messages: usize,
    bytes: usize,
}

impl Taken {
    #[inline]
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        core: &'a Core,
        id: SocketId,
        receiver: &'a mut Receiver,
        limits: &'a Limits,
        input: &'a mut [u8],
        at: usize,
    ) -> Self {
        let changes = core.state.borrow().changes;
        let (taken, ahead) = (Taken::default(), Taken::default());
        Self { core, id, changes, receiver, limits, input, at, taken, start: at, ahead, invalid: None, error: None }
    }

    /// Whether what lies there is not due any more.
    #[inline]
    fn is_over(&self) -> bool {
        let is = self.core.state.borrow().changes != self.changes;
        debug_assert!(is || self.core.is_reading(self.id), "what ends or pauses a socket is counted");
        is || self.invalid.is_some() || self.error.is_some()
    }

    /// Takes the next message, for good, while one lies there and is due: `None` once the socket was closed or paused, or options
    /// have changed.
    #[expect(clippy::should_implement_trait, reason = "what it gives is lent until the next call")]
    #[inline]
    pub fn next(&mut self) -> Option<Message<'_>> {
        if self.is_over() {
            return None;
        }
        let message = match self.receiver.next_short(self.limits, self.input, &mut self.at) {
            Ok(Some(Event::Text(text))) => Message::Text(text),
            Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
            Ok(_) => return None,
            Err(error) => {
                self.error = Some(error);
                return None;
            }
        };
        self.taken.add(message.len());
        self.start = self.at;
        Some(message)
    }

    /// Takes the next message, while one lies there, without saying that it is handled: see [`Run::keep`]. For an application that hands
    /// several on together.
    #[inline]
    pub fn next_ahead(&mut self) -> Option<Ahead<'_>> {
        if self.is_over() {
            return None;
        }
        let begin = self.at;
        match self.receiver.next_ahead(self.limits, self.input, &mut self.at) {
            Ok(next) => {
                let next = next?;
                self.ahead.add(next.bytes().len());
                Some(next)
            }
            Err(_) => {
                self.invalid = Some(begin);
                None
            }
        }
    }

    /// Keeps the first `count` of the messages that were taken ahead, and puts the others back: they are given again, if the socket is
    /// still open and not paused.
    pub fn keep(&mut self, count: usize) {
        if count >= self.ahead.messages {
            return;
        }
        let end = self.at;
        (self.at, self.ahead, self.invalid) = (self.start, Taken::default(), None);
        for _ in 0..count {
            // Every one of them has a head of two bytes, and a key where it is masked.
            let second = self.input[self.at + 1];
            let (masked, len) = (second & 0x80 != 0, usize::from(second & 0x7f));
            self.at += 2 + len + if masked { 4 } else { 0 };
            self.ahead.add(len);
        }
        Receiver::put_back(&mut self.input[self.at..end]);
    }

    /// The application has what it took; where the input goes on.
    ///
    /// # Errors
    /// What the peer did wrong, behind what was taken.
    pub(super) fn end(self) -> Result<usize, PeerError> {
        let counters = &self.core.counters;
        counters.messages_in.add((self.taken.messages + self.ahead.messages) as u64);
        counters.message_bytes_in.add((self.taken.bytes + self.ahead.bytes) as u64);
        if let Some(error) = self.error {
            return Err(error);
        }
        let Some(begin) = self.invalid else { return Ok(self.at) };
        Receiver::put_back(&mut self.input[begin..self.at]);
        Ok(begin)
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("taken", &self.taken).field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

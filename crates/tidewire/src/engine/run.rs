//! Runs: short messages that came in one read, for an application to whom a call is dear.

use tidewire_proto::{Event, Limits, Receiver};

use super::application::Message;
use super::counters::Counters;

/// The short messages (of at most 125 bytes, whole, not compressed) that lie next in what a socket has received: what
/// [`Application::run`](super::Application::run) is given.
///
/// ```
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
///         while taken.len() < 4 && let Some(message) = run.next() {
///             taken.push(message.into_owned());
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
#[derive(Debug)]
pub struct Run<'a> {
    receiver: &'a mut Receiver,
    limits: &'a Limits,
    input: &'a mut [u8],
    start: usize,
    at: usize,
    taken: Taken,
    /// The next one is not UTF-8: where it begins. It is judged by [`Receiver::next`], when it is due.
    invalid: Option<usize>,
}

/// What was taken and not put back.
#[derive(Debug, Default)]
struct Taken {
    messages: usize,
    bytes: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(receiver: &'a mut Receiver, limits: &'a Limits, input: &'a mut [u8], at: usize) -> Self {
        Self { receiver, limits, input, start: at, at, taken: Taken::default(), invalid: None }
    }

    /// Takes the next message, while one lies there.
    #[expect(clippy::should_implement_trait, reason = "what it gives is lent until the next call")]
    #[inline]
    pub fn next(&mut self) -> Option<Message<'_>> {
        if self.invalid.is_some() {
            return None;
        }
        let begin = self.at;
        let message = match self.receiver.next_short(self.limits, self.input, &mut self.at) {
            Ok(Some(Event::Text(text))) => Message::Text(text),
            Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
            Ok(_) => return None,
            Err(_) => {
                self.invalid = Some(begin);
                return None;
            }
        };
        self.taken.messages += 1;
        self.taken.bytes += message.len();
        Some(message)
    }

    /// Keeps the first `count` of the messages that were taken, and puts the others back: they are given again, if the socket is
    /// still open and not paused.
    pub fn keep(&mut self, count: usize) {
        if count >= self.taken.messages {
            return;
        }
        let end = self.at;
        (self.at, self.taken, self.invalid) = (self.start, Taken::default(), None);
        for _ in 0..count {
            // Every one of them has a head of two bytes, and a key where it is masked.
            let second = self.input[self.at + 1];
            let (masked, len) = (second & 0x80 != 0, usize::from(second & 0x7f));
            self.at += 2 + len + if masked { 4 } else { 0 };
            self.taken.messages += 1;
            self.taken.bytes += len;
        }
        Receiver::put_back(&mut self.input[self.at..end]);
    }

    /// The application has what it took; where the input goes on.
    pub(super) fn end(self, counters: &Counters) -> usize {
        counters.messages_in.add(self.taken.messages as u64);
        counters.message_bytes_in.add(self.taken.bytes as u64);
        match self.invalid {
            Some(begin) => {
                Receiver::put_back(&mut self.input[begin..self.at]);
                begin
            }
            None => self.at,
        }
    }
}

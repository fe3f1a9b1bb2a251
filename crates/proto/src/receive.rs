//! Bytes in, events out: the receiving half of a connection after its handshake.

use std::borrow::Cow;
use std::mem;

use crate::close;
use crate::deflate::Inflater;
use crate::error::PeerError;
use crate::event::{Ahead, Event};
use crate::frame::{FIN, LEN_7, MASKED, MAX_HEAD, Opcode};
use crate::head::{self, Context, Incoming};
use crate::limits::{Limits, Role};
use crate::mask;
use crate::message::Message;
use crate::utf8;

/// Decodes what a peer sends.
///
/// Between messages it is two words without an allocation; what a frame or a message under way needs is allocated when
/// its first part arrives and freed when it ends.
#[derive(Debug, Default)]
pub struct Receiver {
    partial: Option<Box<Partial>>,
    role: Role,
    finished: bool,
}

const _: () = assert!(size_of::<Receiver>() <= 16, "every idle connection holds one");

/// What is under way.
#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a head that has not arrived whole.
    head: [u8; MAX_HEAD],
    head_len: u8,
    /// The frame whose payload is arriving.
    frame: Option<Incoming>,
    /// The data message whose frames are arriving.
    message: Option<Message>,
    /// The payload so far of a control frame, which may stand between the fragments of `message`.
    control: Vec<u8>,
}

impl Receiver {
    /// A receiver for the first byte after the handshake. `role` is our own.
    #[inline]
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { partial: None, role, finished: false }
    }

    /// Whether a Close or an error has come, after which everything is ignored.
    #[inline]
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing is under way: no part of a frame, no part of a message.
    #[inline]
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Consumes `input[*at..]` until there is an event, or to its end, and moves `at` behind what it consumed. It unmasks in
    /// place, and the event borrows only `input`. Call it until it answers `None`; then all of `input` has been consumed.
    /// What has not been consumed has not been touched: it may be given again later, by itself or before more.
    ///
    /// After a Close or an error nothing more is given: the rest of this and of any later input is consumed and ignored
    /// (RFC 6455, sections 5.5.1 and 7.1.7).
    ///
    /// # Errors
    /// [`PeerError`] at the first byte that shows that the peer broke the protocol or a limit.
    ///
    /// # Panics
    /// When `at` is beyond the end of `input`.
    #[inline]
    pub fn next<'a>(&mut self, limits: &Limits, input: &'a mut [u8], at: &mut usize) -> Result<Option<Event<'a>>, PeerError> {
        // The common case, small enough to be inlined: nothing under way, and a whole short message in one frame.
        let Some(short) = self.short_message(limits, &input[*at..]) else { return self.advance(limits, None, input, at) };
        self.lend_short(short, input, at)
    }

    /// As [`Receiver::next`], on a connection for which permessage-deflate was agreed on (RFC 7692). A compressed message is
    /// lent from the decompressor's memory, or owned when it is large.
    ///
    /// The same decompressor must be given each time when its messages may refer to each other; one without context takeover
    /// may serve any number of receivers.
    ///
    /// # Errors
    /// [`PeerError`] at the first byte that shows that the peer broke the protocol or a limit, but for the beginning of a
    /// compressed message (8 KiB at most), which is judged when there is more of it or it is whole.
    ///
    /// # Panics
    /// When `at` is beyond the end of `input`.
    #[inline]
    pub fn next_with<'a>(
        &mut self,
        limits: &Limits,
        inflater: &'a mut Inflater,
        input: &'a mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event<'a>>, PeerError> {
        match self.short_message(limits, &input[*at..]) {
            Some(short) => self.lend_short(short, input, at),
            None => self.advance(limits, Some(inflater), input, at),
        }
    }

    /// Whether it is worthwhile to ask [`Receiver::next_short`] for what begins here: a quick look at the head.
    #[inline]
    #[must_use]
    pub fn looks_short(input: &[u8]) -> bool {
        matches!(input, [TEXT | BINARY, second, ..] if usize::from(second & !MASKED) <= LEN_7)
    }

    /// As [`Receiver::next`], but only for a message of at most 125 bytes that lies whole in the input, in one frame and not
    /// compressed. For anything else it answers `None`, and consumes nothing.
    ///
    /// # Errors
    /// [`PeerError::InvalidUtf8`].
    ///
    /// # Panics
    /// When `at` is beyond the end of `input`.
    #[inline]
    pub fn next_short<'a>(
        &mut self,
        limits: &Limits,
        input: &'a mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event<'a>>, PeerError> {
        let Some(short) = self.short_message(limits, &input[*at..]) else { return Ok(None) };
        self.lend_short(short, input, at)
    }

    /// As [`Receiver::next_short`], for a message that may not be due: it can be [put back](Receiver::put_back).
    ///
    /// # Errors
    /// [`PeerError::InvalidUtf8`]: the message is consumed, but the receiver goes on. Put it back, and have
    /// [`Receiver::next`] judge it when it is due.
    ///
    /// # Panics
    /// When `at` is beyond the end of `input`.
    #[inline]
    pub fn next_ahead<'a>(
        &mut self,
        limits: &Limits,
        input: &'a mut [u8],
        at: &mut usize,
    ) -> Result<Option<Ahead<'a>>, PeerError> {
        let Some(short) = self.short_message(limits, &input[*at..]) else { return Ok(None) };
        short.look_at(input, at).map(Some)
    }

    /// Makes of messages that [`Receiver::next_ahead`] has given what they were on the wire, so that they can be given again: as
    /// many as lie in `input`, which begins and ends with one.
    pub fn put_back(input: &mut [u8]) {
        let mut rest = input;
        while let [_, second, after @ ..] = rest {
            let (masked, len) = (*second & MASKED != 0, usize::from(*second & !MASKED));
            let (key, after) = after.split_at_mut(if masked { 4 } else { 0 }.min(after.len()));
            let (payload, next) = after.split_at_mut(len.min(after.len()));
            if let Some(key) = key.first_chunk() {
                mask::apply(*key, 0, payload);
            }
            rest = next;
        }
    }

    #[inline]
    fn lend_short<'a>(&mut self, short: Short, input: &'a mut [u8], at: &mut usize) -> Result<Option<Event<'a>>, PeerError> {
        let end = input.len();
        match short.lend(input, at) {
            Ok(event) => Ok(Some(event)),
            Err(error) => {
                self.finish();
                *at = end;
                Err(error)
            }
        }
    }

    /// A whole unfragmented message of at most 125 bytes at the start of `input`. Everything else, errors included, is left
    /// to [`Receiver::advance`].
    #[inline]
    fn short_message(&self, limits: &Limits, input: &[u8]) -> Option<Short> {
        let [first @ (TEXT | BINARY), second, rest @ ..] = input else { return None };
        let len = usize::from(second & !MASKED);
        if self.finished || self.partial.is_some() || len > LEN_7 || len > limits.max_message {
            return None;
        }
        let text = *first == TEXT;
        match (self.role, second & MASKED != 0) {
            (Role::Server, true) => {
                let (key, payload) = rest.split_first_chunk::<4>()?;
                (payload.len() >= len).then_some(Short { text, key: Some(*key), start: 6, end: 6 + len })
            }
            (Role::Client, false) => (rest.len() >= len).then_some(Short { text, key: None, start: 2, end: 2 + len }),
            _ => None,
        }
    }

    /// [`Receiver::next`] for everything that is not a short message.
    #[inline(never)]
    fn advance<'a>(
        &mut self,
        limits: &Limits,
        inflater: Option<&'a mut Inflater>,
        input: &'a mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event<'a>>, PeerError> {
        let end = input.len();
        if self.finished {
            *at = end;
            return Ok(None);
        }
        let outcome = self.receive(limits, inflater, input, at);
        match &outcome {
            Ok(Some(Event::Close(_))) | Err(_) => {
                self.finish();
                *at = end;
            }
            Ok(_) if self.partial.as_ref().is_some_and(|partial| partial.is_empty()) => self.partial = None,
            Ok(_) => {}
        }
        outcome
    }

    fn receive<'a>(
        &mut self,
        limits: &Limits,
        mut inflater: Option<&'a mut Inflater>,
        input: &'a mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event<'a>>, PeerError> {
        while *at < input.len() {
            let frame = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(frame) => frame,
                None => {
                    let Some(frame) = self.take_head(limits, inflater.is_some(), input, at)? else { return Ok(None) };
                    if frame.is_whole_event() && frame.remaining <= input.len() - *at {
                        let payload = *at..*at + frame.remaining;
                        *at = payload.end;
                        return lend(frame, limits, inflater, &mut input[payload]).map(Some);
                    }
                    self.begin(frame, inflater.as_deref());
                    frame
                }
            };
            let piece = *at..input.len().min((*at).saturating_add(frame.remaining));
            *at = piece.end;
            match self.gather(limits, inflater.as_deref_mut(), frame, &mut input[piece])? {
                Step::More => {}
                Step::Control(event) => return Ok(Some(event)),
                Step::Message(message) => return message.finish(limits.max_message, inflater).map(Some),
            }
        }
        Ok(None)
    }

    /// Takes the head of the next frame from the input, or as much of it as there is.
    fn take_head(
        &mut self,
        limits: &Limits,
        compression: bool,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<Incoming>, PeerError> {
        let context = Context {
            role: self.role,
            compression,
            open: self.partial.as_ref().and_then(|partial| partial.message.as_ref()).map(Message::progress),
            max_message: limits.max_message,
            max_fragments: limits.max_fragments,
        };
        let rest = &input[*at..];
        let kept = self.partial.as_ref().map_or(0, |partial| usize::from(partial.head_len));
        if kept == 0
            && let Some((frame, used)) = head::decode(rest, context)?
        {
            *at += used;
            return Ok(Some(frame));
        }

        // The head is cut: join what was kept with what is here. All of a part is kept, so `used` is always more.
        let partial = self.partial.get_or_insert_default();
        let fresh = rest.len().min(MAX_HEAD - kept);
        partial.head[kept..kept + fresh].copy_from_slice(&rest[..fresh]);
        match head::decode(&partial.head[..kept + fresh], context)? {
            Some((frame, used)) => {
                *at += used - kept;
                partial.head_len = 0;
                Ok(Some(frame))
            }
            None => {
                *at += fresh;
                partial.head_len = (kept + fresh) as u8;
                Ok(None)
            }
        }
    }

    /// Prepares for a frame whose payload is gathered.
    fn begin(&mut self, frame: Incoming, inflater: Option<&Inflater>) {
        if !frame.opcode.is_control() {
            let partial = self.partial.get_or_insert_default();
            let inflater = inflater.filter(|_| frame.compressed);
            partial.message.get_or_insert_with(|| Message::new(frame.opcode, inflater)).begin_fragment();
        }
    }

    /// Takes the next piece of a frame's payload, and says what it completes.
    fn gather(
        &mut self,
        limits: &Limits,
        inflater: Option<&mut Inflater>,
        frame: Incoming,
        piece: &mut [u8],
    ) -> Result<Step, PeerError> {
        let partial = self.partial.get_or_insert_default();
        if let Some(key) = frame.key {
            mask::apply(key, frame.taken, piece);
        }
        let left = frame.remaining - piece.len();
        if left > 0 {
            partial.frame = Some(Incoming { taken: frame.taken + piece.len(), remaining: left, ..frame });
        }
        if frame.opcode.is_control() {
            partial.control.extend_from_slice(piece);
            return if left > 0 {
                Ok(Step::More)
            } else {
                control(frame.opcode, Cow::Owned(mem::take(&mut partial.control))).map(Step::Control)
            };
        }
        // `begin` has made one for every data frame.
        let Some(message) = &mut partial.message else { return Err(PeerError::UnexpectedContinuation) };
        message.push(piece, if frame.fin { Some(frame.remaining) } else { None }, limits.max_message, inflater)?;
        let whole = if left > 0 || !frame.fin { None } else { partial.message.take() };
        Ok(whole.map_or(Step::More, Step::Message))
    }

    /// Ignores everything from now on, and frees what was under way.
    #[cold]
    fn finish(&mut self) {
        self.finished = true;
        self.partial = None;
    }
}

/// What a piece of a frame completes.
enum Step {
    /// Nothing yet.
    More,
    /// A control frame.
    Control(Event<'static>),
    /// A message, which may still have to be decompressed.
    Message(Message),
}

/// The first bytes of whole messages that are not compressed.
const TEXT: u8 = FIN | Opcode::Text as u8;
const BINARY: u8 = FIN | Opcode::Binary as u8;

/// Where a short message lies, relative to its first byte.
struct Short {
    text: bool,
    key: Option<[u8; 4]>,
    start: usize,
    end: usize,
}

impl Short {
    /// The message, for good: its payload may be moved over its head.
    #[inline]
    fn lend<'a>(self, input: &'a mut [u8], at: &mut usize) -> Result<Event<'a>, PeerError> {
        let (start, end) = (*at + self.start, *at + self.end);
        *at = end;
        let Some(key) = self.key else { return event(self.text, &input[start..end]) };
        if !self.text {
            let payload = &mut input[start..end];
            mask::apply(key, 0, payload);
            return event(false, payload);
        }
        // The standard library judges what begins at a word word by word, anything else byte by byte.
        let down = input[start..].as_ptr().addr() % size_of::<usize>();
        let down = if down <= self.start { down } else { 0 };
        let moved = &mut input[start - down..end];
        mask::apply_down(key, moved, down);
        event(true, &moved[..end - start])
    }

    /// The message where it lies, so that it can be put back.
    #[inline]
    fn look_at<'a>(self, input: &'a mut [u8], at: &mut usize) -> Result<Ahead<'a>, PeerError> {
        let payload = &mut input[*at + self.start..*at + self.end];
        *at += self.end;
        if let Some(key) = self.key {
            mask::apply(key, 0, payload);
        }
        if !self.text {
            return Ok(Ahead::Binary(payload));
        }
        if payload.is_ascii() {
            return Ok(Ahead::Ascii(payload));
        }
        utf8::validate(payload).map(Ahead::Text).ok_or(PeerError::InvalidUtf8)
    }
}

#[inline]
fn event(text: bool, payload: &[u8]) -> Result<Event<'_>, PeerError> {
    if !text {
        return Ok(Event::Binary(Cow::Borrowed(payload)));
    }
    utf8::validate(payload).map(|text| Event::Text(Cow::Borrowed(text))).ok_or(PeerError::InvalidUtf8)
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }
}

/// The event of a frame that is one by itself and lies whole in the input.
fn lend<'a>(
    frame: Incoming,
    limits: &Limits,
    inflater: Option<&'a mut Inflater>,
    payload: &'a mut [u8],
) -> Result<Event<'a>, PeerError> {
    if let Some(key) = frame.key {
        mask::apply(key, 0, payload);
    }
    if let Some(inflater) = inflater.filter(|_| frame.compressed) {
        return inflater.message(frame.opcode, payload, limits.max_message);
    }
    match frame.opcode {
        Opcode::Text => utf8::validate(payload).map(|text| Event::Text(Cow::Borrowed(text))).ok_or(PeerError::InvalidUtf8),
        Opcode::Binary | Opcode::Continuation => Ok(Event::Binary(Cow::Borrowed(payload))),
        opcode => control(opcode, Cow::Borrowed(payload)),
    }
}

/// The event of a control frame.
fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Event<'_>, PeerError> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        _ => close::decode(payload).map(Event::Close),
    }
}

#[cfg(test)]
mod tests;

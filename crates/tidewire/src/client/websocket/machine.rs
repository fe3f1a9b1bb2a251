//! What a [`WebSocket`](super::WebSocket) does with bytes: frames in, frames out, and how far its closing is. No I/O.

use tidewire_proto::close::{CloseReason, code};
use tidewire_proto::deflate::{Deflater, Inflater};
use tidewire_proto::extension::Agreement;
use tidewire_proto::frame::{encode_compressed, encode_frame};
pub(super) use tidewire_proto::state::Phase;
use tidewire_proto::{Event, Limits, Opcode, PeerError, Receiver, Role, encode_close};

use crate::engine::compression::{Compression, Form, Shared, Way, own_inflater};
use crate::engine::masks::Masks;
use crate::engine::{Kind, Message, Options};

pub(super) struct Machine {
    receiver: Receiver,
    limits: Limits,
    max_inflate_ratio: u32,
    phase: Phase,
    closed: Option<CloseReason<'static>>,
    masks: Masks,
    compression: Compression,
    /// Messages below are not compressed.
    threshold: usize,
    /// How compressors are made, and those that keep no context.
    compressors: Shared,
    deflater: Option<Box<Deflater>>,
    inflater: Option<Box<Inflater>>,
}

/// What a piece of input came to.
pub(super) enum Arrival {
    Message(Message<'static>),
    /// A ping or a pong; the answer to a ping is queued.
    Answered,
    /// The server's Close, answered if it was not an answer.
    Closed,
    /// The server broke the protocol, and the Close that says so is queued.
    Failed(PeerError),
}

impl Machine {
    pub fn new(options: &Options, agreement: Option<&Agreement>, compresses: bool) -> Self {
        let mut compressors = Shared::default();
        compressors.configure(options);
        Self {
            receiver: Receiver::new(Role::Client),
            limits: Limits { max_message: options.max_payload_length, max_fragments: options.max_fragments },
            max_inflate_ratio: options.max_inflate_ratio,
            phase: Phase::Open,
            closed: None,
            masks: Masks::default(),
            compression: agreement.map_or_else(Compression::default, |agreement| Compression::agreed(agreement, compresses)),
            threshold: options.compression_threshold,
            compressors,
            deflater: None,
            inflater: None,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn closed(&self) -> Option<&CloseReason<'static>> {
        self.closed.as_ref()
    }

    /// Takes the next event out of the input; `None` when all of it is consumed. What is to be said to it is appended to `out`.
    pub fn next(&mut self, input: &mut [u8], at: &mut usize, out: &mut Vec<u8>) -> Option<Arrival> {
        loop {
            let next = match self.compression.receive {
                Way::Plain => self.receiver.next(&self.limits, input, at),
                way => {
                    if self.inflater.is_none() {
                        self.inflater = match way {
                            Way::Own(window_bits) => own_inflater(window_bits),
                            _ => self.compressors.take_inflater(),
                        };
                        if let Some(inflater) = &mut self.inflater {
                            inflater.limit_ratio(self.max_inflate_ratio);
                        }
                    }
                    match &mut self.inflater {
                        Some(inflater) => self.receiver.next_with(&self.limits, inflater, input, at),
                        None => self.receiver.next(&self.limits, input, at),
                    }
                }
            };
            let open = self.phase == Phase::Open;
            return match next {
                Ok(None) => None,
                Ok(Some(Event::Text(text))) if open || self.phase == Phase::CloseSent => {
                    Some(Arrival::Message(Message::Text(text).into_owned()))
                }
                Ok(Some(Event::Binary(bytes))) if open || self.phase == Phase::CloseSent => {
                    Some(Arrival::Message(Message::Binary(bytes).into_owned()))
                }
                Ok(Some(Event::Ping(data))) if open => {
                    encode_frame(out, Opcode::Pong, &data, Some(self.masks.next()));
                    Some(Arrival::Answered)
                }
                Ok(Some(Event::Close(reason))) => {
                    let reason = reason.map(CloseReason::into_owned);
                    Some(self.peer_closed(reason, out))
                }
                Ok(Some(_)) => continue,
                Err(error) => {
                    if open {
                        // Its codes and reasons may be sent, each of them.
                        let _ = encode_close(out, Some(error.code()), error.reason(), Some(self.masks.next()));
                    }
                    Some(Arrival::Failed(error))
                }
            };
        }
    }

    fn peer_closed(&mut self, reason: Option<CloseReason<'static>>, out: &mut Vec<u8>) -> Arrival {
        if self.phase == Phase::Open {
            let (echo, why) = reason.as_ref().map_or((None, ""), |reason| (Some(reason.code), &*reason.reason));
            // What may be received may be sent.
            let _ = encode_close(out, echo, why, Some(self.masks.next()));
        }
        self.closed = Some(reason.unwrap_or(CloseReason { code: code::NO_CODE, reason: "".into() }));
        self.phase = Phase::Ending;
        Arrival::Closed
    }

    /// Appends a message.
    pub fn message(&mut self, out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
        let opcode = if kind == Kind::Text { Opcode::Text } else { Opcode::Binary };
        let mask = self.masks.next();
        if self.compression.send == Way::Plain || payload.len() < self.threshold {
            return encode_frame(out, opcode, payload, Some(mask));
        }
        let (own, form) = match self.compression.send {
            Way::Own(bits) => {
                self.deflater = self.deflater.take().or_else(|| self.compressors.own_deflater(bits));
                (true, Form::of(payload.len(), bits))
            }
            Way::Plain => (false, Form::of(payload.len(), 15)),
            Way::Shared(bits) => {
                let form = Form::of(payload.len(), bits);
                self.deflater = self.compressors.take_deflater(form);
                (false, form)
            }
        };
        // What has touched a context must be sent; what has none is worth it only if it is smaller.
        let packed = self.deflater.as_mut().and_then(|deflater| deflater.message(payload));
        match packed.filter(|packed| own || packed.len() < payload.len()) {
            Some(packed) => encode_compressed(out, opcode, packed, Some(mask)),
            None => encode_frame(out, opcode, payload, Some(mask)),
        }
        if !own && let Some(deflater) = self.deflater.take() {
            self.compressors.put_deflater(form, deflater);
        }
    }

    /// Appends a ping or a pong of at most 125 bytes.
    pub fn control(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
        encode_frame(out, opcode, payload, Some(self.masks.next()));
    }

    /// Appends a Close, unless there was one; whether it was appended. The code and the reason are those that may be sent.
    pub fn close(&mut self, out: &mut Vec<u8>, code: u16, reason: &str) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        let written = encode_close(out, Some(code), reason, Some(self.masks.next()));
        debug_assert!(written.is_ok(), "checked where it entered: {written:?}");
        self.phase = Phase::CloseSent;
        true
    }

    /// It is over; whether it was not before.
    pub fn end(&mut self) -> bool {
        std::mem::replace(&mut self.phase, Phase::Ended) != Phase::Ended
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("phase", &self.phase).field("compression", &self.compression).finish_non_exhaustive()
    }
}

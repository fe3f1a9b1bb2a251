//! The compressed way out: whose compressor makes a message, and what a publish has been made into so far.

use std::mem;

use tidewire_proto::deflate::Deflater;
use tidewire_proto::frame::{encode_compressed, encode_frame};
use tidewire_proto::{Opcode, head_len};

use super::compression::{Compress, FORMS, Form, Way};
use super::connection::Connection;
use super::log::{LogRange, TurnLog};
use super::outgoing::Outgoing;
use super::table::SocketId;
use crate::backplane::Stretch;

/// A message on its way out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbound<'a> {
    pub opcode: Opcode,
    pub payload: &'a [u8],
    pub compress: Compress,
}

impl Outgoing {
    /// Whether a message is to be compressed, where that was agreed on.
    #[inline]
    pub fn is_packed(&self, message: &Outbound<'_>) -> bool {
        message.compress == Compress::Yes && message.payload.len() >= self.compression_threshold
    }

    /// Queues a message that was admitted: compressed by the worker's compressor or the connection's own.
    #[inline(never)]
    pub fn put_packed(&mut self, connection: &mut Connection, id: SocketId, message: &Outbound<'_>) {
        match connection.compression.send {
            Way::Plain => self.put_frame(connection, id, message.opcode, message.payload),
            Way::Shared(bits) => {
                let form = Form::of(message.payload.len(), bits);
                let deflater = self.shared.take_deflater(form);
                if let Some(deflater) = self.put_by(connection, id, message, deflater) {
                    self.shared.put_deflater(form, deflater);
                }
            }
            Way::Own(window_bits) => {
                let contexts = connection.contexts.get_or_insert_default();
                let mut deflater = contexts.deflater.take().or_else(|| self.shared.own_deflater(window_bits));
                if let Some(deflater) = &mut deflater {
                    deflater.lend_room(mem::take(&mut self.shared.room.deflate));
                }
                let mut deflater = self.put_by(connection, id, message, deflater);
                if let Some(deflater) = &mut deflater {
                    self.shared.room.deflate = deflater.take_room();
                }
                if let Some(contexts) = &mut connection.contexts {
                    contexts.deflater = deflater;
                }
            }
        }
    }

    /// Queues what a compressor makes of a message, and gives the compressor back.
    fn put_by(
        &mut self,
        connection: &mut Connection,
        id: SocketId,
        message: &Outbound<'_>,
        mut deflater: Option<Box<Deflater>>,
    ) -> Option<Box<Deflater>> {
        let own = matches!(connection.compression.send, Way::Own(_));
        // What has touched a context must be sent, or later messages would refer to what the peer has never seen. Where there
        // is no context, what is no smaller than the message only costs the peer time.
        let packed = deflater.as_mut().and_then(|deflater| deflater.message(message.payload));
        match packed.filter(|packed| own || packed.len() < message.payload.len()) {
            Some(packed) => {
                self.counters.compressions.add(1);
                self.counters.messages_out_compressed.add(1);
                self.put(connection, id, message.opcode, true, packed);
            }
            None => self.put_frame(connection, id, message.opcode, message.payload),
        }
        deflater
    }
}

/// What one publish has been made into so far: the frame as it is, and its compressed forms, each made when the first
/// subscriber needs it.
///
/// All forms are in one log. Where plain and compressed subscribers are mixed, the ranges of a turn do not join, and each
/// publish is a segment of its own in an outbox. Measured with 500 subscribers and four publishes in a turn that is 1.40 us of
/// the server's time for a delivery against 1.36, so a log for each form would gain next to nothing.
pub(crate) struct Copies {
    plain: Option<LogRange>,
    /// A form that is no smaller than the message is the plain frame.
    packed: [Option<LogRange>; FORMS],
}

/// A copy to deliver, and whether it is compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copy {
    pub range: LogRange,
    pub packed: bool,
}

impl Copies {
    pub const fn new() -> Self {
        Self { plain: None, packed: [None; FORMS] }
    }

    /// The plain frame may be in the log already.
    pub fn with_plain(plain: Option<LogRange>, log: &mut TurnLog) -> Self {
        if let Some(range) = plain {
            log.hold(range.chunk);
        }
        Self { plain, ..Self::new() }
    }

    /// The copy that suits a connection.
    #[inline]
    pub fn of(&mut self, out: &mut Outgoing, message: &Outbound<'_>, packed: bool, way: Way) -> Copy {
        match (packed, way) {
            (false, _) | (_, Way::Plain) => Copy { range: self.plain(out, message), packed: false },
            (true, Way::Shared(bits) | Way::Own(bits)) => {
                let form = Form::of(message.payload.len(), bits);
                let range = match self.packed[form.index()] {
                    Some(range) => range,
                    None => self.pack(out, message, form),
                };
                Copy { range, packed: Some(range) != self.plain }
            }
        }
    }

    #[inline]
    fn plain(&mut self, out: &mut Outgoing, message: &Outbound<'_>) -> LogRange {
        *self.plain.get_or_insert_with(|| {
            let Outbound { opcode, payload, .. } = *message;
            append(out, payload.len(), |log| encode_frame(log, opcode, payload, None))
        })
    }

    /// Compresses a publish: once for each form, however many subscribers there are.
    #[cold]
    fn pack(&mut self, out: &mut Outgoing, message: &Outbound<'_>, form: Form) -> LogRange {
        let Outbound { opcode, payload, .. } = *message;
        let mut deflater = out.shared.take_deflater(form);
        let packed = deflater.as_mut().and_then(|deflater| deflater.message(payload));
        let range = match packed.filter(|packed| packed.len() < payload.len()) {
            Some(packed) => {
                out.counters.compressions.add(1);
                append(out, packed.len(), |log| encode_compressed(log, opcode, packed, None))
            }
            None => self.plain(out, message),
        };
        if let Some(deflater) = deflater {
            out.shared.put_deflater(form, deflater);
        }
        self.packed[form.index()] = Some(range);
        range
    }

    /// Lets go of the copies: from now on only outboxes hold them.
    pub fn release(self, log: &mut TurnLog) {
        // A form that is the plain frame is held as that, once.
        let packed = self.packed.into_iter().filter(|packed| *packed != self.plain);
        for range in packed.chain([self.plain]).flatten() {
            log.release(range.chunk);
        }
    }
}

/// Appends a frame to the log and holds it while it is handed out: a subscriber that is flushed on the way must not be the
/// last to let go.
fn append(out: &mut Outgoing, payload: usize, write: impl FnOnce(&mut Vec<u8>)) -> LogRange {
    let range = out.log.append(head_len(payload, false) + payload, write);
    out.counters.publish_copies.add(1);
    out.log.hold(range.chunk);
    range
}

impl Outgoing {
    /// Appends the frames of a stretch to the log, in one piece, and holds them as [`append`] does.
    pub fn append_stretch(&mut self, stretch: &Stretch<'_>) -> LogRange {
        let range = self.log.append(stretch.frames.len(), |log| log.extend_from_slice(stretch.frames));
        self.counters.publish_copies.add(stretch.len() as u64);
        self.log.hold(range.chunk);
        range
    }
}

//! RFC 6455, section 5, read slowly: what a receiver must make of bytes, told by a loop over them that shares nothing with the one
//! under test. It knows no compression, has all bytes at once, and copies.

use tidewire_proto::{CloseReason, Event, Limits, PeerError, Role};

/// Events, and the error that ended them.
pub type Told = (Vec<Event<'static>>, Option<PeerError>);

/// What these bytes mean.
pub fn meaning(role: Role, limits: &Limits, bytes: &[u8]) -> Told {
    let mut reader = Reader { role, limits, bytes, events: Vec::new(), message: None };
    loop {
        match reader.frame() {
            Ok(true) => {}
            Ok(false) => return (reader.events, None),
            Err(error) => return (reader.events, Some(error)),
        }
    }
}

/// The message whose frames are arriving.
struct Message {
    text: bool,
    bytes: Vec<u8>,
    frames: u32,
}

struct Reader<'a> {
    role: Role,
    limits: &'a Limits,
    bytes: &'a [u8],
    events: Vec<Event<'static>>,
    message: Option<Message>,
}

impl Reader<'_> {
    /// One frame; whether to go on.
    fn frame(&mut self) -> Result<bool, PeerError> {
        let Some(&first) = self.bytes.first() else { return Ok(false) };
        self.first(first)?;
        let (fin, opcode) = (first >= 0x80, first & 0xf);
        let Some(&second) = self.bytes.get(1) else { return Ok(false) };
        let masked = second >= 0x80;
        match self.role {
            Role::Server if !masked => return Err(PeerError::NotMasked),
            Role::Client if masked => return Err(PeerError::Masked),
            _ => {}
        }
        let short = u64::from(second & 0x7f);
        if opcode >= 8 && short >= 126 {
            return Err(PeerError::ControlTooLong);
        }
        let long = [0, 2, 8][short.saturating_sub(125) as usize];
        let Some(extended) = self.bytes.get(2..2 + long) else { return Ok(false) };
        let len = if long == 0 { short } else { extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)) };
        if long == 8 && len > i64::MAX as u64 {
            return Err(PeerError::LengthOverflow);
        }
        if long == 2 && len < 126 || long == 8 && len < 65_536 {
            return Err(PeerError::LengthNotMinimal);
        }
        let before = self.message.as_ref().map_or(0, |message| message.bytes.len());
        if opcode < 8 && len > (self.limits.max_message - before) as u64 {
            return Err(PeerError::MessageTooBig);
        }
        let head = 2 + long + if masked { 4 } else { 0 };
        let Some(key) = self.bytes.get(2 + long..head) else { return Ok(false) };
        let key = <[u8; 4]>::try_from(key).unwrap_or_default();
        let rest = &self.bytes[head..];
        let here = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
        let payload: Vec<u8> = (0..here).map(|at| rest[at] ^ key[at % 4]).collect();
        self.bytes = &rest[here..];
        let whole = here as u64 == len;
        if opcode >= 8 { self.control(opcode, payload, whole) } else { self.data(opcode, fin, &payload, whole) }
    }

    /// What the first byte says by itself, and whether such a frame may come now.
    fn first(&self, first: u8) -> Result<(), PeerError> {
        let (fin, opcode) = (first >= 0x80, first & 0xf);
        if first & 0x70 != 0 {
            return Err(PeerError::ReservedBits);
        }
        match opcode {
            0..=2 | 8..=10 => {}
            _ => return Err(PeerError::ReservedOpcode),
        }
        if opcode >= 8 {
            return if fin { Ok(()) } else { Err(PeerError::FragmentedControl) };
        }
        match &self.message {
            None if opcode == 0 => Err(PeerError::UnexpectedContinuation),
            Some(_) if opcode != 0 => Err(PeerError::ExpectedContinuation),
            Some(message) if message.frames >= self.limits.max_fragments => Err(PeerError::TooManyFragments),
            _ => Ok(()),
        }
    }

    fn data(&mut self, opcode: u8, fin: bool, payload: &[u8], whole: bool) -> Result<bool, PeerError> {
        let message = self.message.get_or_insert_with(|| Message { text: opcode == 1, bytes: Vec::new(), frames: 0 });
        message.frames += 1;
        message.bytes.extend_from_slice(payload);
        // A character that its end cuts may still be completed.
        if message.text && std::str::from_utf8(&message.bytes).is_err_and(|error| error.error_len().is_some()) {
            return Err(PeerError::InvalidUtf8);
        }
        if !whole {
            return Ok(false);
        }
        if fin {
            let Some(message) = self.message.take() else { return Ok(true) };
            self.events.push(match message.text {
                true => Event::Text(String::from_utf8(message.bytes).map_err(|_| PeerError::InvalidUtf8)?.into()),
                false => Event::Binary(message.bytes.into()),
            });
        }
        Ok(true)
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>, whole: bool) -> Result<bool, PeerError> {
        if !whole {
            return Ok(false);
        }
        match (opcode, &payload[..]) {
            (9, _) => self.events.push(Event::Ping(payload.into())),
            (10, _) => self.events.push(Event::Pong(payload.into())),
            (_, []) => self.events.push(Event::Close(None)),
            (_, [_]) => return Err(PeerError::CloseTooShort),
            (_, [high, low, reason @ ..]) => {
                let code = u16::from(*high) * 256 + u16::from(*low);
                if !matches!(code, 1000..=1014 | 3000..=4999) || matches!(code, 1004..=1006) {
                    return Err(PeerError::InvalidCloseCode);
                }
                let reason = String::from_utf8(reason.to_vec()).map_err(|_| PeerError::InvalidCloseReason)?;
                self.events.push(Event::Close(Some(CloseReason { code, reason: reason.into() })));
            }
        }
        Ok(opcode != 8)
    }
}

//! Scripts of frames: how they are generated, their bytes, and what they mean. The bytes and the meaning are worked out
//! here by plain means of their own, so that they can be held against the crate.

use proptest::prelude::*;
use tidewire_proto::{CloseReason, Event, Limits, PeerError, Role};

/// Narrow, so that scripts run into them.
pub const LIMITS: Limits = Limits { max_message: 700, max_fragments: 4 };

/// What a receiver gives.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub events: Vec<Event<'static>>,
    pub error: Option<PeerError>,
}

impl Outcome {
    pub fn closed(&self) -> bool {
        matches!(self.events.last(), Some(Event::Close(_)))
    }
}

/// What a peer sends to a receiver of this role.
#[derive(Debug, Clone)]
pub struct Script {
    pub role: Role,
    key: u32,
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
enum Item {
    /// A message, cut into fragments, with other frames between them.
    Message {
        text: bool,
        payload: Vec<u8>,
        cuts: Vec<prop::sample::Index>,
        between: Vec<Lone>,
    },
    Lone(Lone),
}

/// A frame that is not part of a message.
#[derive(Debug, Clone)]
enum Lone {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Broken(Broken),
}

/// A frame that must fail.
#[derive(Debug, Clone)]
enum Broken {
    Reserved(u8),
    Opcode(u8),
    FragmentedControl(u8),
    LongControl(u8, u16),
    WrongMask(u8),
    /// A continuation without a message, or a message within one.
    OutOfPlace(bool),
    Length16(u8),
    Length64(u16),
    Overflow(u64),
    TooBig(u64),
    CloseTooShort(u8),
    CloseCode(u16),
    CloseReason(u16),
}

pub fn strategy() -> impl Strategy<Value = Script> {
    (any::<bool>(), any::<u32>(), prop::collection::vec(item(), 0..6)).prop_map(|(server, key, items)| Script {
        role: if server { Role::Server } else { Role::Client },
        key,
        items,
    })
}

fn item() -> impl Strategy<Value = Item> {
    let text = prop_oneof![
        6 => "[a-zü水𝒳]{0,40}".prop_map(String::into_bytes),
        2 => "[a-z]{120,300}".prop_map(String::into_bytes),
        1 => prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..12),
    ];
    let binary = prop_oneof![3 => prop::collection::vec(any::<u8>(), 0..140), 1 => prop::collection::vec(any::<u8>(), 0..800)];
    let payload = prop_oneof![text.prop_map(|payload| (true, payload)), binary.prop_map(|payload| (false, payload)),];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    let message = (payload, cuts, prop::collection::vec(lone(), 0..3))
        .prop_map(|((text, payload), cuts, between)| Item::Message { text, payload, cuts, between });
    prop_oneof![4 => message, 1 => lone().prop_map(Item::Lone)]
}

fn lone() -> impl Strategy<Value = Lone> {
    let payload = || prop::collection::vec(any::<u8>(), 0..=125);
    let code = prop_oneof![1000u16..=1003, 1007u16..=1014, 3000u16..=4999];
    prop_oneof![
        8 => payload().prop_map(Lone::Ping),
        8 => payload().prop_map(Lone::Pong),
        1 => prop::option::of((code, "[a-zü]{0,40}")).prop_map(Lone::Close),
        2 => broken().prop_map(Lone::Broken),
    ]
}

fn broken() -> impl Strategy<Value = Broken> {
    let control = || 8u8..=10;
    let never = prop_oneof![0u16..1000, 1004u16..=1006, 1015u16..3000, 5000u16..];
    prop_oneof![
        (1u8..8).prop_map(Broken::Reserved),
        prop_oneof![3u8..8, 11u8..16].prop_map(Broken::Opcode),
        control().prop_map(Broken::FragmentedControl),
        (control(), 126u16..300).prop_map(|(opcode, len)| Broken::LongControl(opcode, len)),
        control().prop_map(Broken::WrongMask),
        any::<bool>().prop_map(Broken::OutOfPlace),
        (0u8..126).prop_map(Broken::Length16),
        any::<u16>().prop_map(Broken::Length64),
        (1u64 << 63..).prop_map(Broken::Overflow),
        (1u64 << 16..1 << 63).prop_map(Broken::TooBig),
        any::<u8>().prop_map(Broken::CloseTooShort),
        never.prop_map(Broken::CloseCode),
        (3000u16..4999).prop_map(Broken::CloseReason),
    ]
}

impl Script {
    /// The script's bytes.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Wire { masked: self.role == Role::Server, key: self.key, bytes: Vec::new() };
        for item in &self.items {
            match item {
                Item::Lone(lone) => wire.lone(lone, None),
                Item::Message { text, payload, cuts, between } => {
                    let fragments = fragments(payload, cuts);
                    for (index, fragment) in fragments.iter().enumerate() {
                        let last = index + 1 == fragments.len();
                        wire.frame(u8::from(last) << 7 | if index > 0 { 0 } else { opcode(*text) }, fragment);
                        if let Some(lone) = between.get(index).filter(|_| !last) {
                            wire.lone(lone, Some(*text));
                        }
                    }
                }
            }
        }
        wire.bytes
    }

    /// The events that it stands for, up to its first mistake.
    pub fn meaning(&self) -> Outcome {
        let mut outcome = Outcome::default();
        for item in &self.items {
            let result = match item {
                Item::Lone(lone) => self.lone(lone, false, &mut outcome.events),
                Item::Message { text, payload, cuts, between } => {
                    self.message(*text, &fragments(payload, cuts), between, &mut outcome.events)
                }
            };
            outcome.error = result.err();
            if outcome.error.is_some() || outcome.closed() {
                break;
            }
        }
        outcome
    }

    fn message(
        &self,
        text: bool,
        fragments: &[&[u8]],
        between: &[Lone],
        events: &mut Vec<Event<'static>>,
    ) -> Result<(), PeerError> {
        let mut payload = Vec::new();
        for (index, fragment) in fragments.iter().enumerate() {
            if index >= LIMITS.max_fragments as usize {
                return Err(PeerError::TooManyFragments);
            }
            payload.extend_from_slice(fragment);
            if payload.len() > LIMITS.max_message {
                return Err(PeerError::MessageTooBig);
            }
            let hopeless = |error: std::str::Utf8Error| error.error_len().is_some();
            if text && std::str::from_utf8(&payload).is_err_and(hopeless) {
                return Err(PeerError::InvalidUtf8);
            }
            if let Some(lone) = between.get(index).filter(|_| index + 1 < fragments.len()) {
                self.lone(lone, true, events)?;
                if matches!(lone, Lone::Close(_)) {
                    return Ok(());
                }
            }
        }
        events.push(if text {
            Event::Text(String::from_utf8(payload).map_err(|_| PeerError::InvalidUtf8)?.into())
        } else {
            Event::Binary(payload.into())
        });
        Ok(())
    }

    fn lone(&self, lone: &Lone, within: bool, events: &mut Vec<Event<'static>>) -> Result<(), PeerError> {
        events.push(match lone {
            Lone::Ping(payload) => Event::Ping(payload.clone().into()),
            Lone::Pong(payload) => Event::Pong(payload.clone().into()),
            Lone::Close(None) => Event::Close(None),
            Lone::Close(Some((code, reason))) => Event::Close(Some(CloseReason { code: *code, reason: reason.clone().into() })),
            Lone::Broken(broken) => return Err(broken.error(self.role, within)),
        });
        Ok(())
    }
}

impl Broken {
    fn error(&self, role: Role, within: bool) -> PeerError {
        match self {
            Self::Reserved(_) => PeerError::ReservedBits,
            Self::Opcode(_) => PeerError::ReservedOpcode,
            Self::FragmentedControl(_) => PeerError::FragmentedControl,
            Self::LongControl(..) => PeerError::ControlTooLong,
            Self::WrongMask(_) if role == Role::Server => PeerError::NotMasked,
            Self::WrongMask(_) => PeerError::Masked,
            Self::OutOfPlace(_) if within => PeerError::ExpectedContinuation,
            Self::OutOfPlace(_) => PeerError::UnexpectedContinuation,
            Self::Length16(_) | Self::Length64(_) => PeerError::LengthNotMinimal,
            Self::Overflow(_) => PeerError::LengthOverflow,
            Self::TooBig(_) => PeerError::MessageTooBig,
            Self::CloseTooShort(_) => PeerError::CloseTooShort,
            Self::CloseCode(_) => PeerError::InvalidCloseCode,
            Self::CloseReason(_) => PeerError::InvalidCloseReason,
        }
    }
}

fn opcode(text: bool) -> u8 {
    if text { 1 } else { 2 }
}

/// A payload in the pieces that these cuts make of it, empty ones among them.
fn fragments<'a>(payload: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(payload.len());
    let mut start = 0;
    cuts.into_iter().map(|end| &payload[std::mem::replace(&mut start, end)..end]).collect()
}

/// Writes frames bit by bit.
struct Wire {
    masked: bool,
    key: u32,
    bytes: Vec<u8>,
}

impl Wire {
    fn frame(&mut self, first: u8, payload: &[u8]) {
        match payload.len() {
            len @ 0..=125 => self.parts(first, len as u8, &[], payload),
            len => self.parts(first, 126, &(len as u16).to_be_bytes(), payload),
        }
    }

    /// A frame with a length of any form and value.
    fn parts(&mut self, first: u8, short: u8, extended: &[u8], payload: &[u8]) {
        self.bytes.extend([first, short | u8::from(self.masked) << 7]);
        self.bytes.extend(extended);
        let mut key = [0; 4];
        if self.masked {
            // Another one for each frame: a step of a linear generator.
            self.key = self.key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            key = self.key.to_be_bytes();
            self.bytes.extend(key);
        }
        self.bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }

    /// `within`: between the fragments of a message, and whether that is text.
    fn lone(&mut self, lone: &Lone, within: Option<bool>) {
        let continuation = within.map_or(1, |_| 0);
        match lone {
            Lone::Ping(payload) => self.frame(0x89, payload),
            Lone::Pong(payload) => self.frame(0x8a, payload),
            Lone::Close(None) => self.frame(0x88, &[]),
            Lone::Close(Some((code, reason))) => self.close(*code, reason.as_bytes()),
            Lone::Broken(Broken::Reserved(bits)) => self.frame(0x80 | bits << 4 | continuation, b"x"),
            Lone::Broken(Broken::Opcode(opcode)) => self.frame(0x80 | opcode, b"x"),
            Lone::Broken(Broken::FragmentedControl(opcode)) => self.frame(*opcode, b"x"),
            Lone::Broken(Broken::LongControl(opcode, len)) => self.frame(0x80 | opcode, &vec![0; usize::from(*len)]),
            Lone::Broken(Broken::WrongMask(opcode)) => {
                self.masked = !self.masked;
                self.frame(0x80 | opcode, b"x");
                self.masked = !self.masked;
            }
            Lone::Broken(Broken::OutOfPlace(fin)) => self.frame(u8::from(*fin) << 7 | within.map_or(0, opcode), b"x"),
            Lone::Broken(Broken::Length16(len)) => self.parts(continuation, 126, &[0, *len], b"x"),
            Lone::Broken(Broken::Length64(len)) => self.parts(continuation, 127, &u64::from(*len).to_be_bytes(), b"x"),
            Lone::Broken(Broken::Overflow(len) | Broken::TooBig(len)) => {
                self.parts(continuation, 127, &len.to_be_bytes(), b"x");
            }
            Lone::Broken(Broken::CloseTooShort(byte)) => self.frame(0x88, &[*byte]),
            Lone::Broken(Broken::CloseCode(code)) => self.close(*code, b"x"),
            Lone::Broken(Broken::CloseReason(code)) => self.close(*code, b"x\xc3\x28"),
        }
    }

    fn close(&mut self, code: u16, reason: &[u8]) {
        self.frame(0x88, &[&code.to_be_bytes()[..], reason].concat());
    }
}

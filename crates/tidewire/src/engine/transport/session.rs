//! One connection's TLS: rustls without sockets and without buffers of its own.
//!
//! rustls decrypts in the buffer that it is given (its "unbuffered" interface), so a session at rest holds keys and counters and
//! nothing else. The price is a rule: bytes that rustls has not let go of must be shown to it again, in front, in *every* call.
//! They are [`Session::partial`]: a record that has come in part, or records of a handshake message that has.

use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, CommonState, Error};

use super::Then;
use super::records::{self, Processed, Side, make_room};
pub(crate) use crate::tls::Acceptor;
use crate::tls::{Terms, TlsDetails};

/// The size of a record's head (RFC 8446, section 5.1): type, version, and two bytes of length.
const RECORD_HEAD: usize = 5;
/// The answer to HTTP in the clear; the client did not mean to speak to us in private.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 57\r\n\r\n\
    this port speaks TLS: use https:// or wss:// to reach it\n";

/// The TLS of one connection.
pub(crate) struct Session {
    tls: Tls,
    /// The session that this one's records travel in: that with a proxy, while this is the one with the server behind it.
    under: Option<Box<Session>>,
    /// Input that rustls has not let go of.
    partial: Vec<u8>,
    /// Records that the kernel has not taken; those before `waiting_at` it has.
    waiting: Vec<u8>,
    waiting_at: usize,
    /// How many bytes of the application's are in `waiting`.
    waiting_plain: usize,
    stage: Stage,
    /// Whether the peer's certificate is one that the server trusts.
    authorized: bool,
    /// We have said that we send no more.
    finished: bool,
}

/// rustls' part, by our role.
enum Tls {
    /// With what the handshake is made by, until it is made.
    Server(UnbufferedServerConnection, Option<Arc<Terms>>),
    /// With the reason for which the handshake failed.
    Client(UnbufferedClientConnection, Option<Box<Error>>),
}

/// Calls the same function for either role.
macro_rules! either {
    ($tls:expr, $side:ident => $call:expr) => {
        match $tls {
            Tls::Server($side, _) => $call,
            Tls::Client($side, _) => $call,
        }
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has come.
    New,
    Handshaking,
    Established,
    /// The peer sends no more, or nothing that counts; what comes is thrown away.
    Deaf,
}

impl Session {
    /// A session that waits for a ClientHello.
    pub fn new(terms: Arc<Terms>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(terms.config.clone())?;
        Ok(Self::with(Tls::Server(connection, Some(terms)), Stage::New, None))
    }

    /// A session that greets a server: its ClientHello waits to be pushed. `under` is the session that it travels in, if it does.
    /// `verified` says whether the configuration refuses certificates that are not trusted.
    pub fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        verified: bool,
        under: Option<Box<Self>>,
    ) -> Result<Self, Error> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        let mut session = Self::with(Tls::Client(connection, None), Stage::Handshaking, under);
        session.authorized = verified;
        session.process(&mut [], &mut Vec::new());
        session.pass_down();
        Ok(session)
    }

    fn with(tls: Tls, stage: Stage, under: Option<Box<Self>>) -> Self {
        Self {
            tls,
            under,
            partial: Vec::new(),
            waiting: Vec::new(),
            waiting_at: 0,
            waiting_plain: 0,
            stage,
            authorized: false,
            finished: false,
        }
    }

    /// Takes received bytes in, and appends what they say to `plain`. What is to be said in return waits to be pushed.
    pub fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> Then {
        let Some(under) = &mut self.under else { return self.open_own(input, plain) };
        let mut records = Vec::new();
        let below = under.open(input, &mut records);
        let then = if records.is_empty() { Then::More } else { self.open_own(&mut records, plain) };
        self.pass_down();
        if then == Then::More { below } else { then }
    }

    /// Has what we want to say travel in the session below.
    fn pass_down(&mut self) {
        let Some(under) = self.under.as_deref_mut().filter(|_| !self.waiting.is_empty()) else { return };
        let (mut sealed, plain) = (Vec::new(), under.waiting_plain);
        // It fails when that session has ended, and then nobody hears us any more.
        if let Ok(length) = under.seal(&self.waiting, &mut sealed, false) {
            sealed.truncate(length);
            (under.waiting, under.waiting_plain) = (sealed, plain);
        }
        self.waiting = Vec::new();
    }

    fn open_own(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> Then {
        if self.stage == Stage::New {
            // A record begins with a small number, a request with a letter.
            if input.first().is_some_and(u8::is_ascii_uppercase) {
                self.waiting.extend_from_slice(SPEAK_TLS);
                self.stage = Stage::Deaf;
                self.finished = true;
                return Then::Broken;
            }
            self.stage = Stage::Handshaking;
        }
        if self.finished {
            // Who has said that nothing more comes has nothing to say to what comes.
            return Then::More;
        }
        let mut at = 0;
        while !self.partial.is_empty() && at < input.len() {
            if self.stage == Stage::Deaf {
                return Then::More;
            }
            let step = self.wanted().min(input.len() - at);
            self.partial.extend_from_slice(&input[at..at + step]);
            at += step;
            let mut partial = std::mem::take(&mut self.partial);
            let (used, then) = self.process(&mut partial, plain);
            if used < partial.len() {
                partial.drain(..used);
                self.partial = partial;
            }
            if then != Then::More {
                return self.end(then);
            }
        }
        let rest = &mut input[at..];
        if rest.is_empty() || self.stage == Stage::Deaf {
            return Then::More;
        }
        let (used, then) = self.process(rest, plain);
        self.partial.extend_from_slice(&rest[used..]);
        if then == Then::More { then } else { self.end(then) }
    }

    /// How many more bytes of input are worth a copy behind those that are kept. Once established that is what completes the
    /// record, so that the records behind it are decrypted where they are.
    fn wanted(&self) -> usize {
        match *self.partial {
            _ if self.stage != Stage::Established => usize::MAX,
            [_, _, _, high, low, ..] => {
                let record = RECORD_HEAD + usize::from(u16::from_be_bytes([high, low]));
                match record.saturating_sub(self.partial.len()) {
                    // A whole record that is kept is a part of a message: it wants all there is.
                    0 => usize::MAX,
                    missing => missing,
                }
            }
            _ => RECORD_HEAD - self.partial.len(),
        }
    }

    /// Has rustls process bytes until it wants more; how many of them it is done with.
    fn process(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> (usize, Then) {
        let Processed { used, then, failure } =
            either!(&mut self.tls, side => records::process(side, bytes, plain, &mut self.waiting));
        if let (Tls::Client(_, reason), Some(failure)) = (&mut self.tls, failure) {
            *reason = Some(Box::new(failure));
        }
        if self.stage == Stage::Handshaking && !self.common().is_handshaking() {
            self.establish();
        }
        (used, then)
    }

    fn common(&self) -> &CommonState {
        either!(&self.tls, side => side.common())
    }

    fn establish(&mut self) {
        self.stage = Stage::Established;
        if let Tls::Server(connection, terms) = &mut self.tls
            && let (Some(terms), Some(certificates)) = (terms.take(), connection.peer_certificates())
        {
            self.authorized = terms.authorizes(certificates);
        }
    }

    /// Nothing that comes from here on counts.
    fn end(&mut self, then: Then) -> Then {
        self.stage = Stage::Deaf;
        if then == Then::Broken {
            // Whatever else we had to say, the peer could not read it.
            self.finished = true;
        }
        then
    }

    /// Encrypts bytes of the application into the front of `sealed`, behind the records that wait; says how long they are
    /// together. Only while nothing is [stalled](Session::is_stalled). After the `last` there is the session's own end.
    ///
    /// # Errors
    /// When the session is not established, or has ended.
    pub fn seal(&mut self, bytes: &[u8], sealed: &mut Vec<u8>, last: bool) -> io::Result<usize> {
        if self.under.is_none() {
            return self.seal_own(bytes, sealed, last);
        }
        let mut records = Vec::new();
        let length = self.seal_own(bytes, &mut records, last)?;
        match &mut self.under {
            Some(under) => under.seal(&records[..length], sealed, last),
            None => Ok(0),
        }
    }

    fn seal_own(&mut self, bytes: &[u8], sealed: &mut Vec<u8>, last: bool) -> io::Result<usize> {
        if self.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Of this session alone: under a session in a session, what waits has been passed down.
        let length = self.waiting.len() - self.waiting_at;
        if length > 0 {
            make_room(sealed, length);
            sealed[..length].copy_from_slice(&self.waiting[self.waiting_at..]);
            self.forget_waiting();
        }
        let length = either!(&mut self.tls, side => records::seal(side, &mut self.partial, bytes, sealed, length, last))?;
        self.finished |= last;
        Ok(length)
    }

    /// Says to the peer that no more comes, once; that waits to be pushed.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            either!(&mut self.tls, side => records::finish(side, &mut self.partial, &mut self.waiting));
        }
        self.pass_down();
        if let Some(under) = &mut self.under {
            under.finish();
        }
    }

    /// Keeps records that the kernel did not take, with so many bytes of the application's.
    pub fn keep(&mut self, records: &[u8], plain: usize) {
        if let Some(under) = &mut self.under {
            return under.keep(records, plain);
        }
        debug_assert!(self.waiting.is_empty(), "what waited was sent before");
        self.waiting.extend_from_slice(records);
        self.waiting_plain = plain;
    }

    /// Records that the kernel has not taken.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        match &self.under {
            Some(under) => under.waiting(),
            None => &self.waiting[self.waiting_at..],
        }
    }

    /// The kernel has taken so many bytes of [`Session::waiting`].
    pub fn advance(&mut self, sent: usize) {
        if let Some(under) = &mut self.under {
            return under.advance(sent);
        }
        self.waiting_at += sent;
        if self.waiting_at == self.waiting.len() {
            self.forget_waiting();
        }
    }

    fn forget_waiting(&mut self) {
        self.waiting = Vec::new();
        self.waiting_at = 0;
        self.waiting_plain = 0;
    }

    /// Whether bytes of the application wait here: the kernel did not take them.
    #[inline]
    pub fn is_stalled(&self) -> bool {
        match &self.under {
            Some(under) => under.is_stalled(),
            None => self.waiting_plain > 0,
        }
    }

    /// How many bytes of the application wait here. While their records go out that is the smaller of what they were and of what
    /// is left of the records: it never rises, and is zero when the kernel has all.
    #[inline]
    pub fn queued(&self) -> usize {
        match &self.under {
            Some(under) => under.queued(),
            None => self.waiting_plain.min(self.waiting().len()),
        }
    }

    /// Whether the handshake is still to be made.
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Why a client's handshake failed, if rustls had a reason.
    pub fn failure(&self) -> Option<&Error> {
        match &self.tls {
            Tls::Client(_, failure) => failure.as_deref().or_else(|| self.under.as_ref()?.failure()),
            Tls::Server(..) => None,
        }
    }

    /// What was agreed with the peer; `None` before.
    pub fn details(&self) -> Option<TlsDetails> {
        if self.is_handshaking() {
            return None;
        }
        TlsDetails::of(self.common(), self.authorized)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("stage", &self.stage).finish_non_exhaustive()
    }
}

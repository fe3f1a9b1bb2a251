//! One connection's TLS: rustls without sockets and without buffers of its own.
//!
//! rustls decrypts in the buffer that it is given (its "unbuffered" interface), so a session at rest holds keys and counters and
//! nothing else. The price is a rule: bytes that rustls has not let go of must be shown to it again, in front, in *every* call.
//! They are [`Session::partial`]: a record that has come in part, or records of a handshake message that has.

use std::io;
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};

use super::Then;
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
    tls: UnbufferedServerConnection,
    /// Input that rustls has not let go of.
    partial: Vec<u8>,
    /// Records that the kernel has not taken; those before `waiting_at` it has.
    waiting: Vec<u8>,
    waiting_at: usize,
    /// How many bytes of the application's are in `waiting`.
    waiting_plain: usize,
    /// What the handshake was made by, until it is made.
    terms: Option<Arc<Terms>>,
    stage: Stage,
    /// Whether the peer's certificate is one that the server trusts.
    authorized: bool,
    /// We have said that we send no more.
    finished: bool,
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
    pub fn new(terms: Arc<Terms>) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(terms.config.clone())?,
            partial: Vec::new(),
            waiting: Vec::new(),
            waiting_at: 0,
            waiting_plain: 0,
            terms: Some(terms),
            stage: Stage::New,
            authorized: false,
            finished: false,
        })
    }

    /// Takes received bytes in, and appends what they say to `plain`. What is to be said in return waits to be pushed.
    pub fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> Then {
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
        let mut used = 0;
        let then = loop {
            let status = self.tls.process_tls_records(&mut bytes[used..]);
            let discard = status.discard;
            let step = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        plain.extend_from_slice(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.waiting).err().map(|_| Then::Broken),
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Then::End),
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Some(Then::More),
                Err(error) => {
                    tracing::debug!(%error, "a TLS connection failed");
                    self.alert(&mut bytes[used..]);
                    Some(Then::Broken)
                }
                // Early data is not offered, and what is not known was not asked for.
                Ok(_) => Some(Then::Broken),
            };
            used += discard;
            if let Some(then) = step {
                break then;
            }
        };
        if self.stage == Stage::Handshaking && !self.tls.is_handshaking() {
            self.establish();
        }
        (used, then)
    }

    /// After a failure, rustls may have an alert for the peer. It is not asked for more than it has: it would fail again.
    fn alert(&mut self, bytes: &mut [u8]) {
        while self.tls.wants_write() {
            match self.tls.process_tls_records(bytes).state {
                Ok(ConnectionState::EncodeTlsData(data)) => drop(encode(data, &mut self.waiting)),
                _ => return,
            }
        }
    }

    fn establish(&mut self) {
        self.stage = Stage::Established;
        if let (Some(terms), Some(certificates)) = (self.terms.take(), self.tls.peer_certificates()) {
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
        if self.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut length = self.waiting().len();
        if length > 0 {
            make_room(sealed, length);
            sealed[..length].copy_from_slice(self.waiting());
            self.forget_waiting();
        }
        loop {
            match self.tls.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    length += encrypt(&mut traffic, bytes, sealed, length)?;
                    if last {
                        self.finished = true;
                        length += end(&mut traffic, sealed, length);
                    }
                    return Ok(length);
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    let mut records = Vec::new();
                    encode(data, &mut records)?;
                    make_room(sealed, length + records.len());
                    sealed[length..length + records.len()].copy_from_slice(&records);
                    length += records.len();
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                // It reports the peer's close_notify once, wherever it is asked next.
                Ok(ConnectionState::PeerClosed) => {}
                _ => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// Says to the peer that no more comes, once; that waits to be pushed.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        loop {
            match self.tls.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let at = self.waiting.len();
                    let written = end(&mut traffic, &mut self.waiting, at);
                    self.waiting.truncate(at + written);
                    return;
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    if encode(data, &mut self.waiting).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {}
                // A handshake that is not made is not ended either: the end of the stream says enough.
                _ => return,
            }
        }
    }

    /// Keeps records that the kernel did not take, with so many bytes of the application's.
    pub fn keep(&mut self, records: &[u8], plain: usize) {
        debug_assert!(self.waiting.is_empty(), "what waited was sent before");
        self.waiting.extend_from_slice(records);
        self.waiting_plain = plain;
    }

    /// Records that the kernel has not taken.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        &self.waiting[self.waiting_at..]
    }

    /// The kernel has taken so many bytes of [`Session::waiting`].
    pub fn advance(&mut self, sent: usize) {
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
        self.waiting_plain > 0
    }

    /// How many bytes of the application wait here. While their records go out that is the smaller of what they were and of what
    /// is left of the records: it never rises, and is zero when the kernel has all.
    #[inline]
    pub fn queued(&self) -> usize {
        self.waiting_plain.min(self.waiting().len())
    }

    /// Whether the handshake is still to be made.
    pub fn is_handshaking(&self) -> bool {
        self.terms.is_some()
    }

    /// What was agreed with the peer; `None` before.
    pub fn details(&self) -> Option<TlsDetails> {
        if self.is_handshaking() {
            return None;
        }
        TlsDetails::of(&self.tls, self.authorized)
    }
}

/// Encrypts to a place in scratch memory; how long the records are.
fn encrypt<Data>(traffic: &mut WriteTraffic<'_, Data>, bytes: &[u8], sealed: &mut Vec<u8>, at: usize) -> io::Result<usize> {
    loop {
        match traffic.encrypt(bytes, &mut sealed[at..]) {
            Ok(written) => return Ok(written),
            Err(EncryptError::InsufficientSize(error)) => make_room(sealed, at + error.required_size),
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
}

/// Writes the close_notify to a place in scratch memory; how long it is.
fn end<Data>(traffic: &mut WriteTraffic<'_, Data>, sealed: &mut Vec<u8>, at: usize) -> usize {
    if let Err(EncryptError::InsufficientSize(error)) = traffic.queue_close_notify(&mut []) {
        make_room(sealed, at + error.required_size);
    }
    traffic.queue_close_notify(&mut sealed[at..]).unwrap_or(0)
}

/// Lengthens the scratch memory to at least so many bytes.
fn make_room(sealed: &mut Vec<u8>, length: usize) {
    if sealed.len() < length {
        sealed.resize(length, 0);
    }
}

/// Appends handshake records.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> io::Result<()> {
    let at = out.len();
    if let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) {
        out.resize(at + error.required_size, 0);
        let written = data.encode(&mut out[at..]).map_err(|error| io::Error::other(error.to_string()))?;
        out.truncate(at + written);
    }
    Ok(())
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("stage", &self.stage).finish_non_exhaustive()
    }
}

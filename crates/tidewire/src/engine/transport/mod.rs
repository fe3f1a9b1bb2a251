//! The transport: between a connection's bytes and the kernel's, in the clear or through TLS. It knows no frames and no HTTP.
//!
//! A connection in the clear costs nothing here. One that is secured has a [`Session`], which turns bytes into records and back
//! without a buffer of its own: what is received is decrypted out of the worker's receive buffer, and what is sent is encrypted
//! into the worker's [`Scratch`]. A session keeps bytes only while a record has come in part, or while the kernel has taken one
//! in part.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod records;
#[cfg(feature = "tls")]
mod session;

use std::io::{self, ErrorKind, IoSlice};
use std::ops::{Deref, DerefMut};

use tidewire_sys::{Buffer, Io, Socket};

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{Acceptor, Session};
#[cfg(feature = "tls")]
pub(crate) use session::{Acceptor, Session};

/// A connection's TLS, if it has any.
pub(crate) type Secured = Option<Box<Session>>;

/// The worker's memory for what is on its way through TLS; it is used within one call and means nothing between two.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Decrypted bytes of one receive.
    plain: Vec<u8>,
    /// Slices that become one record.
    gathered: Vec<u8>,
    /// Records on their way to the kernel.
    sealed: Vec<u8>,
}

impl Scratch {
    /// A piece of scratch memory larger than this is not kept.
    const KEPT: usize = 512 * 1024;

    /// Takes back the memory of what was received.
    pub fn give_back(&mut self, io: &mut dyn Io, input: Input) {
        match input {
            Input::Pooled(buffer) => io.give_back(buffer),
            Input::Decrypted(mut plain) => {
                if plain.capacity() <= Self::KEPT {
                    plain.clear();
                    self.plain = plain;
                }
            }
        }
    }
}

/// What one receive brought.
pub(crate) struct Received {
    /// Bytes for the stage of the connection; possibly none, which means nothing.
    pub input: Input,
    /// What is behind them.
    pub then: Then,
}

/// What is behind received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Perhaps more, another time.
    More,
    /// The end of the peer's direction.
    End,
    /// Nothing that can be trusted: the peer broke TLS. What we have to say to that is ready to be pushed.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody can break what is not there"))]
    Broken,
}

/// Received bytes, wherever they lie.
pub(crate) enum Input {
    Pooled(Buffer),
    Decrypted(Vec<u8>),
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Pooled(buffer) => buffer,
            Self::Decrypted(plain) => plain,
        }
    }
}

impl DerefMut for Input {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pooled(buffer) => buffer,
            Self::Decrypted(plain) => plain,
        }
    }
}

/// Receives once. All records that this completes are decrypted, and their contents handed on together.
#[inline]
pub(crate) fn recv(io: &mut dyn Io, scratch: &mut Scratch, socket: &Socket, tls: &mut Secured) -> io::Result<Received> {
    let mut buffer = io.recv(socket)?;
    let Some(session) = tls else {
        let then = if buffer.is_empty() { Then::End } else { Then::More };
        return Ok(Received { input: Input::Pooled(buffer), then });
    };
    let mut plain = std::mem::take(&mut scratch.plain);
    // A peer may leave its close_notify out: a WebSocket and a request say themselves when they are complete.
    let then = if buffer.is_empty() { Then::End } else { session.open(&mut buffer, &mut plain) };
    io.give_back(buffer);
    Ok(Received { input: Input::Decrypted(plain), then })
}

/// Sends what the kernel takes, in order, and says how much of `bytes` is off the caller's hands. Less than all: the kernel takes
/// no more now. Under TLS the last of it may wait in the session, encrypted: see [`Session::is_stalled`]. `last` says that nothing
/// will follow: TLS says so too, in the same packet.
#[inline]
pub(crate) fn send(
    io: &mut dyn Io,
    scratch: &mut Scratch,
    socket: &Socket,
    tls: &mut Secured,
    bytes: &[IoSlice<'_>],
    last: bool,
) -> io::Result<usize> {
    match tls {
        None => io.send(socket, bytes),
        Some(session) => send_sealed(io, scratch, socket, session, bytes, last),
    }
}

/// How much is encrypted before the kernel is asked to take it: four records of the largest size.
const BATCH: usize = 64 * 1024;

/// Encrypts and sends, a batch at a time, until the kernel does not take a whole one.
fn send_sealed(
    io: &mut dyn Io,
    scratch: &mut Scratch,
    socket: &Socket,
    session: &mut Session,
    bytes: &[IoSlice<'_>],
    last: bool,
) -> io::Result<usize> {
    let Scratch { gathered, sealed, .. } = scratch;
    let total: usize = bytes.iter().map(|slice| slice.len()).sum();
    let mut cursor = Cursor { bytes, slice: 0, at: 0 };
    let mut accepted = 0;
    while accepted < total {
        let batch = cursor.batch(gathered);
        let size = batch.len();
        accepted += size;
        let length = session.seal(batch, sealed, last && accepted == total)?;
        let sent = send_once(io, socket, &sealed[..length])?;
        if sent < length {
            session.keep(&sealed[sent..length], size);
            break;
        }
    }
    if sealed.capacity() > Scratch::KEPT {
        *sealed = Vec::new();
    }
    Ok(accepted)
}

/// How much the kernel takes at once; possibly nothing.
fn send_once(io: &mut dyn Io, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match io.send(socket, &[IoSlice::new(bytes)]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

/// Sends what waits in the session; whether that is all of it.
pub(crate) fn push(io: &mut dyn Io, socket: &Socket, session: &mut Session) -> io::Result<bool> {
    while !session.waiting().is_empty() {
        match send_once(io, socket, session.waiting())? {
            0 => return Ok(false),
            sent => session.advance(sent),
        }
    }
    Ok(true)
}

/// A place in a list of slices.
struct Cursor<'a> {
    bytes: &'a [IoSlice<'a>],
    slice: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next bytes, at most [`BATCH`]: where they are, when one slice holds them, else gathered.
    fn batch<'g>(&mut self, gathered: &'g mut Vec<u8>) -> &'g [u8]
    where
        'a: 'g,
    {
        let first = self.piece(BATCH);
        let more = self.slice < self.bytes.len();
        if first.len() == BATCH || !more {
            return first;
        }
        gathered.clear();
        gathered.extend_from_slice(first);
        while gathered.len() < BATCH && self.slice < self.bytes.len() {
            let piece = self.piece(BATCH - gathered.len());
            gathered.extend_from_slice(piece);
        }
        gathered
    }

    /// The next bytes of one slice.
    fn piece(&mut self, most: usize) -> &'a [u8] {
        let bytes: &'a [IoSlice<'a>] = self.bytes;
        let Some(slice) = bytes.get(self.slice) else { return &[] };
        let end = slice.len().min(self.at + most);
        let piece = &slice[self.at..end];
        self.at = end;
        if end == slice.len() {
            self.slice += 1;
            self.at = 0;
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_become_batches_of_the_same_bytes_in_the_same_order() {
        for sizes in [vec![3], vec![0, 5, 0], vec![10, 20, 30], vec![BATCH, 1], vec![1, BATCH, BATCH * 2 + 7, 3], vec![BATCH * 3]]
        {
            let all: Vec<u8> = (0..sizes.iter().sum()).map(|i: usize| (i % 251) as u8).collect();
            let mut rest = &all[..];
            let slices: Vec<IoSlice<'_>> = sizes
                .iter()
                .map(|size| {
                    let (slice, behind) = rest.split_at(*size);
                    rest = behind;
                    IoSlice::new(slice)
                })
                .collect();
            let mut cursor = Cursor { bytes: &slices, slice: 0, at: 0 };
            let (mut came, mut gathered) = (Vec::new(), Vec::new());
            while came.len() < all.len() {
                let batch = cursor.batch(&mut gathered);
                assert!(!batch.is_empty() && batch.len() <= BATCH, "{} bytes of {sizes:?}", batch.len());
                came.extend_from_slice(batch);
            }
            assert_eq!(came, all);
        }
    }
}

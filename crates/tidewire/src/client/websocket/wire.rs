//! A [`WebSocket`](super::WebSocket)'s socket: bytes in, bytes out, through TLS or in the clear, without a buffer for an idle one.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::engine::transport::{Secured, Then};

/// The most that one receive brings.
const RECEIVE: usize = 64 * 1024;
/// A piece of memory larger than this is not kept.
const KEPT: usize = 256 * 1024;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }
}

/// What is lent for one receive. It is the thread's, so that an idle connection has none.
pub(super) struct Scratch {
    read: Vec<u8>,
    plain: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    pub fn borrow() -> Box<Self> {
        SCRATCH.take().unwrap_or_else(|| Box::new(Self { read: vec![0; RECEIVE], plain: Vec::new() }))
    }

    pub fn give_back(mut self: Box<Self>) {
        if self.plain.capacity() > KEPT {
            self.plain = Vec::new();
        }
        SCRATCH.set(Some(self));
    }

    /// The bytes that were received.
    pub fn received(&mut self, received: &Received) -> &mut [u8] {
        if received.sealed { &mut self.plain } else { &mut self.read[..received.length] }
    }
}

/// What one receive brought.
pub(super) struct Received {
    length: usize,
    /// They were decrypted.
    sealed: bool,
    /// The stream ends behind them.
    pub end: bool,
}

/// Receives once.
pub(super) fn poll_receive(
    socket: &mut Socket,
    tls: &mut Secured,
    cx: &mut Context<'_>,
    scratch: &mut Scratch,
) -> Poll<io::Result<Received>> {
    let mut buffer = ReadBuf::new(&mut scratch.read);
    ready!(socket.poll_read(cx, &mut buffer))?;
    let length = buffer.filled().len();
    let Some(session) = tls else { return Poll::Ready(Ok(Received { length, sealed: false, end: length == 0 })) };
    scratch.plain.clear();
    let then = if length == 0 { Then::End } else { session.open(&mut scratch.read[..length], &mut scratch.plain) };
    Poll::Ready(match then {
        Then::Broken => Err(io::Error::new(ErrorKind::InvalidData, "the server broke TLS")),
        then => Ok(Received { length: scratch.plain.len(), sealed: true, end: then == Then::End }),
    })
}

/// Which half waits for the kernel to take more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Stream,
    Sink,
}

/// Who waits for the kernel to take more: after a split these are two tasks, and tokio knows one of them at a time.
#[derive(Debug, Default)]
struct Waiting(Mutex<[Option<Waker>; 2]>);

impl Waiting {
    fn wait(&self, side: Side, waker: &Waker) {
        let place = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[side as usize];
        match place {
            Some(waiting) => waiting.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    pub socket: Socket,
    pub tls: Secured,
    /// Frames that are not encrypted yet, or need not be.
    pub out: Vec<u8>,
    /// Records; in the clear, none.
    sealed: Vec<u8>,
    /// How much the kernel has of what goes to it: of the records under TLS, else of the frames.
    sent: usize,
    /// Nothing follows what is queued: TLS says so as well.
    finishing: bool,
    waiting: Arc<Waiting>,
    waker: Waker,
}

impl Wire {
    pub fn new(socket: Socket, tls: Secured) -> Self {
        let waiting = Arc::<Waiting>::default();
        let waker = Waker::from(waiting.clone());
        Self { socket, tls, out: Vec::new(), sealed: Vec::new(), sent: 0, finishing: false, waiting, waker }
    }

    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<crate::tls::TlsDetails> {
        self.tls.as_ref()?.details()
    }

    /// The bytes that the kernel does not have yet.
    pub fn queued(&self) -> usize {
        let own = self.tls.as_ref().map_or(0, |session| session.waiting().len());
        self.out.len() + self.sealed.len() + own - self.sent
    }

    /// Nothing is queued any more from here on: behind what is, TLS ends with close_notify (RFC 8446, section 6.1).
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Encrypts what is to be encrypted.
    fn seal(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.tls else { return Ok(()) };
        if !self.sealed.is_empty() {
            return Ok(());
        }
        if !self.out.is_empty() {
            let length = session.seal(&self.out, &mut self.sealed, self.finishing)?;
            self.sealed.truncate(length);
            self.out.clear();
            return Ok(());
        }
        if self.finishing {
            session.finish();
        }
        if !session.waiting().is_empty() {
            let waiting = session.waiting();
            self.sealed.extend_from_slice(waiting);
            let length = waiting.len();
            session.advance(length);
        }
        Ok(())
    }

    /// Gives the kernel what it takes at once; whether that is all.
    pub fn try_flush(&mut self) -> io::Result<bool> {
        loop {
            self.seal()?;
            let ready = if self.tls.is_some() { &mut self.sealed } else { &mut self.out };
            if ready.is_empty() {
                return Ok(true);
            }
            match self.socket.try_write(&ready[self.sent..]) {
                Ok(taken) => {
                    self.sent += taken;
                    if self.sent == ready.len() {
                        self.sent = 0;
                        ready.clear();
                        if ready.capacity() > KEPT {
                            *ready = Vec::new();
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the kernel everything, and waits for it if it does not take it.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, side: Side) -> Poll<io::Result<()>> {
        loop {
            if self.try_flush()? {
                return Poll::Ready(Ok(()));
            }
            self.waiting.wait(side, cx.waker());
            let cx = &mut Context::from_waker(&self.waker);
            ready!(match &self.socket {
                Socket::Tcp(stream) => stream.poll_write_ready(cx),
                Socket::Unix(stream) => stream.poll_write_ready(cx),
            })?;
        }
    }
}

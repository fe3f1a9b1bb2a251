//! Bodies that stream: of responses, fed by JavaScript as the peer takes them, and of requests, read when JavaScript asks.
//!
//! Both are pulled. hyper asks a response's body for more only while the connection has room; when what JavaScript has
//! written is nearly used up, it is told to go on. A request's body is read piece by piece; while nobody asks, the peer waits.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tidewire::engine::LocalWorker;
use tidewire::http::{PeerGone, RequestBody};

/// While more than this waits in a response's body, JavaScript is asked to wait.
const ENOUGH: usize = 64 * 1024;

/// What JavaScript is to be told about a response's body, once the turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// There is room again.
    Room(u32),
    /// Nobody takes any more of it.
    Cancelled(u32),
}

/// The response bodies that JavaScript writes, by their requests' numbers.
#[derive(Default)]
pub struct Outgoing {
    bodies: RefCell<HashMap<u32, Rc<RefCell<Stream>>>>,
    notices: RefCell<Vec<Notice>>,
}

/// What has been written and not been taken.
#[derive(Default)]
struct Stream {
    chunks: VecDeque<Bytes>,
    waiting: usize,
    end: Option<Result<(), String>>,
    waker: Option<Waker>,
    /// JavaScript waits for room.
    full: bool,
}

impl Outgoing {
    /// Begins a body.
    pub fn begin(self: &Rc<Self>, number: u32, gone: PeerGone) -> Written {
        let stream = Rc::<RefCell<Stream>>::default();
        self.bodies.borrow_mut().insert(number, stream.clone());
        Written { number, stream, gone: Box::pin(gone), outgoing: self.clone() }
    }

    /// Adds a chunk; `false`: wait for [`Notice::Room`] before the next.
    pub fn write(&self, number: u32, chunk: &[u8]) -> bool {
        let Some(stream) = self.bodies.borrow().get(&number).cloned() else { return false };
        let stream = &mut *stream.borrow_mut();
        if !chunk.is_empty() {
            stream.chunks.push_back(Bytes::copy_from_slice(chunk));
            stream.waiting += chunk.len();
            stream.waker.take().into_iter().for_each(Waker::wake);
        }
        stream.full = stream.waiting > ENOUGH;
        !stream.full
    }

    /// Ends a body; with an error, its response breaks off.
    pub fn end(&self, number: u32, result: Result<(), String>) {
        let Some(stream) = self.bodies.borrow_mut().remove(&number) else { return };
        let stream = &mut *stream.borrow_mut();
        stream.end = Some(result);
        stream.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Takes what JavaScript is to be told.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.borrow_mut())
    }

    pub fn has_notices(&self) -> bool {
        !self.notices.borrow().is_empty()
    }

    fn note(&self, notice: Notice) {
        self.notices.borrow_mut().push(notice);
    }
}

/// A response's body, as hyper takes it.
pub struct Written {
    number: u32,
    stream: Rc<RefCell<Stream>>,
    gone: Pin<Box<PeerGone>>,
    outgoing: Rc<Outgoing>,
}

impl Body for Written {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        // A stream may be silent for long, and would not see that its reader has left.
        if self.gone.as_mut().poll(context) == Poll::Ready(true) {
            return Poll::Ready(Some(Err("the peer has left".to_owned())));
        }
        let stream = &mut *self.stream.borrow_mut();
        if let Some(chunk) = stream.chunks.pop_front() {
            stream.waiting -= chunk.len();
            if stream.full && stream.waiting <= ENOUGH {
                stream.full = false;
                self.outgoing.note(Notice::Room(self.number));
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match stream.end.take() {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                stream.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Still there: JavaScript has not ended it.
        let unfinished = self.outgoing.bodies.borrow_mut().remove(&self.number);
        if unfinished.is_some() {
            self.outgoing.note(Notice::Cancelled(self.number));
        }
    }
}

/// The request bodies that JavaScript reads, by their requests' numbers.
#[derive(Default)]
pub struct Incoming(RefCell<HashMap<u32, Rc<Reading>>>);

struct Reading {
    /// Not there while it is being polled.
    body: Cell<Option<RequestBody>>,
    cancelled: Cell<bool>,
}

/// What a piece of a body is.
pub enum Piece {
    Chunk(Bytes),
    End,
    /// It is larger than a request's body may be.
    TooLarge,
    /// Its peer has left, or sent what is no body.
    Broken,
}

impl Incoming {
    /// Keeps a body until it has been read.
    pub fn keep(&self, number: u32, body: RequestBody) {
        self.0.borrow_mut().insert(number, Rc::new(Reading { body: Cell::new(Some(body)), cancelled: Cell::new(false) }));
    }

    pub fn holds(&self, number: u32) -> bool {
        self.0.borrow().contains_key(&number)
    }

    /// Reads the next piece, and calls `give` with it in a later turn, unless the body is dropped meanwhile.
    pub fn read(self: &Rc<Self>, number: u32, worker: &LocalWorker, give: impl FnOnce(Piece) + 'static) {
        let reading = self.0.borrow().get(&number).cloned();
        let this = self.clone();
        worker.spawn(async move {
            let Some((reading, mut body)) = reading.and_then(|reading| reading.body.take().map(|body| (reading, body))) else {
                return give(Piece::Broken);
            };
            let piece = loop {
                match body.frame().await {
                    None => break Piece::End,
                    Some(Err(error)) if error.is_too_large() => break Piece::TooLarge,
                    Some(Err(_)) => break Piece::Broken,
                    // Trailers are nobody's.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(chunk) if !chunk.is_empty() => break Piece::Chunk(chunk),
                        _ => {}
                    },
                }
            };
            if reading.cancelled.get() {
                return;
            }
            match piece {
                Piece::Chunk(_) => reading.body.set(Some(body)),
                _ => this.cancel(number),
            }
            give(piece);
        });
    }

    /// Drops a body.
    pub fn cancel(&self, number: u32) {
        let reading = self.0.borrow_mut().remove(&number);
        if let Some(reading) = &reading {
            reading.cancelled.set(true);
        }
        drop(reading);
    }
}

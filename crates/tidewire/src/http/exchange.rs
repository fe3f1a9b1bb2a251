//! One connection's HTTP: hyper over a [`Pipe`], and the one request that is under way.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;

use super::Response;
use super::body::{Body, BodyError};
use super::guard::{Guard, REFUSED};
use super::pipe::Pipe;
use crate::engine::Options;

/// How a poll of hyper ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It waits for input, for room, or for a response.
    Waiting,
    /// The connection is over; what is written goes out.
    Done,
    /// It is over because of a head that is too large; hyper has answered 431.
    TooLarge,
    /// It is over because what came is no request; hyper has answered 400, or broken the body off.
    Malformed,
}

pub(crate) struct Exchange {
    /// The first field, because it is dropped first: the request is still under way then.
    presence: Presence,
    connection: Connection<Pipe, Park>,
    pipe: Pipe,
    guard: Guard,
    parking: Rc<RefCell<Parking>>,
    waker: Waker,
    /// A byte of the next request's head has come.
    pub head_begun: bool,
    /// The deadline that runs is the one of a head or of the time between requests.
    pub awaiting_head: bool,
    pub closing: bool,
    /// The application's own limit for the request under way, in place of the option.
    pub idle_timeout: Option<Duration>,
}

/// Where the request under way waits for its response.
#[derive(Debug, Default)]
struct Parking {
    /// Counts requests: an answer to an old one finds nothing.
    sequence: u64,
    request: Option<http::Request<Incoming>>,
    response: Option<Response>,
    /// A response has been given: an upgrade is too late.
    answered: bool,
    /// From the request's head until the response's body is written.
    active: bool,
    /// The client asks for another protocol: what follows the request need not be HTTP.
    asks_upgrade: bool,
    waker: Option<Waker>,
    /// The peer left while the request was under way.
    left: bool,
    /// The connection ended while it was: nothing takes an answer any more.
    over: bool,
    /// Who waits to hear of that.
    watchers: Vec<Waker>,
}

impl Parking {
    /// Has the watchers look again, with nothing here borrowed: a waker may be of any kind.
    fn tell(parking: &RefCell<Self>) {
        let watchers = std::mem::take(&mut parking.borrow_mut().watchers);
        watchers.into_iter().for_each(Waker::wake);
    }

    /// The peer has ended its direction, or the connection is gone.
    fn leave(parking: &RefCell<Self>) {
        {
            let mut parking = parking.borrow_mut();
            parking.left |= parking.active;
        }
        Self::tell(parking);
    }

    /// The request is done with.
    fn finish(parking: &RefCell<Self>) {
        parking.borrow_mut().active = false;
        Self::tell(parking);
    }
}

/// The connection, as its watchers see it: dropped with it.
struct Presence(Rc<RefCell<Parking>>);

impl Drop for Presence {
    fn drop(&mut self) {
        {
            let mut parking = self.0.borrow_mut();
            parking.over |= parking.active;
        }
        Parking::leave(&self.0);
    }
}

/// Waits until the peer has left: it has ended its direction of the connection, or the connection is gone. `true` then; `false` as soon as
/// the request is done with, its response written or its connection upgraded. What [`Responder::peer_gone`](super::Responder::peer_gone)
/// gives, and [`Responder::connection_gone`](super::Responder::connection_gone), which does not wake for an end of one direction.
pub struct PeerGone {
    parking: Option<Rc<RefCell<Parking>>>,
    sequence: u64,
    /// Only the end of the connection counts.
    entirely: bool,
}

impl PeerGone {
    /// Of a connection that is gone already.
    pub(crate) fn already() -> Self {
        Self { parking: None, sequence: 0, entirely: true }
    }

    /// The same, but for the end of the whole connection.
    pub(super) fn entirely(self) -> Self {
        Self { entirely: true, ..self }
    }
}

impl std::fmt::Debug for PeerGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerGone").finish_non_exhaustive()
    }
}

impl Future for PeerGone {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Some(parking) = &self.parking else { return Poll::Ready(true) };
        let mut parking = parking.borrow_mut();
        if parking.sequence != self.sequence {
            return Poll::Ready(false);
        }
        let left = if self.entirely { parking.over } else { parking.left };
        if left || !parking.active {
            return Poll::Ready(left);
        }
        if !parking.watchers.iter().any(|waker| waker.will_wake(context.waker())) {
            parking.watchers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Exchange {
    pub fn new(options: &Options, waker: Waker) -> Self {
        let (pipe, parking) = (Pipe::default(), Rc::new(RefCell::new(Parking::default())));
        let connection = Builder::new()
            .half_close(true)
            .max_headers(options.max_headers)
            .max_header_size(options.max_head_size)
            .max_buf_size(options.max_head_size.max(64 * 1024))
            .serve_connection(pipe.clone(), Park(parking.clone()));
        let guard = Guard::new(options.max_head_size);
        let presence = Presence(parking.clone());
        let (awaiting_head, idle_timeout) = (true, None);
        Self { presence, connection, pipe, guard, parking, waker, head_begun: false, awaiting_head, closing: false, idle_timeout }
    }

    pub fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    /// Takes received bytes in, as far as they can be read in one way only.
    pub fn feed(&mut self, bytes: &[u8]) {
        let (good, outcome) = self.guard.follow(bytes);
        self.pipe.feed(&bytes[..good]);
        if outcome.is_err() {
            self.pipe.feed(REFUSED);
        }
    }

    /// The peer has ended its direction.
    pub fn end_input(&self) {
        self.pipe.end();
        Parking::leave(&self.parking);
    }

    /// How long the connection may make no progress; zero: for ever. Not so when the peer has ended its direction: whether anybody is
    /// left to take an answer is not known before one is sent, and it may never be.
    pub fn patience(&self, options: &Options) -> Duration {
        let patience = self.idle_timeout.unwrap_or(options.http_idle_timeout);
        if patience.is_zero() && self.pipe.has_ended() { options.drain_timeout } else { patience }
    }

    /// The request under way, watched for its peer's leaving.
    pub fn peer_gone(&self, sequence: u64) -> PeerGone {
        PeerGone { parking: Some(self.parking.clone()), sequence, entirely: false }
    }

    /// Lets hyper work. It may run user code: a response's streaming body.
    pub fn poll(&mut self) -> Progress {
        let poll =
            catch_unwind(AssertUnwindSafe(|| self.connection.poll_without_shutdown(&mut Context::from_waker(&self.waker))));
        let Ok(poll) = poll else {
            // The destructor of a response's body: its stream is called with a net of its own. hyper is of no more use.
            tracing::error!("a destructor of the application's panicked");
            return Progress::Done;
        };
        match poll {
            Poll::Pending => Progress::Waiting,
            Poll::Ready(Ok(())) => Progress::Done,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an HTTP connection failed");
                match () {
                    () if error.is_parse_too_large() => Progress::TooLarge,
                    () if error.is_parse() => Progress::Malformed,
                    () => Progress::Done,
                }
            }
        }
    }

    /// The request that hyper has parked, once, and its number.
    pub fn take_request(&self) -> Option<(http::Request<Incoming>, u64)> {
        let mut parking = self.parking.borrow_mut();
        let sequence = parking.sequence;
        parking.request.take().map(|request| (request, sequence))
    }

    /// Answers a request; gives the response back when the request has been answered or is gone. (The caller drops it: a body
    /// may be user code, which must not run while the state is borrowed.)
    pub fn answer(&self, sequence: u64, mut response: Response) -> Option<Response> {
        let mut parking = self.parking.borrow_mut();
        if parking.sequence != sequence || parking.answered || !parking.active {
            return Some(response);
        }
        parking.answered = true;
        if parking.asks_upgrade {
            // The client may have sent frames already. They must never be read as a request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        parking.response = Some(response);
        if let Some(waker) = parking.waker.take() {
            waker.wake();
        }
        None
    }

    /// Whether that request may still be upgraded.
    pub fn awaits_answer(&self, sequence: u64) -> bool {
        let parking = self.parking.borrow();
        parking.sequence == sequence && parking.active && !parking.answered
    }

    /// Whether the deadline that runs is that of a head: one that has begun, or the first.
    pub fn awaits_head(&self) -> bool {
        self.awaiting_head && (self.head_begun || self.parking.borrow().sequence == 0)
    }

    /// Whether a request is under way.
    pub fn is_active(&self) -> bool {
        self.parking.borrow().active
    }

    /// Takes hyper apart: the bytes that came after the request; and what else it held, to be dropped.
    pub fn into_early_bytes(self: Box<Self>) -> (Vec<u8>, impl Sized) {
        Parking::finish(&self.parking);
        let Self { presence, connection, pipe, parking, .. } = *self;
        let parts = connection.into_parts();
        let mut early = Vec::from(parts.read_buf);
        early.extend_from_slice(&pipe.take_unread());
        (early, (presence, parts.io, parts.service, parking))
    }

    /// Answers what is under way, then ends.
    pub fn shut_down(&mut self) {
        self.closing = true;
        Pin::new(&mut self.connection).graceful_shutdown();
    }
}

/// hyper's service: parks the request.
struct Park(Rc<RefCell<Parking>>);

impl Service<http::Request<Incoming>> for Park {
    type Response = http::Response<Tracked>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: http::Request<Incoming>) -> Answer {
        let mut parking = self.0.borrow_mut();
        parking.sequence += 1;
        parking.asks_upgrade = request.headers().contains_key(UPGRADE);
        parking.request = Some(request);
        parking.response = None;
        parking.answered = false;
        parking.active = true;
        Answer(self.0.clone())
    }
}

/// Waits for the response.
struct Answer(Rc<RefCell<Parking>>);

impl Future for Answer {
    type Output = Result<http::Response<Tracked>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut parking = self.0.borrow_mut();
        match parking.response.take() {
            Some(response) => {
                let parking = self.0.clone();
                Poll::Ready(Ok(response.map(|body| Tracked { body, parking })))
            }
            None => {
                parking.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A response's body that tells when it is written, or dropped.
struct Tracked {
    body: Body,
    parking: Rc<RefCell<Parking>>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        Parking::finish(&self.parking);
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // A stream that panics ends its response, and nothing else: hyper cuts the connection off after an error.
        let poll = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(context)));
        poll.unwrap_or_else(|_| Poll::Ready(Some(Err(BodyError::new("the stream of a response's body panicked")))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

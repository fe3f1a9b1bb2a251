//! The engine's events as calls of JavaScript.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use http::request::Parts;
use tidewire::engine::{Ahead, Application, ConnectError, LocalSocket, LocalWorker, Run};
use tidewire::http::{RequestBody, Responder};
use tidewire::{Message, Request};

use crate::bodies::{Incoming, Notice, Outgoing, Piece};
use crate::napi::{Env, Function, LongScope, Value};
use crate::replies::Replies;
use crate::seats::{Seat, Seats};

/// Up to this size JavaScript copies the bytes out of the slab itself: V8 keeps views of at most 64 bytes on its heap, where they
/// cost a twentieth of what memory of their own costs, and to copy into one it would have to move it off first. Above, it makes
/// the Buffer, which is cheaper than making one here, and has it filled.
const SMALL: usize = 64;
/// The most messages that JavaScript is handed at once: a call's cost is spread over so many, and their bytes fit into the slab.
const RUN: usize = 16;

/// A request that JavaScript has been given and not answered yet.
pub struct Pending {
    pub parts: Parts,
    pub responder: Responder,
    /// Until JavaScript asks for it.
    pub body: Option<RequestBody>,
    /// Its peer has ended its direction: it may be answered, but is not counted any more, as with Bun.
    pub left: bool,
}

pub struct JsApplication {
    env: Env,
    /// For what outlives a call, and must not keep it.
    this: Weak<Self>,
    /// Empty once the environment has ended: nothing calls JavaScript any more.
    callbacks: RefCell<Option<Callbacks>>,
    seats: Rc<Seats>,
    replies: Rc<Replies>,
    pub pending: RefCell<HashMap<u32, Pending>>,
    /// Request bodies that JavaScript reads.
    pub incoming: Rc<Incoming>,
    /// Response bodies that JavaScript writes.
    pub outgoing: Rc<Outgoing>,
    next_request: Cell<u32>,
    /// A turn is under way in which nobody else runs nextTick callbacks and microtasks between events.
    run_ticks: Cell<bool>,
    /// A callback is running: what it causes runs inside it.
    calling: Cell<bool>,
    /// The scope of the turn that is under way.
    turn: RefCell<Option<Rc<LongScope>>>,
}

/// JavaScript's side, of a server or of clients; each takes the number of the socket's seat, or of the request, first. What is
/// missing is not called.
pub struct Callbacks {
    pub fetch: Option<Function>,
    /// A piece of a request's body: a Buffer, undefined at its end, `true` when it is too large, or `false` when it broke off.
    pub body: Option<Function>,
    /// A response's body: `true`, there is room for more; `false`, nobody takes more.
    pub room: Option<Function>,
    /// A watched request is done with; `true`: its peer has left before.
    pub gone: Option<Function>,
    pub open: Function,
    pub message: Function,
    /// Short messages: text as strings, of binary ones the lengths of what lies in the slab, where it counts what it has handled.
    pub run: Option<Function>,
    pub drain: Option<Function>,
    pub close: Function,
    pub ping: Function,
    pub pong: Function,
    pub stopped: Option<Function>,
    /// A client's connection could not be opened, or its server broke the protocol; `close` follows.
    pub failed: Option<Function>,
    /// Runs what waits for the end of a handler.
    pub ticks: Function,
}

impl Callbacks {
    /// Takes the functions from an object; `None` when one is missing that nobody can do without.
    pub fn from(env: Env, object: Value) -> Option<Self> {
        Some(Self {
            fetch: object.function(env, "fetch"),
            body: object.function(env, "body"),
            room: object.function(env, "room"),
            gone: object.function(env, "gone"),
            open: object.function(env, "open")?,
            message: object.function(env, "message")?,
            run: object.function(env, "run"),
            drain: object.function(env, "drain"),
            close: object.function(env, "close")?,
            ping: object.function(env, "ping")?,
            pong: object.function(env, "pong")?,
            stopped: object.function(env, "stopped"),
            failed: object.function(env, "failed"),
            ticks: object.function(env, "ticks")?,
        })
    }
}

impl JsApplication {
    pub fn new(env: Env, callbacks: Callbacks, seats: Rc<Seats>, replies: Rc<Replies>) -> Rc<Self> {
        let callbacks = RefCell::new(Some(callbacks));
        Rc::new_cyclic(|this| Self {
            env,
            this: this.clone(),
            callbacks,
            seats,
            replies,
            pending: RefCell::default(),
            incoming: Rc::default(),
            outgoing: Rc::default(),
            next_request: Cell::default(),
            run_ticks: Cell::default(),
            calling: Cell::default(),
            turn: RefCell::default(),
        })
    }

    /// Lets go of JavaScript. Inside a callback it cannot: then Node.js itself has stopped JavaScript.
    pub fn silence(&self) {
        if let Ok(mut callbacks) = self.callbacks.try_borrow_mut() {
            *callbacks = None;
        }
    }

    /// Whether to run nextTick callbacks and microtasks after each event, from now on.
    pub fn run_ticks(&self, run: bool) {
        self.run_ticks.set(run);
    }

    pub fn stopped(&self) {
        self.event(|callbacks| callbacks.stopped.as_ref(), |_| [] as [Value; 0]);
    }

    /// Runs a turn: its events share a scope.
    pub fn turn<R>(&self, turn: impl FnOnce() -> R) -> R {
        self.env.long_scope(|scope| {
            self.turn.replace(Some(scope.clone()));
            let result = turn();
            self.turn.take();
            result
        })
    }

    /// Runs with a scope for values that hold so many bytes.
    fn scope<R>(&self, bytes: usize, run: impl FnOnce() -> R) -> R {
        let turn = self.turn.borrow().clone();
        match turn {
            Some(turn) => turn.call(bytes, run),
            None => self.env.scope(run),
        }
    }

    /// One event.
    fn event<const N: usize>(&self, which: impl Fn(&Callbacks) -> Option<&Function>, arguments: impl FnOnce(Env) -> [Value; N]) {
        self.event_with(0, which, arguments);
    }

    /// One event, with arguments of so many bytes.
    fn event_with<const N: usize>(
        &self,
        bytes: usize,
        which: impl Fn(&Callbacks) -> Option<&Function>,
        arguments: impl FnOnce(Env) -> [Value; N],
    ) {
        if let Some(callbacks) = &*self.callbacks.borrow()
            && let Some(function) = which(callbacks)
        {
            let inner = self.calling.replace(true);
            self.scope(bytes, || {
                function.call(&arguments(self.env));
                if self.run_ticks.get() && !inner {
                    callbacks.ticks.call(&[]);
                }
            });
            self.calling.set(inner);
        }
    }

    /// Takes short messages as arguments for `run`, behind the first one; how many there are.
    fn gather(&self, run: &mut Run<'_>, arguments: &mut [Value]) -> usize {
        let (mut count, mut written) = (0, 0);
        for place in arguments {
            *place = match run.next_ahead() {
                Some(Ahead::Ascii(bytes)) => self.env.latin1(bytes),
                Some(Ahead::Text(text)) => self.env.utf8(text),
                Some(Ahead::Binary(bytes)) => {
                    let fits = self.replies.slab.write(written, bytes);
                    debug_assert!(fits, "so many short messages fit");
                    written += bytes.len();
                    self.env.uint(bytes.len() as u32)
                }
                None => break,
            };
            count += 1;
        }
        count
    }

    /// The seat of a socket, as JavaScript knows it.
    fn seat(&self, socket: &LocalSocket) -> u32 {
        socket.data().and_then(|data| data.downcast_ref()).map_or(Seat::NOBODY, Seat::number)
    }

    /// An event with bytes: JavaScript is told how many there are. Small ones are in the slab, others it asks for with `fill`.
    fn event_of_bytes(&self, which: impl Fn(&Callbacks) -> Option<&Function>, seat: u32, bytes: &[u8]) {
        let event = || self.event_with(bytes.len(), which, |env| [env.uint(seat), env.number(bytes.len() as f64)]);
        let slab = &self.replies.slab;
        if bytes.len() <= SMALL && slab.write(0, bytes) { event() } else { slab.lend(bytes, event) }
    }

    fn failed(&self, socket: &LocalSocket, problem: &str, code: &str) {
        let seat = self.seat(socket);
        let arguments = |env: Env| [env.uint(seat), env.string(problem), env.string(code)];
        self.event(|callbacks| callbacks.failed.as_ref(), arguments);
    }

    /// JavaScript reads a request's body itself: it is kept, also when the request has been answered. Whether there is one.
    pub fn keep_body(&self, number: u32) -> bool {
        if self.incoming.holds(number) {
            return true;
        }
        let body = self.pending.borrow_mut().get_mut(&number).and_then(|pending| pending.body.take());
        let is = body.is_some();
        body.into_iter().for_each(|body| self.incoming.keep(number, body));
        is
    }

    /// Reads the next piece of a request's body, and hands it to JavaScript.
    pub fn pull_body(self: &Rc<Self>, number: u32, worker: &LocalWorker) {
        let this = self.clone();
        self.incoming.read(number, worker, move |piece| {
            let value = |env: Env| match &piece {
                Piece::Chunk(bytes) => env.buffer(bytes),
                Piece::End => env.undefined(),
                Piece::TooLarge => env.boolean(true),
                Piece::Broken => env.boolean(false),
            };
            let length = if let Piece::Chunk(bytes) = &piece { bytes.len() } else { 0 };
            this.event_with(length, |callbacks| callbacks.body.as_ref(), |env| [env.uint(number), value(env)]);
        });
    }

    /// Forgets a request that JavaScript takes its time to answer, or never answers, when nobody waits for it any more.
    fn forget_abandoned(&self, number: u32) {
        let Some((gone, over, worker)) = self.pending.borrow().get(&number).map(|pending| {
            let responder = &pending.responder;
            (responder.peer_gone(), responder.connection_gone(), responder.worker())
        }) else {
            return;
        };
        let this = self.this.clone();
        worker.spawn(async move {
            if !gone.await {
                return;
            }
            if let Some(this) = this.upgrade()
                && let Some(pending) = this.pending.borrow_mut().get_mut(&number)
            {
                pending.left = true;
            }
            if over.await
                && let Some(this) = this.upgrade()
            {
                let abandoned = this.pending.borrow_mut().remove(&number);
                drop(abandoned); // with nothing borrowed
            }
        });
    }

    /// How many requests wait for an answer, and have somebody who waits for it.
    pub fn population(&self) -> usize {
        self.pending.borrow().values().filter(|pending| !pending.left).count()
    }

    /// Has JavaScript told when a request is done with, and whether its peer has left before. `Some(true)`: its peer has left already;
    /// `None`: it is done with, or its connection is gone.
    pub fn watch(self: &Rc<Self>, number: u32, worker: &LocalWorker) -> Option<bool> {
        let mut gone = self.pending.borrow().get(&number)?.responder.peer_gone();
        if let Poll::Ready(left) = Pin::new(&mut gone).poll(&mut Context::from_waker(Waker::noop())) {
            return left.then_some(true);
        }
        let this = self.clone();
        worker.spawn(async move {
            let left = gone.await;
            this.event(|callbacks| callbacks.gone.as_ref(), |env| [env.uint(number), env.boolean(left)]);
        });
        Some(false)
    }

    /// Tells JavaScript what has become of the bodies that it writes.
    pub fn tell_notices(&self) {
        for notice in self.outgoing.take_notices() {
            let (number, room) = match notice {
                Notice::Room(number) => (number, true),
                Notice::Cancelled(number) => (number, false),
            };
            self.event(|callbacks| callbacks.room.as_ref(), |env| [env.uint(number), env.boolean(room)]);
        }
    }
}

impl Application for JsApplication {
    fn fetch(&self, request: Request, responder: Responder) {
        let number = self.next_request.get();
        self.next_request.set(number.wrapping_add(1));
        let (parts, body) = request.into_parts();
        let peer = responder.peer_address();
        let has_body = !http_body::Body::is_end_stream(&body);
        self.event(
            |callbacks| callbacks.fetch.as_ref(),
            |env| {
                // What JavaScript sees is taken before the request is put where JavaScript can answer it.
                let headers = block(&parts.headers);
                let arguments = [
                    env.uint(number),
                    env.string(parts.method.as_str()),
                    env.string(&parts.uri.to_string()),
                    env.latin1(&headers),
                    peer.map_or_else(|| env.undefined(), |peer| env.string(&peer.ip().to_string())),
                    env.uint(peer.map_or(0, |peer| u32::from(peer.port()))),
                    env.boolean(has_body),
                ];
                self.pending.borrow_mut().insert(number, Pending { parts, responder, body: Some(body), left: false });
                arguments
            },
        );
        self.forget_abandoned(number);
    }

    fn open(&self, socket: &LocalSocket) {
        let seat = self.seat(socket);
        self.seats.take(seat, socket);
        // A client's is told what the server chose, a server's where the peer is.
        let (first, second) = match socket.answer() {
            Some(answer) => (answer.protocol.clone().unwrap_or_default(), answer.extensions().to_owned()),
            None => (socket.peer_address().map_or_else(String::new, |peer| peer.ip().to_string()), String::new()),
        };
        self.event(|callbacks| Some(&callbacks.open), |env| [env.uint(seat), env.string(&first), env.string(&second)]);
    }

    fn connect_failed(&self, socket: &LocalSocket, error: &ConnectError) {
        self.failed(socket, &error.to_string(), error.code());
    }

    fn peer_failed(&self, socket: &LocalSocket, code: u16, reason: &str) {
        self.failed(socket, reason, protocol_error(code));
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        let seat = self.seat(socket);
        match message {
            Message::Text(text) => {
                self.event_with(text.len(), |callbacks| Some(&callbacks.message), |env| [env.uint(seat), env.string(&text)]);
            }
            Message::Binary(bytes) => self.event_of_bytes(|callbacks| Some(&callbacks.message), seat, &bytes),
        }
    }

    fn takes_runs(&self) -> bool {
        self.callbacks.borrow().as_ref().is_some_and(|callbacks| callbacks.run.is_some())
    }

    fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
        let callbacks = self.callbacks.borrow();
        let Some((callbacks, function)) = callbacks.as_ref().and_then(|callbacks| Some((callbacks, callbacks.run.as_ref()?)))
        else {
            return;
        };
        let seat = self.seat(socket);
        self.scope(RUN * SMALL, || {
            let mut arguments = [self.env.uint(seat); 1 + RUN];
            let count = self.gather(run, &mut arguments[1..]);
            if count == 0 {
                return;
            }
            let inner = self.calling.replace(true);
            self.replies.begin(seat, socket);
            function.call(&arguments[..=count]);
            self.replies.settle();
            if self.run_ticks.get() && !inner {
                callbacks.ticks.call(&[]);
            }
            self.calling.set(inner);
            run.keep(self.replies.slab.take_handled());
        });
    }

    fn drain(&self, socket: &LocalSocket) {
        let seat = self.seat(socket);
        self.event(|callbacks| callbacks.drain.as_ref(), |env| [env.uint(seat)]);
    }

    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        let seat = self.seat(socket);
        self.seats.leave(seat);
        self.event(|callbacks| Some(&callbacks.close), |env| [env.uint(seat), env.uint(u32::from(code)), env.string(reason)]);
    }

    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        let seat = self.seat(socket);
        self.event_of_bytes(|callbacks| Some(&callbacks.ping), seat, data);
    }

    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        let seat = self.seat(socket);
        self.event_of_bytes(|callbacks| Some(&callbacks.pong), seat, data);
    }
}

/// The names that npm's `ws` and Bun have for what a server did wrong.
fn protocol_error(code: u16) -> &'static str {
    match code {
        1007 => "WS_ERR_INVALID_UTF8",
        1008 => "WS_ERR_TOO_MANY_BUFFERED_PARTS",
        1009 => "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        _ => "WS_ERR_PROTOCOL",
    }
}

/// Headers in one string, which costs JavaScript less than many: a line for each, with its name, a colon and its value, behind the
/// character that ends the one before. A value's bytes are one character each, as the Fetch standard reads them.
fn block(headers: &HeaderMap) -> Vec<u8> {
    let mut block = Vec::with_capacity(headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum());
    for (name, value) in headers {
        block.push(b'\n');
        block.extend_from_slice(name.as_str().as_bytes());
        block.push(b':');
        block.extend_from_slice(value.as_bytes());
    }
    block
}

//! The engine's events as calls of JavaScript.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use http::request::Parts;
use tidewire::engine::{Application, LocalSocket, LocalWorker, SocketId};
use tidewire::http::{RequestBody, Responder};
use tidewire::{Message, Request};

use crate::napi::{Env, Function, Value};

/// A request that JavaScript has been given and not answered yet.
pub struct Pending {
    pub parts: Parts,
    pub responder: Responder,
    /// Until JavaScript asks for it.
    pub body: Option<RequestBody>,
}

pub struct JsApplication {
    env: Env,
    callbacks: Callbacks,
    pub pending: RefCell<HashMap<u32, Pending>>,
    next_request: Cell<u32>,
    /// The environment has ended: nothing calls JavaScript any more.
    silent: Cell<bool>,
}

/// JavaScript's side; each takes the socket's two numbers first, but `fetch`, `body` and `stopped`.
pub struct Callbacks {
    pub fetch: Function,
    pub body: Function,
    pub open: Function,
    pub message: Function,
    pub drain: Function,
    pub close: Function,
    pub ping: Function,
    pub pong: Function,
    pub stopped: Function,
}

impl Callbacks {
    /// Takes the functions from an object; `None` when one is missing.
    pub fn from(env: Env, object: Value) -> Option<Self> {
        Some(Self {
            fetch: object.function(env, "fetch")?,
            body: object.function(env, "body")?,
            open: object.function(env, "open")?,
            message: object.function(env, "message")?,
            drain: object.function(env, "drain")?,
            close: object.function(env, "close")?,
            ping: object.function(env, "ping")?,
            pong: object.function(env, "pong")?,
            stopped: object.function(env, "stopped")?,
        })
    }
}

/// A socket's id, as two numbers that JavaScript can hold.
pub fn numbers(id: SocketId) -> (u32, u32) {
    let bits = id.to_bits();
    (bits as u32, (bits >> 32) as u32)
}

impl JsApplication {
    pub fn new(env: Env, callbacks: Callbacks) -> Rc<Self> {
        let pending = RefCell::default();
        Rc::new(Self { env, callbacks, pending, next_request: Cell::new(0), silent: Cell::new(false) })
    }

    pub fn silence(&self) {
        self.silent.set(true);
    }

    pub fn stopped(&self) {
        self.event(&self.callbacks.stopped, |_| [] as [Value; 0]);
    }

    /// One event, in a scope of its own.
    fn event<const N: usize>(&self, function: &Function, arguments: impl FnOnce(Env) -> [Value; N]) {
        if !self.silent.get() {
            self.env.scope(|| function.call(&arguments(self.env)));
        }
    }

    /// Reads the rest of a request's body, and hands it to JavaScript: the bytes, or what went wrong.
    pub fn read_body(self: &Rc<Self>, number: u32, worker: &LocalWorker) {
        let body = self.pending.borrow_mut().get_mut(&number).and_then(|pending| pending.body.take());
        let this = self.clone();
        worker.spawn(async move {
            let result = match body {
                Some(body) => body.bytes().await.map_err(|error| error.to_string()),
                None => Err("the body has been read already, or its request has ended".to_owned()),
            };
            this.event(&this.callbacks.body, |env| {
                let value = match &result {
                    Ok(bytes) => env.buffer(bytes),
                    Err(error) => env.string(error),
                };
                [env.uint(number), value]
            });
        });
    }
}

impl Application for JsApplication {
    fn fetch(&self, request: Request, responder: Responder) {
        let number = self.next_request.get();
        self.next_request.set(number.wrapping_add(1));
        let (parts, body) = request.into_parts();
        let peer = responder.peer_address();
        let has_body = !http_body::Body::is_end_stream(&body);
        self.event(&self.callbacks.fetch, |env| {
            // What JavaScript sees is taken before the request is put where JavaScript can answer it.
            let headers = parts.headers.iter().flat_map(|(name, value)| [name.as_str().to_owned(), latin1(value.as_bytes())]);
            let headers: Vec<String> = headers.collect();
            let arguments = [
                env.uint(number),
                env.string(parts.method.as_str()),
                env.string(&parts.uri.to_string()),
                env.strings(headers.iter().map(String::as_str)),
                peer.map_or_else(|| env.undefined(), |peer| env.string(&peer.ip().to_string())),
                env.uint(peer.map_or(0, |peer| u32::from(peer.port()))),
                env.boolean(has_body),
            ];
            self.pending.borrow_mut().insert(number, Pending { parts, responder, body: Some(body) });
            arguments
        });
    }

    fn open(&self, socket: &LocalSocket) {
        let (low, high) = numbers(socket.id());
        let peer = socket.peer_address();
        self.event(&self.callbacks.open, |env| {
            let address = peer.map_or_else(String::new, |peer| peer.ip().to_string());
            [env.uint(low), env.uint(high), env.string(&address)]
        });
    }

    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        let (low, high) = numbers(socket.id());
        self.event(&self.callbacks.message, |env| {
            let data = match &message {
                Message::Text(text) => env.string(text),
                Message::Binary(bytes) => env.buffer(bytes),
            };
            [env.uint(low), env.uint(high), data]
        });
    }

    fn drain(&self, socket: &LocalSocket) {
        let (low, high) = numbers(socket.id());
        self.event(&self.callbacks.drain, |env| [env.uint(low), env.uint(high)]);
    }

    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        let (low, high) = numbers(socket.id());
        self.event(&self.callbacks.close, |env| [env.uint(low), env.uint(high), env.uint(u32::from(code)), env.string(reason)]);
    }

    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        let (low, high) = numbers(socket.id());
        self.event(&self.callbacks.ping, |env| [env.uint(low), env.uint(high), env.buffer(data)]);
    }

    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        let (low, high) = numbers(socket.id());
        self.event(&self.callbacks.pong, |env| [env.uint(low), env.uint(high), env.buffer(data)]);
    }
}

/// A header's bytes, as the Fetch standard reads them: one character for each byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

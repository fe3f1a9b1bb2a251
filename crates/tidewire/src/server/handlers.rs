//! The handler object of a server, and the application that calls it on each worker.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;

use super::reply::{FetchError, IntoReply, Reply};
use super::run::Server;
use super::upgrade::Upgrader;
use super::ws::{Panic, Ws};
use crate::engine::limits::Limit;
use crate::engine::{Application, LocalSocket, Message, Run};
use crate::http::{Request, Responder, Response};

pub(crate) type Fetching = Pin<Box<dyn Future<Output = Reply>>>;
type Fetch<T> = Box<dyn Fn(Request, Upgrader<T>) -> Fetching + Send + Sync>;
type ServiceCall = Box<dyn Fn(Request) -> Fetching + Send + Sync>;
type OnSocket<T> = Box<dyn Fn(&Ws<T>) + Send + Sync>;
type OnMessage<T> = Box<dyn Fn(&Ws<T>, Message<'_>) + Send + Sync>;
type OnClose<T> = Box<dyn Fn(&Ws<T>, u16, &str) + Send + Sync>;
type OnControl<T> = Box<dyn Fn(&Ws<T>, &[u8]) + Send + Sync>;
type OnPanic<T> = Box<dyn Fn(&Ws<T>, &Panic) + Send + Sync>;
type OnFetchError = Box<dyn Fn(&FetchError) -> Response + Send + Sync>;

/// One handler object per server, shared by its workers.
pub(crate) struct Handlers<T> {
    pub fetch: Option<Fetch<T>>,
    /// Answers what asks for no upgrade, in place of `fetch`.
    pub service: Option<ServiceCall>,
    pub fetch_error: Option<OnFetchError>,
    pub open: Option<OnSocket<T>>,
    pub message: Option<OnMessage<T>>,
    pub drain: Option<OnSocket<T>>,
    pub close: Option<OnClose<T>>,
    pub ping: Option<OnControl<T>>,
    pub pong: Option<OnControl<T>>,
    pub error: Option<OnPanic<T>>,
    pub origins: Option<Vec<String>>,
}

impl<T> Default for Handlers<T> {
    fn default() -> Self {
        Self {
            fetch: None,
            service: None,
            fetch_error: None,
            open: None,
            message: None,
            drain: None,
            close: None,
            ping: None,
            pong: None,
            error: None,
            origins: None,
        }
    }
}

/// The handlers on one worker.
pub(crate) struct Typed<T> {
    handlers: Arc<Handlers<T>>,
    server: Server,
    /// The socket that was dispatched to last: the messages of one read come one after the other.
    last: RefCell<Option<Ws<T>>>,
    /// How many sockets have ended: a handler during which one did leaves no `last`, because it may be that one.
    ends: Cell<u64>,
}

impl<T: 'static> Typed<T> {
    pub fn new(handlers: Arc<Handlers<T>>, server: Server) -> Self {
        Self { handlers, server, last: RefCell::new(None), ends: Cell::new(0) }
    }

    /// Calls a handler of a socket. A panic goes to the error handler and ends at this socket.
    #[inline]
    fn call(&self, socket: &LocalSocket, handler: impl FnOnce(&Ws<T>)) {
        self.with(socket, |ws| self.guard(ws, handler));
    }

    /// Gives `calls` the socket as its handlers know it.
    #[inline]
    fn with(&self, socket: &LocalSocket, calls: impl FnOnce(&Ws<T>)) {
        let cached = self.last.take().filter(|ws| ws.id() == socket.id());
        let Some(ws) = cached.or_else(|| Ws::new(socket.clone(), &self.server)) else {
            return tracing::error!("a socket's data is of another type than the handlers'; was reload given other handlers?");
        };
        let ends = self.ends.get();
        calls(&ws);
        if self.ends.get() == ends {
            self.last.replace(Some(ws));
        }
    }

    #[inline]
    fn guard(&self, ws: &Ws<T>, handler: impl FnOnce(&Ws<T>)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| handler(ws))) {
            self.panicked(ws, &Panic::new(&*payload));
        }
    }

    #[cold]
    fn panicked(&self, ws: &Ws<T>, panic: &Panic) {
        ws.core().counters.panics.add(1);
        match &self.handlers.error {
            Some(handler) => {
                if catch_unwind(AssertUnwindSafe(|| handler(ws, panic))).is_err() {
                    tracing::error!("the error handler panicked too");
                    ws.terminate();
                }
            }
            None => {
                tracing::error!(%panic, "the socket is closed with 1011; an `error` handler could decide otherwise");
                let _ = ws.close(1011, "internal error");
            }
        }
    }

    fn failed(&self, error: &FetchError) -> Response {
        if let Some(handler) = &self.handlers.fetch_error {
            return handler(error);
        }
        tracing::error!(%error, "fetch failed");
        internal_error()
    }

    /// Calls whoever answers this request.
    fn begin_fetch(&self, request: Request) -> Fetching {
        let plain = !request.headers().contains_key(http::header::UPGRADE);
        match (&self.handlers.service, &self.handlers.fetch) {
            (Some(service), _) if plain => service(request),
            (_, Some(fetch)) => fetch(request, Upgrader::new(self.server.clone())),
            _ => Box::pin(std::future::ready((StatusCode::NOT_FOUND, "Not Found\n").into_reply())),
        }
    }

    /// Whether the request comes from a page that may connect.
    fn origin_allowed(&self, request: &Request) -> bool {
        let Some(allowed) = &self.handlers.origins else { return true };
        if !request.headers().contains_key(http::header::UPGRADE) {
            return true;
        }
        let mut origins = request.headers().get_all(http::header::ORIGIN).iter();
        match (origins.next().map(|origin| origin.to_str()), origins.next()) {
            (Some(Ok(origin)), None) => allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            // Not a browser: it has no Origin, and nothing to protect its user from.
            (None, None) => true,
            _ => false,
        }
    }
}

fn internal_error() -> Response {
    let mut response = Response::new("Internal Server Error\n".into());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

impl<T: 'static> Application for Typed<T> {
    fn fetch(&self, request: Request, responder: Responder) {
        if !self.origin_allowed(&request) {
            responder.core.reached(Limit::Origin, responder.ticket.id);
            let mut response = Response::new("this origin may not connect\n".into());
            *response.status_mut() = StatusCode::FORBIDDEN;
            return responder.respond(response);
        }
        let fetching = match catch_unwind(AssertUnwindSafe(|| self.begin_fetch(request))) {
            Ok(fetching) => fetching,
            Err(payload) => Box::pin(std::future::ready(Reply::Failed(Box::new(Panic::new(&*payload))))),
        };
        let this = Self::new(self.handlers.clone(), self.server.clone());
        let core = responder.core.clone();
        core.executor.start(Box::pin(async move {
            match Caught(fetching).await {
                Reply::Upgraded => drop(responder),
                Reply::Response(response) => responder.respond(response),
                Reply::Failed(error) => responder.respond(this.failed(&error)),
            }
        }));
    }

    fn open(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.handlers.open {
            self.call(socket, handler);
        }
    }

    #[inline]
    fn message(&self, socket: &LocalSocket, message: Message<'_>) {
        if let Some(handler) = &self.handlers.message {
            self.call(socket, |ws| handler(ws, message));
        }
    }

    fn takes_runs(&self) -> bool {
        self.handlers.message.is_some()
    }

    fn run(&self, socket: &LocalSocket, run: &mut Run<'_>) {
        if let Some(handler) = &self.handlers.message {
            self.with(socket, |ws| {
                while let Some(message) = run.next() {
                    self.guard(ws, |ws| handler(ws, message));
                }
            });
        }
    }

    fn drain(&self, socket: &LocalSocket) {
        if let Some(handler) = &self.handlers.drain {
            self.call(socket, handler);
        }
    }

    fn close(&self, socket: &LocalSocket, code: u16, reason: &str) {
        if let Some(handler) = &self.handlers.close {
            self.call(socket, |ws| handler(ws, code, reason));
        }
        // A closed socket's data is not kept alive by having been the last.
        self.ends.set(self.ends.get().wrapping_add(1));
        let last = self.last.take();
        self.last.replace(last.filter(|ws| ws.id() != socket.id()));
    }

    fn ping(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.handlers.ping {
            self.call(socket, |ws| handler(ws, data));
        }
    }

    fn pong(&self, socket: &LocalSocket, data: &[u8]) {
        if let Some(handler) = &self.handlers.pong {
            self.call(socket, |ws| handler(ws, data));
        }
    }
}

/// A fetch whose panics are failures.
struct Caught(Fetching);

impl Future for Caught {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Reply> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(payload) => std::task::Poll::Ready(Reply::Failed(Box::new(Panic::new(&*payload)))),
        }
    }
}

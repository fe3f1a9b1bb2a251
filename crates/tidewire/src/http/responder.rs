//! The handle by which a request is answered or upgraded.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tidewire_proto::UsageError;
use tidewire_proto::handshake::server::Refusal;

use super::Response;
use super::exchange::PeerGone;
use crate::engine::{Core, LocalWorker, SocketId};

/// Travels in a request's extensions: which connection of the thread's worker it came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub worker: usize,
    pub id: SocketId,
    pub sequence: u64,
}

/// Answers one request: what an [`Application`](crate::engine::Application) gets, where there is an example. Dropped without
/// an answer, it answers 500, unless the request was upgraded.
pub struct Responder {
    pub(crate) core: Rc<Core>,
    pub(crate) ticket: Ticket,
}

impl Responder {
    /// Sends the response: in this turn or the next, from this thread, also long after `fetch` has returned. It is ignored
    /// when the request has been upgraded or the connection is gone.
    ///
    /// ```
    /// use tidewire::http::Responder;
    /// use tidewire::{Request, Response};
    ///
    /// fn fetch(_request: Request, responder: Responder) {
    ///     responder.respond(Response::new("hello".into()));
    /// }
    /// # let _ = fetch;
    /// ```
    pub fn respond(self, response: Response) {
        self.core.respond(self.ticket, response);
    }

    /// Waits until the peer has left, for work that is not worth finishing then. The answer can still be given: a peer that has only
    /// ended its own direction receives it.
    ///
    /// ```
    /// use tidewire::http::Responder;
    /// use tidewire::{Request, Response};
    ///
    /// async fn answer(_request: Request, responder: Responder, work: impl Future<Output = String>) {
    ///     let mut gone = std::pin::pin!(responder.peer_gone());
    ///     let mut work = std::pin::pin!(work);
    ///     let result = std::future::poll_fn(|context| match gone.as_mut().poll(context) {
    ///         std::task::Poll::Ready(true) => std::task::Poll::Ready(None),
    ///         _ => work.as_mut().poll(context).map(Some),
    ///     });
    ///     if let Some(text) = result.await {
    ///         responder.respond(Response::new(text.into()));
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn peer_gone(&self) -> PeerGone {
        self.core.peer_gone(self.ticket)
    }

    /// As [`peer_gone`](Self::peer_gone), but waits until nobody can take the answer any more: the connection is gone. For what is kept only
    /// to give it.
    #[must_use]
    pub fn connection_gone(&self) -> PeerGone {
        self.peer_gone().entirely()
    }

    /// The worker that the request is on, to run a future on it, for instance.
    #[must_use]
    pub fn worker(&self) -> LocalWorker {
        LocalWorker::new(self.core.clone())
    }

    /// How long this request's connection may make no progress, in place of
    /// [`http_idle_timeout`](crate::Options::http_idle_timeout), until it is answered; zero: for ever. From now on (Bun:
    /// `server.timeout`).
    pub fn set_idle_timeout(&self, timeout: Duration) {
        self.core.set_idle_timeout(self.ticket, timeout);
    }

    /// The address at the other end of the request's connection; `None` on a unix socket, and once it is gone.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.core.local(self.ticket.id).peer_address()
    }

    /// Makes the connection a WebSocket: `open` runs inside this call. `headers` are added to the 101, but for those of the
    /// handshake itself; `data` is attached to the socket. As [`Upgrader::upgrade`](crate::Upgrader::upgrade).
    ///
    /// # Errors
    /// [`UpgradeError`] says why the request cannot be upgraded; it can still be answered.
    pub fn upgrade<B>(
        &self,
        request: &http::Request<B>,
        headers: &HeaderMap,
        data: Option<Rc<dyn Any>>,
    ) -> Result<(), UpgradeError> {
        self.core.upgrade(self.ticket, request, headers, data)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.core.counters.requests_done.add(1);
        self.core.abandon(self.ticket);
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Responder").field(&self.ticket).finish()
    }
}

/// Why an upgrade was refused. Nothing was sent; the response that fits it is [`UpgradeError::to_response`], which `fetch`
/// may also return as it is.
///
/// ```
/// use tidewire::{IntoReply, Server, Upgrade, UpgradeError};
///
/// let builder = Server::builder().fetch(|req, server| async move {
///     match server.upgrade(&req, Upgrade::new(())) {
///         Err(UpgradeError::Handshake(_)) => "a page, for who asks for no WebSocket".into_reply(),
///         result => result.into_reply(),
///     }
/// });
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The request is no WebSocket handshake.
    #[error(transparent)]
    Handshake(#[from] Refusal),
    /// A header or a subprotocol that the application gave cannot be sent.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A header that the application gave has a name or a value that no header can have.
    #[error("the header {0:?} cannot be sent: CR, LF and NUL are not allowed, and a name is a token")]
    Header(String),
    /// The request has been answered or upgraded already, or its connection is gone.
    #[error("the request was answered or upgraded already, or its connection is gone")]
    Gone,
    /// The request belongs to another worker's thread.
    #[error("a request is upgraded on the thread that received it; move the data there, not the request elsewhere")]
    WrongThread,
}

impl UpgradeError {
    /// A response that tells the client what was wrong: 400, or 426 with the version that is spoken (RFC 6455, section 4.4);
    /// for what is the application's mistake 500, with no detail.
    ///
    /// ```
    /// use tidewire::UpgradeError;
    /// assert_eq!(UpgradeError::Gone.to_response().status(), 500);
    /// ```
    #[must_use]
    pub fn to_response(&self) -> Response {
        let mut response = Response::new(format!("{self}\n").into());
        match self {
            Self::Handshake(refusal) => {
                *response.status_mut() = refusal.status();
                if let Some((name, value)) = refusal.header() {
                    response.headers_mut().insert(name, value);
                }
            }
            _ => {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                *response.body_mut() = "the upgrade failed\n".into();
            }
        }
        response
    }
}

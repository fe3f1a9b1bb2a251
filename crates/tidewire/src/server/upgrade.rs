//! Upgrading a request: what is attached, and the handle by which it is done.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use http::header::{HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use super::run::Server;
use crate::engine::Core;
use crate::http::{Ticket, UpgradeError};

/// What an upgrade attaches to the socket, and what it adds to the response (Bun: the second argument of `upgrade`).
///
/// ```
/// use tidewire::{Server, Upgrade};
///
/// struct Session { number: u64 }
///
/// let builder = Server::builder().fetch(|req, server| async move {
///     let upgrade = Upgrade::new(Session { number: 42 }).header("set-cookie", "SessionId=42").protocol("chat.v2");
///     server.upgrade(&req, upgrade)
/// });
/// # let _ = builder;
/// ```
#[derive(Debug)]
pub struct Upgrade<T> {
    data: T,
    headers: HeaderMap,
    /// A name or a value that no header can have.
    bad_header: Option<String>,
}

impl<T> Upgrade<T> {
    /// An upgrade with this data, which the socket's handlers get from [`Ws::data`](super::Ws::data). `()` when there is none.
    pub fn new(data: T) -> Self {
        Self { data, headers: HeaderMap::new(), bad_header: None }
    }

    /// Adds a header to the 101 response; several of one name are all sent. Headers of the handshake itself
    /// (`Sec-WebSocket-Accept`, `Connection`, `Content-Length` and their like) are ignored. A name or value that no header can
    /// have (CR, LF, NUL) makes the upgrade fail with [`UpgradeError::Header`]; nothing is sent then.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_ref())) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.bad_header = Some(name.to_owned()),
        }
        self
    }

    /// Chooses the subprotocol (RFC 6455, section 1.9); the empty string chooses none. Without a choice, the first that the
    /// client offered is taken (Bun: the same).
    #[must_use]
    pub fn protocol(self, protocol: &str) -> Self {
        let mut chosen = self;
        chosen.headers.remove(SEC_WEBSOCKET_PROTOCOL);
        chosen.header("sec-websocket-protocol", protocol)
    }
}

/// A request became a WebSocket: nothing is left to answer. It is what [`Upgrader::upgrade`] gives, for `fetch` to return.
///
/// ```
/// use tidewire::{IntoReply, Server, Upgrade};
///
/// let builder = Server::builder().fetch(|req, server| async move {
///     match server.upgrade(&req, Upgrade::new(())) {
///         Ok(upgraded) => upgraded.into_reply(),
///         Err(error) => format!("this is a page, because {error}").into_reply(),
///     }
/// });
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upgraded(pub(crate) ());

/// The server as `fetch` gets it: it can do all that a [`Server`] can, and upgrade.
///
/// ```
/// use tidewire::{Server, Upgrade};
///
/// let builder = Server::builder().fetch(|req, server| async move {
///     server.publish("lobby", "somebody is at the door");
///     server.upgrade(&req, Upgrade::new(()))
/// });
/// # let _ = builder;
/// ```
pub struct Upgrader<T> {
    server: Server,
    data: PhantomData<fn(T)>,
}

impl<T: 'static> Upgrader<T> {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, data: PhantomData }
    }

    /// Makes the connection of a request a WebSocket (RFC 6455, section 4.2). `open` runs inside this call; frames that came
    /// with the request, or while `fetch` waited, are delivered after it. It works after awaits too, on the thread that received
    /// the request.
    ///
    /// # Errors
    /// [`UpgradeError`] says why not; returned from `fetch`, it becomes the response that fits. The request can also be answered
    /// in another way.
    pub fn upgrade<B>(&self, request: &http::Request<B>, upgrade: Upgrade<T>) -> Result<Upgraded, UpgradeError> {
        if let Some(name) = upgrade.bad_header {
            return Err(UpgradeError::Header(name));
        }
        let ticket = *request.extensions().get::<Ticket>().ok_or(UpgradeError::Gone)?;
        let core = Core::current().ok_or(UpgradeError::WrongThread)?;
        core.upgrade(ticket, request, &upgrade.headers, Some(Rc::new(upgrade.data)))?;
        Ok(Upgraded(()))
    }
}

impl<T> Clone for Upgrader<T> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), data: PhantomData }
    }
}

impl<T> Deref for Upgrader<T> {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl<T> fmt::Debug for Upgrader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upgrader").field(&self.server).finish()
    }
}

//! What `fetch` may return.

use std::error::Error;

use http::StatusCode;

use super::upgrade::Upgraded;
use crate::http::{Body, Response, UpgradeError};

/// The error of a failed `fetch`: any error, boxed. `?` makes one of the application's.
///
/// ```
/// use tidewire::{Server, server::FetchError};
///
/// let builder = Server::builder::<()>().fetch(|req, _server| async move {
///     let query = req.uri().query().ok_or("there is no query")?;
///     let number: u64 = query.parse()?;
///     Ok::<_, FetchError>(format!("twice that is {}", number.saturating_mul(2)))
/// });
/// # let _ = builder;
/// ```
pub type FetchError = Box<dyn Error + Send + Sync>;

/// What became of a request: what everything that `fetch` may return is made into. See [`IntoReply`]. A function that
/// answers in several ways gives one:
///
/// ```
/// use tidewire::{IntoReply, Reply, Request, Upgrade, Upgrader};
///
/// fn chat(req: &Request, server: &Upgrader<String>) -> Reply {
///     match req.uri().query() {
///         Some(name) => server.upgrade(req, Upgrade::new(name.to_owned())).into_reply(),
///         None => (http::StatusCode::BAD_REQUEST, "who are you?").into_reply(),
///     }
/// }
/// # let _ = chat;
/// ```
#[derive(Debug)]
pub enum Reply {
    /// It is a WebSocket now. If it is not, the answer is 500.
    Upgraded,
    /// This is the response.
    Response(Response),
    /// It failed: [`fetch_error`](crate::Builder::fetch_error) answers, or 500.
    Failed(FetchError),
}

/// What `fetch` may return:
///
/// | value | answer |
/// |---|---|
/// | `http::Response` of a [`Body`], or of what becomes one | itself |
/// | the result of [`upgrade`](super::Upgrader::upgrade) | none, or what [fits](UpgradeError::to_response) its error |
/// | `&'static str`, `String` | 200, `text/plain` |
/// | `StatusCode` | that, without a body |
/// | `(StatusCode, reply)` | the reply, with that status |
/// | [`FetchError`] | 500, or that of [`fetch_error`](crate::Builder::fetch_error) |
/// | `Option` of a reply | `None`: it was upgraded, as `undefined` in Bun |
/// | `Result` of replies | whichever it is |
///
/// ```
/// use http::StatusCode;
/// use tidewire::{IntoReply, Reply};
///
/// assert!(matches!("hello".into_reply(), Reply::Response(_)));
/// assert!(matches!(None::<&str>.into_reply(), Reply::Upgraded));
///
/// let Reply::Response(missing) = (StatusCode::NOT_FOUND, "there is nothing").into_reply() else { unreachable!() };
/// assert_eq!(missing.status(), 404);
/// ```
pub trait IntoReply {
    /// The reply.
    fn into_reply(self) -> Reply;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl<B: Into<Body>> IntoReply for http::Response<B> {
    fn into_reply(self) -> Reply {
        Reply::Response(self.map(Into::into))
    }
}

impl IntoReply for Upgraded {
    fn into_reply(self) -> Reply {
        Reply::Upgraded
    }
}

impl IntoReply for UpgradeError {
    fn into_reply(self) -> Reply {
        Reply::Response(self.to_response())
    }
}

impl IntoReply for FetchError {
    fn into_reply(self) -> Reply {
        Reply::Failed(self)
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Reply {
        self.to_owned().into_reply()
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Reply {
        let mut response = Response::new(self.into());
        let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        Reply::Response(response)
    }
}

impl IntoReply for StatusCode {
    fn into_reply(self) -> Reply {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Reply::Response(response)
    }
}

impl<R: IntoReply> IntoReply for (StatusCode, R) {
    fn into_reply(self) -> Reply {
        match self.1.into_reply() {
            Reply::Response(mut response) => {
                *response.status_mut() = self.0;
                Reply::Response(response)
            }
            other => other,
        }
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    /// `None` says, as `undefined` does in JavaScript, that the request was upgraded.
    fn into_reply(self) -> Reply {
        self.map_or(Reply::Upgraded, IntoReply::into_reply)
    }
}

impl<R: IntoReply, E: IntoReply> IntoReply for Result<R, E> {
    fn into_reply(self) -> Reply {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => error.into_reply(),
        }
    }
}

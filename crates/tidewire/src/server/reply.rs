//! What `fetch` may return.

use std::error::Error;

use http::StatusCode;

use super::upgrade::Upgraded;
use crate::http::{Body, Response, UpgradeError};

/// The error of a failed `fetch`.
pub type FetchError = Box<dyn Error + Send + Sync>;

/// What became of a request.
#[derive(Debug)]
pub enum Reply {
    /// It is a WebSocket now.
    Upgraded,
    /// This is the response.
    Response(Response),
    /// It failed: the error handler answers, or 500.
    Failed(FetchError),
}

/// What `fetch` may return: a response, the result of an upgrade, text, a status, and `Result`s and `Option`s of these.
///
/// ```
/// use tidewire::{IntoReply, Reply};
/// assert!(matches!("hello".into_reply(), Reply::Response(_)));
/// assert!(matches!(None::<&str>.into_reply(), Reply::Upgraded));
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

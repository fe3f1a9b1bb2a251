//! HTTP/1.1 before and beside the upgrade. hyper parses and answers; this room drives it over memory and hands requests on.
//!
//! hyper's service only parks the request and waits for a response. The application's `fetch` runs after hyper's poll has
//! returned, with nothing borrowed, so it may upgrade, which takes hyper's connection apart.

mod body;
pub(crate) mod exchange;
mod guard;
mod pipe;
mod responder;

pub use body::{Body, BodyError, RequestBody};
pub use exchange::PeerGone;
pub use responder::{Responder, UpgradeError};

pub(crate) use responder::Ticket;

/// A request as `fetch` gets it: method, URI, headers, and a body that is received as it is read. Its URI is what the client
/// asked for, a path with a query; the host is in the header `host`.
///
/// ```
/// use tidewire::Request;
///
/// fn is_chat(request: &Request) -> bool {
///     request.method() == http::Method::GET && request.uri().path() == "/chat"
/// }
/// # assert!(!is_chat(&Request::default()));
/// ```
pub type Request = http::Request<RequestBody>;

/// A response as `fetch` gives it. Its Date, and Content-Length or Transfer-Encoding, are added when it is sent.
///
/// ```
/// use tidewire::Response;
///
/// let mut response = Response::new("<!doctype html>".into());
/// response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
/// ```
pub type Response = http::Response<Body>;

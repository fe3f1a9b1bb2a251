//! HTTP/1.1 before and beside the upgrade. hyper parses and answers; this room drives it over memory and hands requests on.
//!
//! hyper's service only parks the request and waits for a response. The application's `fetch` runs after hyper's poll has
//! returned, with nothing borrowed, so it may upgrade, which takes hyper's connection apart.

mod body;
pub(crate) mod exchange;
mod pipe;
mod responder;

pub use body::{Body, BodyError, RequestBody};
pub use responder::{Responder, UpgradeError};

pub(crate) use responder::Ticket;

/// A request as `fetch` gets it: method, URI, headers, and a body that is received as it is read.
pub type Request = http::Request<RequestBody>;

/// A response as `fetch` gives it.
pub type Response = http::Response<Body>;

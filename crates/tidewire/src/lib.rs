//! Tidewire: a WebSocket server and client with Bun's API.

#![forbid(unsafe_code)]

pub(crate) mod backplane;
pub mod engine;
pub mod http;
mod topics;

pub use engine::{Kind, Message, Payload, SendStatus};
pub use http::{Body, Request, Response};

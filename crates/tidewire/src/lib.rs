//! Tidewire: a WebSocket server and client with Bun's API.

#![forbid(unsafe_code)]

pub(crate) mod backplane;
pub mod client;
pub mod engine;
pub mod http;
pub mod server;
mod topics;

pub use client::Client;
pub use engine::{Kind, LocalSocket, Message, Metrics, Options, Payload, ReadyState, SendStatus, SocketError};
pub use http::{Body, Request, Response, UpgradeError};
pub use server::{BindError, Builder, Handle, IntoReply, Reply, Server, Upgrade, Upgraded, Upgrader, Ws};
/// The seam to the kernel, for those who turn workers themselves.
pub use tidewire_sys as sys;

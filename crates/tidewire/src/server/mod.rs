//! The server as users write it: a builder that reads like `Bun.serve`, typed sockets, and a handle for all threads.

mod bind;
mod builder;
mod handlers;
mod reply;
mod run;
#[cfg(feature = "tokio")]
mod serve;
#[cfg(feature = "tower")]
mod service;
mod upgrade;
mod ws;

pub use bind::{BindError, Listen};
pub use builder::Builder;
pub use reply::{FetchError, IntoReply, Reply};
pub use run::{RunError, Running, Server};
pub use upgrade::{Upgrade, Upgraded, Upgrader};
pub use ws::{Handle, Panic, Ws};

//! The client: the mirror of the server's handlers, on a worker of its own or beside others. One [`Client`] is one connection; it
//! is over when [`Client::run`] returns.
//!
//! ```
//! use tidewire::{Client, Server, Upgrade};
//!
//! let server = Server::builder()
//!     .fetch(|req, server| async move { server.upgrade(&req, Upgrade::new(())) })
//!     .message(|ws, message| { ws.send(message); })
//!     .bind("127.0.0.1:0")?
//!     .start()?;
//!
//! Client::builder()
//!     .open(|ws| { ws.send("hello"); })
//!     .message(|ws, message| {
//!         assert_eq!(message.text(), "hello");
//!         ws.close(1000, "done").unwrap();
//!     })
//!     .run(&format!("ws://127.0.0.1:{}/", server.port().unwrap()))?;
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
#[cfg(feature = "tokio")]
mod reconnecting;
#[cfg(feature = "tokio")]
mod websocket;

pub use crate::engine::dialing::url::UrlError;
#[cfg(feature = "tokio")]
pub use reconnecting::{Backoff, Event, Failure, Reconnecting};
/// Why a peer closed.
#[cfg(feature = "tokio")]
pub use tidewire_proto::close::CloseReason;
#[cfg(feature = "tokio")]
pub use websocket::{WebSocket, WebSocketError};

pub use crate::engine::{Answer, ConnectError, Dial, DialError, Proxy};
pub use builder::{Client, ClientError};

//! Tidewire: a WebSocket server and client with Bun's API.
//!
//! A [`Server`] answers requests in `fetch`, where it upgrades those that should become WebSockets; one set of handlers gets the
//! events of all its sockets. Each socket carries data of the application's, and joins topics that anybody may publish to.
//! A [`Client`] has the same handlers at the other end.
//!
//! # Quick start
//!
//! A chat room:
//!
//! ```no_run
//! use tidewire::{Server, Upgrade};
//!
//! struct User { name: String }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::builder()
//!         .fetch(|req, server| async move {
//!             let name = req.uri().query().unwrap_or("somebody").to_owned();
//!             server.upgrade(&req, Upgrade::new(User { name }))
//!         })
//!         .open(|ws| { ws.subscribe("room"); })
//!         .message(|ws, message| { ws.publish("room", format!("{}: {message}", ws.data().name)); })
//!         .close(|ws, _code, _reason| { ws.server().publish("room", format!("{} has left", ws.data().name)); })
//!         .workers(2)
//!         .bind("127.0.0.1:3000")?;
//!     println!("listening on {}", server.url());
//!     Ok(server.run()?)
//! }
//! ```
//!
//! The repository's folder `examples` has a small program for each section of Bun's documentation; they run with
//! `cargo run -p tidewire-examples --example basic`:
//!
//! | example | shows |
//! |---|---|
//! | `basic` | an echo; what is answered when an upgrade fails |
//! | `sending` | text, bytes, a message as it came |
//! | `headers` | a cookie in the upgrade's response |
//! | `contextual_data` | data on a socket, from a cookie and the query; futures beside the handlers |
//! | `pub_sub` | a group chat; publishing from another thread |
//! | `backpressure` | a producer that waits for `drain` |
//! | `timeouts_and_limits`, `configuration` | the options |
//! | `tokio_axum` | pages by an axum router, timers by tokio |
//! | `client` | the client |
//! | `client_async` | a stream and a sink, in two tasks |
//! | `client_reconnecting` | a client that comes back |
//!
//! # The way of a byte
//!
//! ```text
//!  kernel ──> receive ──> transport ──> HTTP ──> fetch ──> upgrade
//!    ^                                  then                  │
//!    │                                 frames <───────────────┘
//!    │                                    │
//!    │                                    v
//!    │                             open, message, ..      other threads
//!    │                               │ send    │ publish       │
//!    │                               v         v               v
//!    └────── flush <────────────── outbox <─ topics <────── mailbox
//! ```
//!
//! All of it happens on one thread, the socket's worker, in turns: a turn takes what has arrived, calls the handlers, and
//! ends with one flush, a single system call for each socket that has something to send. So sends of one turn leave together
//! by themselves, and a published message is framed once, however many subscribers there are. What the kernel does not take
//! waits in the socket's outbox: that is backpressure, and [`SendStatus`] tells of it.
//!
//! # Threads
//!
//! - A server has [`workers`](Builder::workers), each a thread with its own sockets; the kernel spreads connections over
//!   them. Topics reach all of them.
//! - Handlers are shared by the workers, so they are `Fn + Send + Sync`. They run with nothing borrowed: a handler may send,
//!   publish, close, stop the server, on any socket of its worker.
//! - A socket ([`Ws`]), its data and its futures ([`Ws::spawn`], `fetch`) stay on their worker's thread, so they need not be
//!   `Send`: a `Cell` or an `Rc` in the data will do. A handler that blocks, blocks the worker's other sockets.
//! - [`Server`] and [`Ws::handle`] work on every thread; what they ask for is posted to the workers, in order, never blocking.
//! - [`Server::run`] uses the calling thread, [`Server::start`] threads of its own, and `Server::serve` (feature `tokio`) has
//!   the caller's runtime entered on them, so that timers, sockets and tasks of tokio work in futures.
//!
//! # Options
//!
//! Setters of [`Builder`]; more, by name, in [`Options`]. What a peer sees that goes beyond a limit, and what you see, is in
//! [`limits`].
//!
//! | option | default | beyond it | Bun |
//! |---|---|---|---|
//! | [`max_payload_length`](Builder::max_payload_length) | 16 MiB | close 1009 | the same |
//! | [`idle_timeout`](Builder::idle_timeout) | 120 s | cut off, 1006 | the same, but at most 960 s |
//! | [`backpressure_limit`](Builder::backpressure_limit) | 1 MiB | sends are dropped | **16 MiB** |
//! | [`close_on_backpressure_limit`](Builder::close_on_backpressure_limit) | `false` | | the same |
//! | [`send_pings`](Builder::send_pings) | `true` | | the same |
//! | [`publish_to_self`](Builder::publish_to_self) | `false` | | the same |
//! | [`max_connections`](Builder::max_connections) | 1,048,576 | closed at once | none |
//! | [`max_connections_per_address`](Builder::max_connections_per_address) | 16,384 | closed at once | none |
//! | [`workers`](Builder::workers) | 1 | | 1 |
//! | [`origins`](Builder::origins) | all | 403 | none |
//!
//! Other differences from Bun: close codes that may not be sent are refused, frames that arrive while `fetch` still waits are
//! kept, and the fragments of a message, pings, connections, the subscriptions of a socket and the length of a topic's name
//! are bounded.
//!
//! # Panics in handlers
//!
//! A panic ends at the socket whose handler it was: it goes to [`error`](Builder::error), without which it is logged and the
//! socket closed with 1011. A `fetch` that panics answers 500, or what [`fetch_error`](Builder::fetch_error) says. A future
//! of [`Ws::spawn`] that panics is dropped. Other sockets notice nothing. (This needs unwinding: with `panic = "abort"` the
//! process ends.)
//!
//! # Features
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `deflate` | yes | compression of messages: by themselves by a compressor of Tidewire's own, otherwise by zlib-rs |
//! | `zlib` | yes | C zlib where a connection keeps its context: small windows in the memory that they say, and less time for small messages |
//! | `tls` | yes | `Builder::tls`, and `wss://` for clients |
//! | `tokio` | no | `Server::serve`: run beside a tokio runtime; `client::WebSocket`, `client::Reconnecting` |
//! | `tower` | no | `Builder::service`: any tower service, such as an axum router, answers what is not upgraded |
//!
//! What happens inside is told through the crate `tracing`; [`Server::metrics`] counts it.

#![forbid(unsafe_code)]

pub(crate) mod backplane;
pub mod client;
pub mod engine;
pub mod http;
pub mod limits;
pub mod server;
#[cfg(feature = "tls")]
pub mod tls;
mod topics;

pub use client::Client;
pub use engine::Compress;
#[cfg(feature = "deflate")]
pub use engine::{Compressor, Deflate, ParseCompressorError};
pub use engine::{Kind, LocalSocket, Message, Metrics, Options, Payload, ReadyState, SendStatus, SocketError};
pub use http::{Body, Request, Response, UpgradeError};
pub use server::{BindError, Builder, Handle, IntoReply, Reply, Server, Upgrade, Upgraded, Upgrader, Ws};
/// The seam to the kernel, for those who turn workers themselves.
pub use tidewire_sys as sys;

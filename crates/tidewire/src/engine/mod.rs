//! The engine: one worker is one thread with one poller, and owns its connections, topics, timers and buffers.
//!
//! ```text
//! kernel -> sys::Io -> worker turn -> transport -> stage: http, then websocket (proto)
//!        -> handler / topic -> outbox -> one flush per turn -> sys::Io -> kernel
//! ```
//!
//! `state` holds what is borrowed, for one operation at a time; `core` calls user code, with nothing borrowed; `worker` turns the
//! loop. Whatever may end a connection goes through one place, the closing table in `tidewire-proto`.
//!
//! What is public here is for those who turn workers themselves: inside a foreign loop, with handlers in another language, or
//! over a simulated network. Everybody else needs [`Server`](crate::Server) and [`Client`](crate::Client) only.

pub mod application;
mod arrivals;
mod backend;
pub(crate) mod census;
pub(crate) mod compression;
pub(crate) mod connection;
pub(crate) mod core;
pub(crate) mod counters;
pub(crate) mod deadlines;
pub mod dialing;
pub(crate) mod executor;
pub(crate) mod frames;
mod gathered;
pub(crate) mod group;
pub(crate) mod limits;
pub(crate) mod local;
pub(crate) mod log;
pub(crate) mod mailbox;
pub(crate) mod masks;
pub(crate) mod options;
pub(crate) mod outbox;
pub(crate) mod outgoing;
pub(crate) mod packing;
mod publishing;
pub(crate) mod requests;
pub(crate) mod run;
mod sealed;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod timer;
pub(crate) mod transport;
pub(crate) mod worker;

pub use application::{Application, Kind, Message, Payload, SendStatus};
pub(crate) use backend::open_io;
pub use compression::Compress;
#[cfg(feature = "deflate")]
pub use compression::{Compressor, Deflate, ParseCompressorError};
pub(crate) use core::Core;
pub use counters::Metrics;
pub use dialing::{Answer, ConnectError, Dial, DialError, Proxy};
pub use group::Group;
pub use local::{LocalSocket, LocalWorker, ReadyState, SocketError, check_close, check_control};
pub use options::Options;
pub use run::Run;
pub use table::SocketId;
pub use tidewire_proto::Ahead;
pub use worker::{Worker, WorkerError};

//! The kernel as Tidewire sees it: one [`Io`] trait, sockets, wakers and buffers. It knows no WebSocket.
//!
//! | room | what it is for |
//! |---|---|
//! | [`io`] | the trait that the engine calls, and its vocabulary |
//! | [`readiness`] | the trait over the kernel's poller: epoll on Linux, the `polling` crate elsewhere |
//! | `uring` | on Linux, the trait over a completion ring |
//! | [`choice`] | which of them a worker gets |
//! | [`buffer`] | receive buffers, owned by the worker and lent out |
//! | [`cpu`] | pinning a worker's thread to a core |
//! | `zlib` | C zlib, with the feature of that name |

pub mod buffer;
pub mod choice;
pub mod cpu;
#[cfg(target_os = "linux")]
mod doorbell;
mod endpoint;
pub mod io;
pub mod readiness;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
pub mod uring;
#[cfg(feature = "zlib")]
pub mod zlib;

pub use choice::{Backend, Choice};
pub use io::{Accepted, Buffer, Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};
pub use readiness::Readiness;

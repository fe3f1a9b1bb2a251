//! The kernel as Tidewire sees it: one [`Io`] trait, sockets, wakers and buffers. It knows no WebSocket.
//!
//! | room | what it is for |
//! |---|---|
//! | [`io`] | the trait that the engine calls, and its vocabulary |
//! | [`readiness`] | the trait over the kernel's poller: epoll on Linux, the `polling` crate elsewhere |
//! | `uring` | on Linux: what of io_uring this process can use |
//! | [`buffer`] | receive buffers, owned by the worker and lent out |
//! | [`cpu`] | pinning a worker's thread to a core |
//! | `zlib` | C zlib, with the feature of that name |

pub mod buffer;
pub mod cpu;
pub mod io;
pub mod readiness;
#[cfg(target_os = "linux")]
pub mod uring;
#[cfg(feature = "zlib")]
pub mod zlib;

pub use io::{Accepted, Buffer, Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};
pub use readiness::Readiness;

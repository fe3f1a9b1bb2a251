//! The kernel as Tidewire sees it: one [`Io`] trait, sockets, wakers and buffers. It knows no WebSocket.

pub mod buffer;
pub mod io;

pub use io::{Accepted, Buffer, Endpoint, Event, Interest, Io, ListenOptions, Listening, Socket, Token};

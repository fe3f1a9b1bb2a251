//! The rows that the protocol shows by itself, without sockets: bytes in, events and errors out.

#![forbid(unsafe_code)]

mod compression;
mod frames;
mod handshake;
mod memory;
mod text;

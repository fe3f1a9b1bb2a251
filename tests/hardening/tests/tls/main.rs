//! The rows about TLS, on a simulated network: what a peer may do before, during and after its handshake, to a server and to a
//! client.

#![forbid(unsafe_code)]
// What goes wrong in a test has to be loud, also in what its tests share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clients;
mod servers;

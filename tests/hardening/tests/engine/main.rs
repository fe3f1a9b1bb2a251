//! The rows that the engine shows, on a simulated network: what a peer may do to a server, and what the server counts and says.

#![forbid(unsafe_code)]
// What goes wrong in a test has to be loud, also in what its tests share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod budgets;
mod clients;
mod ends;
mod heads;
mod peers;

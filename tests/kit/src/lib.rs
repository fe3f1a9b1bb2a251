//! What the tests of Tidewire share. Nothing that is shipped imports it.
//!
//! | room | what it is for |
//! |---|---|
//! | [`sim`] | a network with its own clock and seeded faults; **start here** |
//! | [`client`] | a WebSocket client for tests, on a simulated or a real connection: a second opinion on RFC 6455 |
//! | [`real`] | real connections on the loopback, with bounded waits |
//! | [`tls`] | certificates made for the occasion, and a TLS client beneath the others, with all that a peer may do |
//! | [`http`] | responses taken apart |
//! | [`for_each_seed`] | one test over many seeds, and a failing seed run again |
//! | [`Folder`] | temporary files |
//! | [`Random`] | random numbers that are the same everywhere |
//! | [`programs`] | programs of others, as peers |
//! | [`process`] | what a process uses: resident bytes, open descriptors |
//!
//! A test on the simulator comes first, because it is fast, exact, and repeats; a test on real sockets shows that the kernel
//! agrees.
#![forbid(unsafe_code)]
// The kit is a test from end to end: what goes wrong in it has to be loud.
#![allow(clippy::expect_used)]

pub mod client;
mod folder;
pub mod http;
pub mod process;
pub mod programs;
mod random;
pub mod real;
pub mod seeds;
pub mod sim;
pub mod tls;

pub use folder::Folder;
pub use random::Random;
pub use seeds::for_each_seed;

//! What the tests of Tidewire share. Nothing that is shipped imports it.
//!
//! | room | what it is for |
//! |---|---|
//! | [`sim`] | a network with its own clock and seeded faults; **start here** |
//! | [`for_each_seed`] | one test over many seeds, and a failing seed run again |
//! | [`Random`] | random numbers that are the same everywhere |
//! | [`process`] | what a process uses: resident bytes, open descriptors |
#![forbid(unsafe_code)]
// The kit is a test from end to end: what goes wrong in it has to be loud.
#![allow(clippy::expect_used)]

pub mod process;
mod random;
pub mod seeds;
pub mod sim;

pub use random::Random;
pub use seeds::for_each_seed;

//! Every example runs as a process of its own and does what its section of the documentation says.

// A test from end to end: what goes wrong in it has to be loud.
#![allow(clippy::unwrap_used)]

mod compression;
mod process;
mod programs;
mod pub_sub;
mod tls;

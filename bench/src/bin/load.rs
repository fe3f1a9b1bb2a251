//! A load on a WebSocket server, and what it costs that server.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser as _;
    use tidewire_bench::load::{Options, run};
    tidewire_bench::exit("load", run(&Options::parse()))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    tidewire_bench::unsupported("load")
}

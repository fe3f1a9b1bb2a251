//! A program under the conditions of a measurement: one core, many sockets, no longer than its parent.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser as _;
    use tidewire_bench::pin::{Options, run};
    tidewire_bench::exit("pin", run(&Options::parse()))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    tidewire_bench::unsupported("pin")
}

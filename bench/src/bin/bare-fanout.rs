//! The floor of a fan-out: one send to every connection for each message, and nothing parsed.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser as _;
    use tidewire_bench::bare::{Answer, Options, run};
    tidewire_bench::exit("bare-fanout", run("bare-fanout", &Options::parse(), Answer::Everybody))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    tidewire_bench::unsupported("bare-fanout")
}

//! The floor of an echo: the same bytes in both directions, and nothing parsed.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser as _;
    use tidewire_bench::bare::{Answer, Options, run};
    tidewire_bench::exit("bare-echo", run("bare-echo", &Options::parse(), Answer::Sender))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    tidewire_bench::unsupported("bare-echo")
}

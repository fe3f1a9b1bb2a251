//! `cargo xtask bench`: measurements. They run on the machine that they are asked on, so they compare and never pass judgement on an
//! absolute time.

mod floor;
mod peers;
mod rows;
mod servers;
mod table;

use clap::{Args, Subcommand};

use crate::failure::Result;
use crate::workspace::Workspace;

/// What to measure.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    measurement: Measurement,
}

#[derive(Subcommand)]
enum Measurement {
    /// The server's CPU time per message, against a server that only moves the bytes, or against Bun's
    Floor(floor::Options),
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    match &options.measurement {
        Measurement::Floor(options) => floor::run(workspace, options),
    }
}

//! `cargo xtask bench`: measurements. They run on the machine that they are asked on, so they compare and never pass judgement on an
//! absolute time.

mod clients;
mod compare;
mod machine;
mod page;
mod plot;
mod results;
mod rows;
mod samples;
mod stage;
mod who;

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
    /// What messages and connections cost servers: ours, those of others, and one that only moves the bytes
    ///
    /// Every round measures all servers of a row once, one after the other on the same cores, so that a machine that changes its mood
    /// does so for all of them. A ratio belongs to one round; the median of the rounds' ratios is what is told. Results are written to
    /// bench/results.md after each row; rows that are not measured now stay there as they are.
    Compare(compare::Options),
    /// What a message costs a client in JavaScript: ours on Node.js, ws, Node.js's own class and Bun's
    ///
    /// Each is a process of its own that measures itself on a `tidewire echo`, in turn, round by round.
    Clients(clients::Options),
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    match &options.measurement {
        Measurement::Compare(options) => compare::run(workspace, options),
        Measurement::Clients(options) => clients::run(workspace, options),
    }
}

//! The project's own commands, run as `cargo xtask NAME`: one entry for developers and for continuous integration alike.

#![forbid(unsafe_code)]

mod announced;
mod bench;
mod conformance;
mod counts;
mod failure;
mod fuzz;
mod needs;
mod node;
mod pack;
mod process;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the tests need, then runs every check and every test
    Test(test::Options),
    /// Checks what the compiler cannot: import edges, sizes, unsafe code, leftovers
    Tidy,
    /// Builds the Node-API addon and puts it in its place in node/
    Node(node::Options),
    /// Builds the addon and writes the npm packages that can be published from here under target/npm
    Pack(node::Options),
    /// Runs the Autobahn test suite against the server and the client, or against those of others
    ///
    /// The command of another server must print a line with its URL. That of another client finds in AUTOBAHN_URL whom to connect to
    /// and in AUTOBAHN_AGENT how to call itself: it asks /getCaseCount, runs /runCase?case=N&agent=NAME for each number from 1 on,
    /// sends every message back, and ends with /updateReports?agent=NAME.
    Conformance(conformance::Options),
    /// Measures; see `cargo xtask bench --help`
    Bench(bench::Options),
    /// Counts the instructions of the hot paths and compares them with bench/baseline
    Counts(counts::Options),
    /// Fuzzes the targets of tests/fuzz
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result {
    process::end_children_on_signals()?;
    let workspace = Workspace::load()?;
    match command {
        Command::Test(options) => test::run(&workspace, options),
        Command::Tidy => tidy::run(&workspace),
        Command::Node(options) => node::run(&workspace, options).map(drop),
        Command::Pack(options) => pack::run(&workspace, options),
        Command::Conformance(options) => conformance::run(&workspace, options),
        Command::Bench(options) => bench::run(&workspace, options),
        Command::Counts(options) => counts::run(&workspace, options),
        Command::Fuzz(options) => fuzz::run(&workspace, options),
    }
}

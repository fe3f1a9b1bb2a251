//! The `tidewire` command: the seed's chat room, and an echo server.

#![forbid(unsafe_code)]

mod chat;
mod echo;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WebSocket server with Bun's API, on the command line.
///
/// Logging follows RUST_LOG (for example RUST_LOG=tidewire=debug); colours are left out when NO_COLOR is set or the output is
/// no terminal.
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a chat room: a page at / and its WebSocket at /chat?name=N
    Chat(serve::Flags),
    /// Serve a WebSocket that sends every message back as it came
    Echo(serve::Flags),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    serve::init_logging();
    let result = match arguments.command {
        Command::Chat(flags) => serve::run("chat", &flags, chat::room()),
        Command::Echo(flags) => serve::run("echo", &flags, echo::server()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("tidewire: {error}");
            ExitCode::FAILURE
        }
    }
}

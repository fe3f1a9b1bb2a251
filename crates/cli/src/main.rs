//! The `tidewire` command: the seed's chat room, an echo server, a client, and a load generator.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bench;
mod chat;
mod connect;
mod doctor;
mod echo;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WebSocket server and client with Bun's API, on the command line.
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
    Chat(chat::ChatFlags),
    /// Serve a WebSocket that sends every message back as it came
    Echo(serve::Flags),
    /// Connect to a WebSocket: lines of the input go out, messages come in as lines
    // Boxed, because it has many more flags than the others.
    Connect(Box<connect::Flags>),
    /// Say what this machine gives a server: limits, the way to the kernel, TLS, and what to do where something is wrong
    Doctor,
    /// Put a load on a WebSocket server: latency, throughput, and what it costs the server
    #[cfg(target_os = "linux")]
    Bench(Box<bench::Flags>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    serve::init_logging();
    let result = match arguments.command {
        Command::Chat(flags) => serve::run("chat", &flags.serve, chat::room(&flags)).map(|()| ExitCode::SUCCESS),
        Command::Echo(flags) => serve::run("echo", &flags, echo::server()).map(|()| ExitCode::SUCCESS),
        Command::Connect(flags) => connect::run(&flags),
        Command::Doctor => doctor::run(),
        #[cfg(target_os = "linux")]
        Command::Bench(flags) => bench::run(&flags),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("tidewire: {error}");
            ExitCode::FAILURE
        }
    }
}

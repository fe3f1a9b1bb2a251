//! What the servers of this command share: flags, logging, the line that says where they listen, and how they end.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidewire::{Builder, Server};
use tracing_subscriber::EnvFilter;

/// Flags of every server.
#[derive(Debug, Args)]
pub struct Flags {
    /// The address to listen on
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    host: IpAddr,
    /// The port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 3000, env = "TIDEWIRE_PORT")]
    port: u16,
    /// Worker threads; 0: one for each core
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// Seconds after which a silent connection is closed; 0: never
    #[arg(long, default_value_t = 120, value_name = "S")]
    idle_timeout: u64,
    /// Compress messages, where the client can (permessage-deflate)
    #[arg(long)]
    compress: bool,
}

/// Logs to standard error: warnings, or what RUST_LOG asks for.
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// Runs a server until SIGINT or SIGTERM; a second one ends it without waiting for its sockets.
pub fn run<T: 'static>(name: &str, flags: &Flags, builder: Builder<T>) -> Result<(), Box<dyn Error>> {
    let server = builder
        .workers(flags.workers)
        .per_message_deflate(flags.compress)
        .idle_timeout(Duration::from_secs(flags.idle_timeout))
        .bind(std::net::SocketAddr::new(flags.host, flags.port))?;
    stop_on_signals(server.clone())?;
    announce(name, &server)?;
    Ok(server.run()?)
}

/// The one line on standard output: scripts wait for it, people click on it.
fn announce(name: &str, server: &Server) -> std::io::Result<()> {
    // An address that can be opened: "all interfaces" is none.
    let url = server.url().replace("://0.0.0.0:", "://localhost:").replace("://[::]:", "://localhost:");
    let mut out = anstream::stdout().lock();
    writeln!(out, "tidewire {name} is listening on {url}")?;
    out.flush()
}

fn stop_on_signals(server: Server) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signals = signals.forever();
        signals.next();
        tracing::info!("closing all sockets; a second signal cuts them off");
        server.stop();
        signals.next();
        server.stop_within(Duration::ZERO);
    })?;
    Ok(())
}

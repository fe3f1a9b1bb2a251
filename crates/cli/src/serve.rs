//! What the servers of this command share: flags, logging, the line that says where they listen, and how they end.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidewire::tls::{Certificate, Tls};
use tidewire::{Builder, Compressor, Server};
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
    /// A certificate with its chain, in PEM or DER: serve https and wss. Again, with another --key, for another name: clients get
    /// the one that is written for the name that they ask for, else the first
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Vec<PathBuf>,
    /// The key of the certificate, in PEM or DER
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Vec<PathBuf>,
    /// Compress messages, where the client can (permessage-deflate): with one compressor for all sockets, or, where it is
    /// "dedicated" or a size from "3KB" to "256KB", with one for each, which remembers earlier messages
    #[arg(long, value_name = "COMPRESSOR", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "disable", default_missing_value = "shared", hide_default_value = true)]
    compress: Compressor,
}

/// The certificates of the command line, each with its key.
fn tls(flags: &Flags) -> Result<Option<Tls>, String> {
    if flags.cert.len() != flags.key.len() {
        return Err(format!("every --cert needs its --key: there are {} and {}", flags.cert.len(), flags.key.len()));
    }
    let certificates = flags.cert.iter().zip(&flags.key).map(|(cert, key)| Certificate::files(cert, key));
    Ok(certificates.fold(None, |tls, certificate| {
        Some(match tls {
            None => Tls::new(certificate),
            Some(tls) => tls.certificate(certificate),
        })
    }))
}

/// Logs to standard error: warnings, or what RUST_LOG asks for.
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// Runs a server until SIGINT or SIGTERM; a second one ends it without waiting for its sockets.
pub fn run<T: 'static>(name: &str, flags: &Flags, mut builder: Builder<T>) -> Result<(), Box<dyn Error>> {
    if let Some(tls) = tls(flags)? {
        builder = builder.tls(tls)?;
    }
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

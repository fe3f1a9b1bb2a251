//! `load`: what a WebSocket server costs, seen from outside.
//!
//! One thread, one epoll, frames that were built before: the load must cost less than what it measures. Every byte of every
//! answer is compared with what it must be; a server that answers wrongly, or sends anything unexpected, fails the run.

mod broadcast;
mod echo;
mod fleet;
mod idle;
mod open;
mod report;
mod stream;
mod window;

use std::io;
use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use crate::wire::Kind;
use fleet::Fleet;
use report::Report;

/// Puts a load on a WebSocket server and reports the server's CPU time per message
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Options {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Every connection keeps some messages in flight, and the server sends each back
    Echo {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        measure: Measure,
        /// Messages in flight on each connection
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
    /// Every connection sends its share of a burst, and the server sends everything to everybody
    Chat {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        measure: Measure,
        /// Messages in a burst, all connections together; the next begins when all is delivered
        #[arg(long, default_value_t = 1600)]
        burst: usize,
    },
    /// One connection sends, and the server sends everything to everybody
    Fanout {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        measure: Measure,
        /// Messages in flight
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
    /// Connections are opened and held; the report is the server's memory
    Idle {
        #[command(flatten)]
        target: Target,
    },
}

/// Whom to speak to, and how.
#[derive(Debug, Args)]
struct Target {
    /// The server, as ws://ADDRESS:PORT/PATH, or wss:// for TLS (whatever its certificate is)
    #[arg(long)]
    url: Url,
    /// The server's process
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Bytes of payload of each message
    #[arg(long, default_value_t = 20)]
    size: usize,
    /// What the server puts before each message that it sends
    #[arg(long, default_value = "")]
    prefix: String,
    /// Binary messages instead of text
    #[arg(long)]
    binary: bool,
    /// Messages of JSON, compressed in both directions
    #[arg(long, conflicts_with = "binary")]
    deflate: bool,
    /// Report in JSON, on one line
    #[arg(long)]
    json: bool,
}

impl Target {
    fn kind(&self) -> Kind {
        if self.binary { Kind::Binary } else { Kind::Text }
    }
}

/// How long to measure.
#[derive(Debug, Args)]
struct Measure {
    /// Seconds before the measurement begins
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// End the measurement after this many messages, if that is sooner
    #[arg(long)]
    messages: Option<u64>,
}

/// A server's address.
#[derive(Debug, Clone)]
struct Url {
    /// Whether it is spoken to through TLS.
    secure: bool,
    address: SocketAddr,
    path: String,
}

impl std::str::FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let clear = text.strip_prefix("ws://");
        let rest = clear.or_else(|| text.strip_prefix("wss://")).ok_or("the address begins with ws:// or wss://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = host.parse().map_err(|_| format!("{host} is not an IP address and a port"))?;
        Ok(Self { secure: clear.is_none(), address, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }
}

/// Runs the load and prints its report.
///
/// # Errors
/// When the server cannot be reached, refuses, closes, or answers wrongly.
pub fn run(options: &Options) -> io::Result<()> {
    crate::pin::raise_descriptor_limit()?;
    match &options.mode {
        Mode::Echo { target, measure, depth } => {
            let early = if target.deflate { open::Early::Sample } else { open::Early::None };
            let mut fleet = Fleet::open(target, early)?;
            Report::load("echo", target, *depth, &echo::run(&mut fleet, target, measure, *depth)?).print(target.json)
        }
        Mode::Chat { target, measure, burst } => {
            let mut fleet = Fleet::open(target, open::Early::Announcements)?;
            let share = burst / target.connections;
            Report::load("chat", target, share, &broadcast::chat(&mut fleet, target, measure, share)?).print(target.json)
        }
        Mode::Fanout { target, measure, depth } => {
            let mut fleet = Fleet::open(target, open::Early::Announcements)?;
            Report::load("fanout", target, *depth, &broadcast::fanout(&mut fleet, target, measure, *depth)?).print(target.json)
        }
        Mode::Idle { target } => idle::run(target)?.print(target.json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_path() {
        let url: Url = "ws://127.0.0.1:80/chat?name=x".parse().unwrap();
        assert_eq!((url.address.port(), url.path.as_str()), (80, "/chat?name=x"));
        assert!(!url.secure && "wss://127.0.0.1:443".parse::<Url>().unwrap().secure);
        assert_eq!("ws://[::1]:80".parse::<Url>().unwrap().path, "/");
        assert!("http://127.0.0.1:80/".parse::<Url>().is_err());
        assert!("ws://example.com/".parse::<Url>().is_err());
    }
}

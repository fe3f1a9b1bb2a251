//! `tidewire bench`: a load on a WebSocket server, any server. The load itself is the crate `tidewire-load`; here are its flags and
//! its reports.

mod progress;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tidewire_load::{self as load, Form, Idle, Load, Pace, Payload, Timing, Trust, Url};

use progress::Bar;

const ROOM: &str = "\
The server must send a message to its sender too. It may put something of its own around it, the same
for every message.";

/// Flags of `tidewire bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
One thread makes the load, and every byte that comes back is checked. For figures that mean something,
give server and load a core each (taskset -c 0 and taskset -c 1) and compare in turns. Connections
beyond 20,000 come from 127.0.0.2 and so on, if the server is on this machine.

Examples:
  tidewire bench echo ws://localhost:3000/ --connections 100 --size 1024
  tidewire bench echo ws://localhost:3000/ --rate 50000 --pid $(pgrep -n server)
  tidewire bench fanout ws://localhost:3000/chat?name=x --connections 5000
  tidewire bench idle ws://localhost:3000/ --connections 100000 --pid $(pgrep -n server)")]
pub struct Flags {
    #[command(subcommand)]
    load: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// The server sends every message back to who sent it
    Echo {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        messages: Messages,
        /// Messages under way on each connection
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        depth: usize,
        #[command(flatten)]
        rate: Rate,
        #[command(flatten)]
        measure: Measure,
    },
    /// Everybody speaks, and the server sends every message to everybody
    #[command(
        after_help = ROOM
    )]
    Chat {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        messages: Messages,
        /// Messages of a burst, in which all connections send their share; the next begins when all is delivered
        #[arg(long, value_name = "N", default_value_t = 1600, conflicts_with = "rate")]
        burst: usize,
        #[command(flatten)]
        rate: Rate,
        #[command(flatten)]
        measure: Measure,
    },
    /// One connection speaks, and the server sends every message to everybody
    #[command(
        after_help = ROOM
    )]
    Fanout {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        messages: Messages,
        /// Messages under way; the next goes out when one has reached everybody
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        depth: usize,
        #[command(flatten)]
        rate: Rate,
        #[command(flatten)]
        measure: Measure,
    },
    /// Handshakes: connections are opened and cut off again
    #[command(after_help = "--connections is how many handshakes are under way at a time.")]
    Connect {
        #[command(flatten)]
        target: Target,
        /// Offer compression (permessage-deflate)
        #[arg(long)]
        compress: bool,
        /// So many handshakes begin each second, if no more than --connections are under way
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        #[command(flatten)]
        measure: Measure,
    },
    /// Nothing happens: with --pid, the memory that a connection takes, and whether it is given back
    #[command(after_help = "\
64 connections come before the first look at the memory, and stay until the last: what a server
allocates once is not counted.")]
    Idle {
        #[command(flatten)]
        target: Target,
        /// Offer compression (permessage-deflate)
        #[arg(long)]
        compress: bool,
        /// Seconds to hold the connections
        #[arg(long, value_name = "S", default_value = "0", value_parser = seconds)]
        duration: Duration,
    },
}

/// Whom to speak to.
#[derive(Debug, Args)]
struct Target {
    /// ws://HOST[:PORT]/PATH, or wss:// for TLS
    url: Url,
    /// How many connections
    #[arg(short, long, value_name = "N", default_value_t = 32)]
    connections: usize,
    /// The server's process, to report its CPU time and memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Add a header to the handshakes; again for more
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = crate::connect::header)]
    header: Vec<(String, String)>,
    /// Offer a subprotocol, the best first
    #[arg(short = 's', long, value_name = "NAME")]
    protocol: Vec<String>,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust servers of this authority (PEM or DER), not the system's; again for more
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Vec<PathBuf>,
    /// Report in JSON, on one line
    #[arg(long)]
    json: bool,
}

/// What is sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is sent")]
struct Messages {
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 20)]
    size: usize,
    /// What messages are: letters, the same as binary, or JSON of objects with numbers and names
    #[arg(long, value_enum, default_value_t = Content::Text)]
    payload: Content,
    /// Compress them (permessage-deflate), each by itself
    #[arg(long)]
    compress: bool,
}

/// The form of messages, as a flag says it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Content {
    Text,
    Binary,
    Json,
}

#[derive(Debug, Args)]
struct Rate {
    /// So many messages a second, whatever the server does; latencies then count from when each was due
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
}

/// How long to measure.
#[derive(Debug, Args)]
#[command(next_help_heading = "How long")]
struct Measure {
    /// Seconds of the measurement
    #[arg(short, long, value_name = "S", default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// Seconds before it begins
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// End the measurement after so many messages (or handshakes), if that is sooner
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Target {
    fn load(&self) -> Load {
        let trust = match (self.insecure, self.ca.is_empty()) {
            (true, _) => Trust::Anyone,
            (false, true) => Trust::System,
            (false, false) => Trust::Authorities(self.ca.clone()),
        };
        Load {
            connections: self.connections,
            headers: self.header.clone(),
            protocols: self.protocol.clone(),
            trust,
            pid: self.pid,
            ..Load::on(self.url.clone(), Payload::default())
        }
    }

    fn with(&self, messages: &Messages, measure: &Measure) -> Load {
        let form = match messages.payload {
            Content::Text => Form::Text,
            Content::Binary => Form::Binary,
            Content::Json => Form::Json,
        };
        let payload = Payload { form, size: messages.size };
        Load { payload, deflate: messages.compress, timing: measure.timing(), ..self.load() }
    }
}

impl Measure {
    fn timing(&self) -> Timing {
        Timing { warmup: self.warmup, length: self.duration, messages: self.messages }
    }
}

impl Rate {
    fn or(&self, in_flight: usize) -> Pace {
        self.rate.map_or(Pace::InFlight(in_flight), Pace::PerSecond)
    }
}

/// Puts the load on the server and prints what it found.
pub fn run(flags: &Flags) -> Result<ExitCode, Box<dyn Error>> {
    let mut bar = Bar::new();
    let observer = &mut |progress| bar.show(progress);
    let (json, report) = match &flags.load {
        Kind::Echo { target, messages, depth, rate, measure } => {
            (target.json, load::echo(&target.with(messages, measure), rate.or(*depth), observer))
        }
        Kind::Chat { target, messages, burst, rate, measure } => {
            // Of a burst of fewer messages than connections each still sends one.
            let share = (burst / target.connections.max(1)).max(1);
            (target.json, load::chat(&target.with(messages, measure), rate.or(share), observer))
        }
        Kind::Fanout { target, messages, depth, rate, measure } => {
            (target.json, load::fanout(&target.with(messages, measure), rate.or(*depth), observer))
        }
        Kind::Connect { target, compress, rate, measure } => {
            let load = Load { deflate: *compress, timing: measure.timing(), ..target.load() };
            (target.json, load::connect(&load, *rate, observer))
        }
        Kind::Idle { target, compress, duration } => {
            let load = Load { deflate: *compress, ..target.load() };
            (target.json, load::idle(&load, Idle { hold: *duration }, observer))
        }
    };
    drop(bar);
    let report = report?;
    let text = if json { report::json(&report) } else { report::lines(&report) };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(line: &str) -> Result<Kind, String> {
        Line::try_parse_from(line.split(' ')).map(|line| line.flags.load).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rate_takes_the_place_of_messages_in_flight() {
        let pace = |line: &str| match parse(line).unwrap() {
            Kind::Echo { depth, rate, .. } | Kind::Fanout { depth, rate, .. } => rate.or(depth),
            other => panic!("{other:?}"),
        };
        assert_eq!(pace("bench echo ws://a/"), Pace::InFlight(1));
        assert_eq!(pace("bench fanout ws://a/ --depth 4"), Pace::InFlight(4));
        assert_eq!(pace("bench echo ws://a/ --rate 1e4"), Pace::PerSecond(10_000.0));
        assert!(parse("bench echo ws://a/ --rate 1 --depth 2").unwrap_err().contains("cannot be used with"));
    }

    #[test]
    fn a_wrong_flag_says_what_is_wrong_with_it() {
        for (line, said) in [
            ("bench echo http://a/", "write ws://"),
            ("bench echo ws://a/ -d soon", "no number of seconds"),
            ("bench echo ws://a/ --payload xml", "possible values: text, binary, json"),
            ("bench idle ws://a/ --ca x -k", "cannot be used with"),
            ("bench echo", "<URL>"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}

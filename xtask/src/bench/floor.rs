//! `cargo xtask bench floor`: how far Tidewire is from the least that a message can cost; and, where there is more to do than to move
//! bytes, from what it costs Bun.
//!
//! Each round measures every contestant once, one after the other on the same cores, so that a machine that changes its mood does so
//! for all of them. A ratio belongs to one round; the table gives the median of the rounds' ratios.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::peers::{Installed, Peer};
use super::rows::{self, Figure, Rival, Row};
use super::servers::{Certificate, Contestant, Stage};
use super::table::{self, Samples, Verdict};
use crate::failure::{Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// How to measure.
#[derive(Args)]
pub struct Options {
    /// Only these rows, for instance `--rows echo-32,idle-9000`
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Rounds, each with one ratio
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Seconds of each measurement, after half a second of warm-up
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Compare with another server too, installed into the target folder
    #[arg(long, value_delimiter = ',')]
    peer: Vec<Peer>,
    /// A tidewire binary to measure instead of this workspace's, for instance an earlier one
    #[arg(long)]
    tidewire: Option<PathBuf>,
    /// The core of the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    if options.server_core == options.load_core {
        return Err(Failure::new("server and load need a core each"));
    }
    let rows = rows::chosen(&options.rows)?;
    let contestants = Contestants::ready(workspace, options, &rows)?;
    let stage = Stage {
        programs: workspace.profile_folder("release"),
        server_core: options.server_core,
        load_core: options.load_core,
        certificate: Certificate::in_folder(&workspace.target),
    };
    if rows.iter().any(|row| row.secure) {
        stage.certificate.make()?;
    }
    println!("{}", table::heading(&options.peer.iter().map(|peer| peer.name()).collect::<Vec<_>>()));
    let (mut over, mut disturbed) = (Vec::new(), 0);
    for row in rows {
        let samples = measure(&stage, row, &contestants.of(row)?, options)?;
        disturbed += samples.iter().map(|samples| samples.disturbed).sum::<usize>();
        let [rival, tidewire, ..] = &samples[..] else { return Err(Failure::new("nobody to compare")) };
        let peers: Vec<_> = options.peer.iter().map(|peer| samples.iter().find(|samples| samples.name == peer.name())).collect();
        let (line, verdict) = table::line(row, rival, tidewire, &peers).ok_or_else(|| Failure::new("no samples"))?;
        println!("{line}");
        if verdict == Verdict::Over {
            over.push(row.name);
        }
    }
    if disturbed > 0 {
        println!("* measurements in which neither server nor load had nine tenths of its core: the machine had other work");
    }
    if over.is_empty() { Ok(()) } else { Err(Failure::new(format!("over budget: {}", over.join(", ")))) }
}

/// Everybody who takes part.
struct Contestants {
    tidewire: Contestant,
    peers: Vec<Installed>,
}

impl Contestants {
    /// Builds or installs all that are asked for, by the options or by the rows.
    fn ready(workspace: &Workspace, options: &Options, rows: &[&Row]) -> Result<Self> {
        let mut build = process::cargo();
        build.current_dir(&workspace.root).args(["build", "--release", "-p", "tidewire-bench", "-p", "tidewire-cli"]);
        let tidewire = options.tidewire.clone().unwrap_or_else(|| workspace.binary("release", "tidewire"));
        process::run(&mut build)?;
        let mut peers = options.peer.clone();
        if rows.iter().any(|row| row.rival == Rival::Bun) && !peers.contains(&Peer::Bun) {
            peers.push(Peer::Bun);
        }
        let peers = peers.into_iter().map(|peer| peer.install(workspace)).collect::<Result<_>>()?;
        Ok(Self { tidewire: Contestant::Tidewire(tidewire), peers })
    }

    /// Those of a row: the rival, Tidewire, then the others that can do what it asks for.
    fn of(&self, row: &Row) -> Result<Vec<Contestant>> {
        let installed = |peer: Peer| self.peers.iter().find(|installed| installed.peer == peer);
        let rival = match row.rival {
            Rival::Bare => None,
            Rival::Bun => Some(installed(Peer::Bun).ok_or_else(|| Failure::new("bun is not installed"))?),
        };
        let others =
            self.peers.iter().filter(|other| rival.is_none_or(|rival| rival.peer != other.peer) && other.peer.serves(row));
        let first = rival.map_or(Contestant::Bare, |rival| Contestant::Peer(rival.clone()));
        Ok([first, self.tidewire.clone()].into_iter().chain(others.cloned().map(Contestant::Peer)).collect())
    }
}

fn measure(stage: &Stage, row: &Row, contestants: &[Contestant], options: &Options) -> Result<Vec<Samples>> {
    let timing: Vec<OsString> = match row.figure {
        Figure::Time { .. } => vec!["--warmup".into(), "0.5".into(), "--duration".into(), options.seconds.to_string().into()],
        Figure::Memory { .. } => Vec::new(),
    };
    let mut all: Vec<Samples> = contestants.iter().map(|contestant| Samples::new(contestant.name())).collect();
    for _ in 0..options.runs {
        for (contestant, samples) in contestants.iter().zip(&mut all) {
            let report = stage.measure(contestant, row, &timing)?;
            samples.take(row, &report).ok_or_else(|| {
                Failure::new(format!("{} for {}: a report without the figure: {report}", samples.name, row.name))
            })?;
        }
    }
    Ok(all)
}

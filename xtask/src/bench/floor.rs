//! `cargo xtask bench floor`: how far Tidewire is from the least that a message can cost.
//!
//! Each round measures every contestant once, one after the other on the same cores, so that a machine that changes its mood does so
//! for all of them. A ratio belongs to one round; the table gives the median of the rounds' ratios.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::peers::Peer;
use super::rows::{self, Figure, Row};
use super::servers::{Contestant, Stage};
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
    let contestants = contestants(workspace, options)?;
    let stage =
        Stage { programs: workspace.profile_folder("release"), server_core: options.server_core, load_core: options.load_core };
    println!("{}", table::heading(&options.peer.iter().map(|peer| peer.name()).collect::<Vec<_>>()));
    let (mut over, mut disturbed) = (Vec::new(), 0);
    for row in rows {
        let samples = measure(&stage, row, &contestants, options)?;
        disturbed += samples.iter().map(|samples| samples.disturbed).sum::<usize>();
        let [bare, tidewire, peers @ ..] = &samples[..] else { return Err(Failure::new("nobody to compare")) };
        let (line, verdict) = table::line(row, bare, tidewire, peers).ok_or_else(|| Failure::new("no samples"))?;
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

/// The bare server, Tidewire, then the peers; built or installed.
fn contestants(workspace: &Workspace, options: &Options) -> Result<Vec<Contestant>> {
    let mut build = process::cargo();
    build.current_dir(&workspace.root).args(["build", "--release", "-p", "tidewire-bench"]);
    let tidewire = options.tidewire.clone().unwrap_or_else(|| {
        build.args(["-p", "tidewire-cli"]);
        workspace.binary("release", "tidewire")
    });
    process::run(&mut build)?;
    let mut contestants = vec![Contestant::Bare, Contestant::Tidewire(tidewire)];
    for peer in &options.peer {
        contestants.push(Contestant::Peer(peer.install(workspace)?));
    }
    Ok(contestants)
}

fn measure(stage: &Stage, row: &Row, contestants: &[Contestant], options: &Options) -> Result<Vec<Samples>> {
    let timing: Vec<OsString> = match row.figure {
        Figure::Time { .. } => vec!["--seconds".into(), options.seconds.to_string().into()],
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

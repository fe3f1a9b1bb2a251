//! `cargo xtask bench clients`: see [`super`]. The other direction than [`super::compare`]: here the client is measured, by
//! itself, in a process of its own.

use std::process::{Command, Stdio};

use clap::Args;

use super::samples::{Samples, Spread};
use super::who::{Programs, Who};
use crate::announced::address_of;
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Running};
use crate::workspace::Workspace;

/// How to measure.
#[derive(Args)]
pub struct Options {
    /// Connections, each with one message under way
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Rounds, each with one ratio
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.2)]
    seconds: f64,
    /// Fail when a target is missed
    #[arg(long)]
    strict: bool,
}

/// A client: its name, what runs it, what the script calls it, and how much of its cost ours may have.
struct Client {
    name: &'static str,
    runtime: Who,
    who: &'static str,
    target: Option<f64>,
}

/// Ours first.
const CLIENTS: [Client; 4] = [
    Client { name: "tidewire on Node.js 26", runtime: Who::Node, who: "tidewire", target: None },
    Client { name: "ws on Node.js 26", runtime: Who::Node, who: "ws", target: Some(0.5) },
    Client { name: "Node.js 26's own", runtime: Who::Node, who: "own", target: None },
    Client { name: "Bun's own", runtime: Who::Bun, who: "own", target: Some(1.1) },
];

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let programs = Programs::of(workspace, None);
    programs.build(workspace)?;
    let absent = programs.prepare(workspace, &[Who::Node, Who::Bun])?;
    if let Some((_, why)) = absent.first() {
        return Err(Failure::new(why.clone()));
    }
    // The server has nothing to do with what is measured, but that it keeps up.
    let mut server = Command::new(&programs.tidewire);
    server.args(["echo", "--host", "127.0.0.1", "--port", "0", "--workers", "1"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Running::start(&mut server)?;
    let url = format!("ws://{}/", address_of(&mut server)?);
    let script = workspace.root.join("bench/peers/client.cjs");
    let mut samples: [Samples; CLIENTS.len()] = Default::default();
    for _ in 0..options.rounds {
        for (client, samples) in CLIENTS.iter().zip(&mut samples) {
            if process::interrupted() {
                return Err(Failure::new("interrupted"));
            }
            let mut command = Command::new(programs.runtime(client.runtime));
            command.arg(&script).args([client.who, &url]);
            command.args([options.connections.to_string(), options.seconds.to_string()]);
            let report: serde_json::Value = serde_json::from_str(&process::output(&mut command)?).context(client.name)?;
            let figure = report.pointer("/cpu_us_per_message").and_then(serde_json::Value::as_f64);
            samples.take(figure.ok_or_else(|| Failure::new(format!("{}: no figure", client.name)))?, &report);
        }
    }
    let (lines, missed) = told(&samples);
    println!(
        "a 20-byte echo on {} connections, us of the client's CPU per message, medians of {} rounds",
        options.connections, options.rounds
    );
    lines.iter().for_each(|line| println!("{line}"));
    if options.strict && missed > 0 { Err(Failure::new(format!("{missed} targets are missed"))) } else { Ok(()) }
}

/// A line for each client, with ours as a share of it; and how many targets are missed.
fn told(samples: &[Samples]) -> (Vec<String>, usize) {
    let (mut lines, mut missed) = (Vec::new(), 0);
    for (client, theirs) in CLIENTS.iter().zip(samples) {
        let Some(cost) = Spread::of(theirs.figures.iter().copied()) else { continue };
        let mut line = format!("{:<24} {:>6.2}", client.name, cost.median);
        if let (Some(ours), true) = (samples.first(), client.who != "tidewire")
            && let Some(ratio) = Spread::of_ratios(ours, theirs)
        {
            line += &format!("   ours is {:.2} of it ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most);
            if let Some(target) = client.target {
                let reached = ratio.median <= target;
                missed += usize::from(!reached);
                line += &format!(", wanted {target:.1}: {}", if reached { "reached" } else { "missed" });
            }
        }
        lines.push(line);
    }
    (lines, missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_told_as_a_share_of_each_and_what_misses_its_target_is_counted() {
        let samples = [[2.0, 2.0, 4.0], [8.0, 8.0, 8.0], [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]]
            .map(|figures| Samples { figures: figures.to_vec(), disturbed: 0 });
        let (lines, missed) = told(&samples);
        assert_eq!(missed, 1);
        assert!(lines[0].ends_with("  2.00"), "{}", lines[0]);
        assert!(lines[1].ends_with("8.00   ours is 0.25 of it (0.25 to 0.50), wanted 0.5: reached"), "{}", lines[1]);
        assert!(lines[3].ends_with("wanted 1.1: missed"), "{}", lines[3]);
    }
}

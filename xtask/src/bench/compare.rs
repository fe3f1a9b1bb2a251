//! `cargo xtask bench compare`: see [`super`].

use std::path::PathBuf;

use clap::Args;

use super::machine;
use super::page;
use super::results::{Measured, Results, asked};
use super::rows::{self, Figure, Row};
use super::samples::{Samples, Spread};
use super::stage::{Server, Stage};
use super::who::{self, Programs, Who};
use crate::failure::{Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// How to measure.
#[derive(Args)]
pub struct Options {
    /// Only these rows, or those whose names begin so, for instance `--rows echo-32,fanout`
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only these servers; the results are then printed and not written, unless --out says where to
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Who>,
    /// Rounds, each with one ratio; rows of memory have at most 3
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.2)]
    seconds: f64,
    /// Seconds before each measurement, in which the load already runs
    #[arg(long, default_value_t = 0.3)]
    warmup: f64,
    /// Say which rows there are, with their servers and targets, and measure nothing
    #[arg(long)]
    list: bool,
    /// Write the page and the plots anew from the figures that are there, and measure nothing
    #[arg(long)]
    page: bool,
    /// Fail when a target is missed
    #[arg(long)]
    strict: bool,
    /// The folder to write results into instead of bench/
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// A tidewire binary to measure instead of this workspace's, for instance an earlier one
    #[arg(long, value_name = "FILE")]
    tidewire: Option<PathBuf>,
    /// The core of the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let rows = rows::chosen(&options.rows)?;
    if options.list {
        rows.iter().for_each(|row| print!("{}", listed(row)));
        return Ok(());
    }
    if options.page {
        let folder = options.out.clone().unwrap_or_else(|| workspace.root.join("bench"));
        return Results::read(&folder)?.write(&folder);
    }
    if options.server_core == options.load_core {
        return Err(Failure::new("server and load need a core each"));
    }
    let rows: Vec<(&Row, Vec<Who>)> =
        rows.iter().filter_map(|row| Some((*row, who::chosen(&options.peers, row).ok()?))).collect();
    let mut everybody: Vec<Who> = rows.iter().flat_map(|(_, who)| who.iter().copied()).collect();
    everybody.sort_unstable();
    everybody.dedup();
    if everybody.is_empty() {
        return Err(Failure::new("none of these servers takes part in these rows: --list says who does"));
    }
    // What is built now is what is measured, whatever is committed meanwhile.
    let commit = machine::commit(workspace);
    let programs = Programs::of(workspace, options.tidewire.clone());
    programs.build(workspace)?;
    let absent = programs.prepare(workspace, &everybody)?;
    if rows.iter().any(|(row, _)| row.secure) {
        programs.certificate.make()?;
    }
    let timing = ["--warmup".into(), options.warmup.to_string().into(), "--duration".into(), options.seconds.to_string().into()];
    let stage = Stage { programs, server_core: options.server_core, load_core: options.load_core, timing: timing.into() };
    let folder = options.out.clone().or_else(|| options.peers.is_empty().then(|| workspace.root.join("bench")));
    let mut results = folder.as_deref().map_or_else(|| Ok(Results::default()), Results::read)?;
    results.machine = machine::described();
    results.versions.extend(
        machine::versions(&stage.programs, &everybody).into_iter().map(|(who, version)| (who.name().to_owned(), version)),
    );
    let mut missed = Vec::new();
    for (row, who) in rows {
        let mut measured = measure(&stage, row, &who, &absent, options.rounds)?;
        (measured.date, measured.commit) = (machine::today(), commit.clone());
        print!("{}", told(row, &measured));
        missed
            .extend(row.targets.iter().filter(|target| measured.judge(**target).is_some_and(|(_, met)| !met)).map(|_| row.name));
        results.rows.insert(row.name.to_owned(), measured);
        if let Some(folder) = &folder {
            results.write(folder)?;
        }
    }
    missed.dedup();
    if options.strict && !missed.is_empty() {
        Err(Failure::new(format!("targets missed: {}", missed.join(", "))))
    } else {
        Ok(())
    }
}

/// Measures a row. Who fails is left out, with the reason; only Ctrl-C is an error.
fn measure(stage: &Stage, row: &Row, who: &[Who], absent: &[(Who, String)], rounds: u32) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut contestants = Vec::new();
    for &who in who {
        match absent.iter().find(|(other, _)| *other == who) {
            Some(out) => measured.left_out.push(out.clone()),
            None => contestants.push(Contestant { who, server: None, samples: Samples::default() }),
        }
    }
    for _ in 0..row.rounds.map_or(rounds, |most| rounds.min(most)) {
        let mut still = Vec::new();
        for mut contestant in contestants {
            match contestant.measure(stage, row) {
                Ok(()) => still.push(contestant),
                Err(failure) if process::interrupted() => return Err(failure),
                Err(failure) => measured.left_out.push((contestant.who, failure.to_string())),
            }
        }
        contestants = still;
    }
    measured.servers = contestants.into_iter().map(|contestant| (contestant.who, contestant.samples)).collect();
    Ok(measured)
}

/// A server that takes part in a row.
struct Contestant {
    who: Who,
    /// Started for the first round: what a program has learned about its work by then counts for it.
    server: Option<Server>,
    samples: Samples,
}

impl Contestant {
    fn measure(&mut self, stage: &Stage, row: &Row) -> Result {
        if matches!(row.figure, Figure::Memory | Figure::Kept) {
            // What it had allocated for earlier connections would not be allocated again.
            self.server = None;
        }
        if self.server.is_none() {
            self.server = Some(stage.start(self.who, row)?);
        }
        let Some(server) = &self.server else { return Ok(()) };
        let report = stage.load(server, row)?;
        let figure = row.figure.of(&report).ok_or_else(|| Failure::new(format!("a report without the figure: {report}")))?;
        self.samples.take(figure, &report);
        Ok(())
    }
}

/// A row as `--list` says it.
fn listed(row: &Row) -> String {
    let who: Vec<_> = row.who.iter().map(|who| who.name()).collect();
    let mut text = format!("{:<16} {}, {}\n{:17}{}\n", row.name, row.title, row.figure.unit(), "", who.join(", "));
    for &target in row.targets {
        text += &format!("{:17}target: {}\n", "", asked(row.figure, target));
    }
    text
}

/// A row's results, as soon as they are there.
fn told(row: &Row, measured: &Measured) -> String {
    let mut text = format!("{} ({}): {}\n", row.title, row.name, row.figure.unit());
    let first = measured.servers.first();
    for (who, samples) in &measured.servers {
        let Some(figure) = Spread::of(samples.figures.iter().copied()) else { continue };
        let relation = first.filter(|(other, _)| other != who).and_then(|(_, other)| Spread::of_ratios(samples, other));
        let relation = relation.map_or_else(String::new, page::ratio);
        let disturbed = if samples.disturbed > 0 { format!("  * {}", samples.disturbed) } else { String::new() };
        let line = format!("  {:<24} {:>9}  {relation:<24}{disturbed}", who.name(), row.figure.written(figure.median));
        text += &format!("{}\n", line.trim_end());
    }
    for (who, why) in &measured.left_out {
        text += &format!("  {:<24} left out: {}\n", who.name(), why.trim_end());
    }
    for &target in row.targets {
        if let Some((spread, met)) = measured.judge(target) {
            let (asked, figure) = (asked(row.figure, target), page::target_figure(row.figure, target.limit, spread));
            text += &format!("  {:<6} {asked}: {figure}\n", if met { "met" } else { "MISSED" });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::*;

    #[test]
    fn a_row_is_told_with_its_targets_and_who_is_missing() {
        let text = told(rows::named("echo-32").unwrap(), &measured());
        for line in [
            "  tidewire                      4.10  1.025 (1.00 to 1.05)      * 1",
            "  bun                      left out: it has <gone>",
            "  met    tidewire at most 1.05 x bare: 1.025 (1.00 to 1.05)",
        ] {
            assert!(text.contains(line), "{line}\nis missing in\n{text}");
        }
        assert!(listed(rows::named("chat-16").unwrap()).contains("target: tidewire at most 0.85 x bun"));
    }

    #[test]
    fn who_cannot_take_part_is_left_out_and_no_error() {
        let programs = Programs::at("no-such-folder".into());
        let stage = Stage { programs, server_core: 0, load_core: 1, timing: Vec::new() };
        let row = rows::named("echo-32").unwrap();
        let absent = [(Who::Bun, "not installed".to_owned())];
        let measured = measure(&stage, row, &[Who::Bare, Who::Bun], &absent, 2).unwrap();
        assert!(measured.servers.is_empty());
        let why: Vec<_> = measured.left_out.iter().map(|(who, why)| (*who, why.contains("cannot start"))).collect();
        assert_eq!(why, [(Who::Bun, false), (Who::Bare, true)]);
    }
}

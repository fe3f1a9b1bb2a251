//! `cargo xtask test`: the README's test command, and all that continuous integration runs.
//!
//! It builds and tests in one profile, lets every runner print its own results, and says at the end how each step went.

mod steps;

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// The profile of everything that is tested.
pub const PROFILE: &str = "ci";

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Only these groups of steps, for instance `--only rust,node`
    #[arg(long, value_delimiter = ',')]
    only: Vec<Group>,
}

/// Steps that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Group {
    /// Format, tidy, clippy
    Lint,
    /// The workspace's tests and its documentation's examples
    Rust,
    /// The instructions that the hot paths take, against bench/baseline
    Counts,
    /// The addon, and the npm package's tests
    Node,
    /// The chat room in Chromium
    Browser,
    /// The quick cases of the Autobahn test suite
    Conformance,
}

impl Options {
    fn wants(&self, group: Group) -> bool {
        self.only.is_empty() || self.only.contains(&group)
    }
}

/// One thing that can pass or fail.
struct Step {
    name: &'static str,
    group: Group,
    run: fn(&Workspace) -> Result<Outcome>,
}

/// How a step ended when nothing failed.
enum Outcome {
    Passed,
    /// There was nothing to run, and why.
    Skipped(&'static str),
}

/// A line of the summary.
struct Line {
    name: &'static str,
    result: Result<Outcome>,
    time: Duration,
}

/// Runs the steps, all of them even when one fails, and fails if any did.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let mut lines = Vec::new();
    for step in steps::ALL.iter().filter(|step| options.wants(step.group)) {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let result = (step.run)(workspace);
        if let Err(failure) = &result {
            eprintln!("{}: {failure}", step.name);
        }
        lines.push(Line { name: step.name, result, time: start.elapsed() });
        if process::interrupted() {
            return Err(Failure::new("interrupted"));
        }
    }
    println!("\n{}", summary(&lines));
    verdict(&lines)
}

fn verdict(lines: &[Line]) -> Result {
    let failed = lines.iter().filter(|line| line.result.is_err()).count();
    if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} of {} steps failed", lines.len()))) }
}

fn summary(lines: &[Line]) -> String {
    let rows = lines.iter().map(|line| {
        let result = match &line.result {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
            Err(failure) => format!("FAILED: {}", failure.to_string().lines().next().unwrap_or_default()),
        };
        format!("{:<16} {:>7.1} s  {result}", line.name, line.time.as_secs_f64())
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_a_line_for_each_step() {
        let lines = [
            Line { name: "a", result: Ok(Outcome::Passed), time: Duration::from_millis(1250) },
            Line { name: "b", result: Err(Failure::new("npm test: exit 1\nmore")), time: Duration::ZERO },
            Line { name: "c", result: Ok(Outcome::Skipped("no folder")), time: Duration::ZERO },
        ];
        let summary = summary(&lines);
        let rows: Vec<_> = summary.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["a 1.2 s ok", "b 0.0 s FAILED: npm test: exit 1", "c 0.0 s skipped: no folder"]);
    }

    #[test]
    fn without_a_choice_everything_runs() {
        let all = Options { only: Vec::new() };
        let some = Options { only: vec![Group::Node, Group::Lint] };
        let groups = |options: &Options| {
            steps::ALL.iter().filter(|step| options.wants(step.group)).map(|step| step.group).collect::<Vec<_>>()
        };
        assert_eq!(groups(&all).len(), steps::ALL.len());
        assert!(groups(&some).iter().all(|group| matches!(group, Group::Node | Group::Lint)));
        assert!(groups(&some).contains(&Group::Node));
    }

    #[test]
    fn one_failed_step_fails_the_command() {
        let line = |result| Line { name: "x", result, time: Duration::ZERO };
        assert!(verdict(&[line(Ok(Outcome::Passed)), line(Ok(Outcome::Skipped("nothing")))]).is_ok());
        assert!(verdict(&[line(Err(Failure::new("no"))), line(Ok(Outcome::Passed))]).is_err());
    }
}

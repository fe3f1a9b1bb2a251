//! `cargo xtask counts`: how many instructions the server's hot paths take, counted by callgrind and compared with what they took
//! before. A time says how busy the machine was; these counts are the same each time, whatever else runs.
//!
//! The paths are in `bench/counts`, what they took in `bench/baseline`, one file for each architecture. Callgrind's own output stays
//! in `target/counts`, for `callgrind_annotate`.

mod baseline;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use self::baseline::{Baseline, Verdict};
use crate::failure::{Context, Failure, Result};
use crate::workspace::Workspace;
use crate::{needs, process};

/// How to count.
#[derive(Args, Default)]
pub struct Options {
    /// Only these paths, for instance `--only echo-20,upgrade`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write what is counted into the baseline, instead of comparing
    #[arg(long)]
    update: bool,
}

/// Where callgrind is told to count: a turn of the server.
const TOGGLE: &str = "--toggle-collect=*::measured*";

/// Keeps glibc from copying and filling by `rep movsb`, which not all processors recommend and callgrind counts by the byte.
const PLAIN_COPIES: &str = "glibc.cpu.hwcaps=-ERMS,-FSRM";

/// Whether there is something to compare with on this architecture.
pub fn has_baseline(workspace: &Workspace) -> bool {
    Baseline::path(&workspace.root).is_file()
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    needs::program("valgrind")?;
    let compiler = process::output(process::rustc().arg("--version"))?.trim().to_owned();
    let program = build(workspace)?;
    let file = Baseline::path(&workspace.root);
    let mut baseline = Baseline::read(&file)?.unwrap_or_default();
    let other = baseline.compiler != compiler && !baseline.compiler.is_empty();
    if other && !options.update {
        println!("the baseline is of {}, this is {compiler}: counts may differ more", baseline.compiler);
    }
    let paths = chosen(&program, &options.only)?;
    println!("{:<30} {:>8} {:>8}  change", "instructions per", "before", "now");
    let mut failed = Vec::new();
    for (name, unit) in &paths {
        let now = count(workspace, &program, name)?;
        let (before, verdict) = (baseline.count(name), baseline.judge(name, now, other));
        let shown = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        println!("{:<30} {shown:>8} {now:>8}  {verdict}", format!("{name}, {unit}"));
        if !matches!(verdict, Verdict::Same | Verdict::Changed(_)) {
            failed.push(name.as_str());
        }
        baseline.set(name, now);
    }
    if options.update {
        if options.only.is_empty() {
            baseline.keep_only(paths.iter().map(|(name, _)| name.as_str()));
        }
        baseline.compiler = compiler;
        return baseline.write(&file);
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} away from {}: if that is meant, cargo xtask counts --update and commit it; if not, callgrind_annotate target/counts/NAME.out",
        failed.join(", "),
        file.strip_prefix(&workspace.root).unwrap_or(&file).display()
    )))
}

/// Builds the paths as a user's server is built: a debug build counts something else.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    process::run(cargo.current_dir(&workspace.root).args(["build", "--release", "-p", "tidewire-counts"]))?;
    Ok(workspace.binary("release", "tidewire-counts"))
}

/// The names of the paths, and what each counts.
fn chosen(program: &Path, only: &[String]) -> Result<Vec<(String, String)>> {
    let listing = process::output(&mut Command::new(program))?;
    let all: Vec<_> =
        listing.lines().filter_map(|line| line.split_once(' ')).map(|(name, unit)| (name.to_owned(), unit.to_owned())).collect();
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|(known, _)| known == *name)) {
        let known: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Failure::new(format!("no path is called {unknown}; there are {}", known.join(", "))));
    }
    Ok(all.into_iter().filter(|(name, _)| only.is_empty() || only.contains(name)).collect())
}

/// Instructions for each unit of a path.
fn count(workspace: &Workspace, program: &Path, name: &str) -> Result<u64> {
    let folder = workspace.target.join("counts");
    std::fs::create_dir_all(&folder).context(folder.display())?;
    let (profile, log) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", TOGGLE]);
    valgrind.arg(format!("--callgrind-out-file={}", profile.display())).arg(format!("--log-file={}", log.display()));
    valgrind.env("GLIBC_TUNABLES", PLAIN_COPIES);
    // What the path says is how many units it did.
    let said = process::output(valgrind.arg(program).arg(name))?;
    let units: u64 = said.trim().parse().context(format_args!("what {name} says it did"))?;
    let text = std::fs::read_to_string(&log).context(log.display())?;
    let total = collected(&text)
        .filter(|total| *total > 0)
        .ok_or_else(|| Failure::new(format!("callgrind counted nothing for {name}: see {}", log.display())))?;
    Ok(total / units.max(1))
}

/// What callgrind's log says it has counted.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_callgrind_is_read() {
        let log = "==7== Events    : Ir\n==7== Collected : 13979475\n==7==\n";
        assert_eq!(collected(log), Some(13_979_475));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}

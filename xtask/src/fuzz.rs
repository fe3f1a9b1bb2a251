//! `cargo xtask fuzz`: the targets of tests/fuzz, each for a time. It builds them with the coverage that libFuzzer steers by, on the
//! toolchain that is there: the flags are stable. AddressSanitizer's is not, and is asked for by name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::SystemTime;

use clap::Args;

use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// How long a target runs when nobody says: as long as one watches.
const TIME: &str = "1m";
/// The longest input that is tried, in bytes: everything that a target looks at happens in less.
const MAX_INPUT: &str = "-max_len=4096";
/// How many seconds one input may take: many times what any does.
const MAX_SECONDS: &str = "-timeout=30";

/// What libFuzzer needs of the compiler (what `cargo fuzz` passes, less what needs a nightly one).
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
const ADDRESS: &str = "-Zsanitizer=address";

/// What to fuzz.
#[derive(Args)]
#[command(after_help = "Findings are kept in tests/fuzz/findings; tests/fuzz/README.md says what to do with one.")]
pub struct Options {
    /// The target; without it (or with a time alone) all of them, one after the other
    target: Option<String>,
    /// How long each runs: 90s, 20m or 2h
    #[arg(default_value = TIME)]
    time: Time,
    /// Say which targets there are
    #[arg(long)]
    list: bool,
    /// Run the target with these files and nothing else: a finding, again
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Vec<PathBuf>,
    /// Keep of the target's corpus only what its coverage needs
    #[arg(long, requires = "target", conflicts_with = "input")]
    minimise: bool,
    /// Also watch memory, for the unsafe code of dependencies (slower; sets RUSTC_BOOTSTRAP, which its flag needs)
    #[arg(long)]
    address_sanitizer: bool,
    /// Options of libFuzzer
    #[arg(last = true)]
    options: Vec<OsString>,
}

/// A time as a user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    seconds: u64,
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
            None => (text, 1),
            Some(at) => match &text[at..] {
                "s" => (&text[..at], 1),
                "m" => (&text[..at], 60),
                "h" => (&text[..at], 3600),
                _ => ("", 0),
            },
        };
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        seconds.filter(|seconds| *seconds > 0).map(|seconds| Self { seconds }).ok_or_else(|| "use 90s, 20m or 2h".to_owned())
    }
}

/// The folder of the fuzzer, and how its programs are built.
struct Fuzzer<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    address: bool,
}

pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let fuzzer = Fuzzer { workspace, folder: workspace.root.join("tests/fuzz"), address: options.address_sanitizer };
    let known = fuzzer.targets()?;
    if options.list {
        known.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let (wanted, time) = wanted(options.target.as_deref(), options.time);
    let targets = chosen(&known, wanted)?;
    fuzzer.build(&targets)?;
    if !options.input.is_empty() {
        return process::run(fuzzer.program(&targets[0])?.args(&options.input).args(&options.options));
    }
    if options.minimise {
        return fuzzer.minimise(&targets[0]);
    }
    let failures: Vec<_> =
        targets.iter().filter_map(|target| fuzzer.fuzz(target, time, &options.options).err()).map(|it| it.to_string()).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("\n"))) }
}

/// A time alone is that of all targets.
fn wanted(first: Option<&str>, time: Time) -> (Option<&str>, Time) {
    match first.and_then(|first| first.parse().ok()) {
        Some(time) => (None, time),
        None => (first, time),
    }
}

/// The targets to run.
fn chosen(known: &[String], wanted: Option<&str>) -> Result<Vec<String>> {
    match wanted {
        None => Ok(known.to_vec()),
        Some(wanted) if known.iter().any(|target| target == wanted) => Ok(vec![wanted.to_owned()]),
        Some(wanted) => Err(Failure::new(format!("there is no target {wanted:?}: there are {}", known.join(", ")))),
    }
}

impl Fuzzer<'_> {
    /// The names of the programs, in alphabetical order.
    fn targets(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("targets");
        let mut names = Vec::new();
        for file in std::fs::read_dir(&folder).context(folder.display())? {
            let path = file.context(folder.display())?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }

    fn build(&self, targets: &[String]) -> Result {
        if !cfg!(any(target_os = "linux", target_os = "macos")) {
            return Err(Failure::new("libFuzzer is for Linux and macOS: elsewhere, cargo xtask test runs the seeds"));
        }
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        if !process::works(Command::new(&compiler).arg("--version")) {
            let compiler = compiler.display();
            return Err(Failure::new(format!(
                "{compiler} is missing, which libFuzzer is built with, on Debian: apt-get install g++"
            )));
        }
        self.lock()?;
        let mut flags = COVERAGE.to_vec();
        let mut cargo = process::cargo();
        if self.address {
            flags.push(ADDRESS);
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo.args(["build", "--release", "--manifest-path"]).arg(self.folder.join("Cargo.toml"));
        // Named, so that the flags are not for build scripts and macros.
        cargo.arg("--target").arg(host()?).arg("--target-dir").arg(self.built());
        cargo.args(targets.iter().flat_map(|target| ["--bin", target]));
        process::run(cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")))
    }

    /// What is fuzzed are the versions that the workspace has locked; only libFuzzer is added to them.
    fn lock(&self) -> Result {
        let (theirs, ours) = (self.workspace.root.join("Cargo.lock"), self.folder.join("Cargo.lock"));
        let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        if changed(&ours) < changed(&theirs) {
            std::fs::copy(&theirs, &ours).context(ours.display())?;
        }
        Ok(())
    }

    fn built(&self) -> PathBuf {
        self.folder.join("target").join(if self.address { "address" } else { "coverage" })
    }

    fn program(&self, target: &str) -> Result<Command> {
        Ok(Command::new(self.built().join(host()?).join("release").join(target)))
    }

    /// A target's folder of a kind, which is made if it is not there.
    fn kept(&self, kind: &str, target: &str) -> Result<PathBuf> {
        let folder = self.folder.join(kind).join(target);
        std::fs::create_dir_all(&folder).context(folder.display())?;
        Ok(folder)
    }

    fn fuzz(&self, target: &str, time: Time, options: &[OsString]) -> Result {
        if process::interrupted() {
            return Err(Failure::new(format!("{target}: interrupted")));
        }
        let findings = self.kept("findings", target)?;
        let mut program = self.program(target)?;
        // New inputs go to the first folder.
        program.arg(self.kept("corpus", target)?).arg(self.kept("seeds", target)?);
        let dictionary = self.folder.join("dictionaries").join(target).with_extension("dict");
        if dictionary.is_file() {
            program.arg(format!("-dict={}", dictionary.display()));
        }
        program.args([MAX_INPUT, MAX_SECONDS, "-print_final_stats=1"]);
        program.arg(format!("-max_total_time={}", time.seconds)).arg(format!("-artifact_prefix={}/", findings.display()));
        let before = SystemTime::now();
        process::run(program.args(options)).map_err(|failure| match newest(&findings, before) {
            Some(finding) => Failure::new(format!(
                "{target} found something, which is kept; run it again with: cargo xtask fuzz {target} --input {}",
                finding.display()
            )),
            None => failure,
        })
    }

    /// Merges corpus and seeds into a new corpus, which takes the old one's place.
    fn minimise(&self, target: &str) -> Result {
        let (corpus, fresh) = (self.kept("corpus", target)?, self.kept("corpus", &format!("{target}.new"))?);
        process::run(self.program(target)?.arg("-merge=1").arg(&fresh).arg(&corpus).arg(self.kept("seeds", target)?))?;
        std::fs::remove_dir_all(&corpus).context(corpus.display())?;
        std::fs::rename(&fresh, &corpus).context(corpus.display())
    }
}

/// The file of a folder that was written last, if that was not before a time.
fn newest(folder: &Path, since: SystemTime) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|file| file.ok()?.path().canonicalize().ok());
    let written = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    files.filter_map(|path| Some((written(&path)?, path))).filter(|(time, _)| *time >= since).max().map(|(_, path)| path)
}

/// What rustc compiles for by itself.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = process::output(Command::new(rustc).arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_users_write_them() {
        let seconds = |text: &str| text.parse::<Time>().map(|time| time.seconds);
        assert_eq!([seconds("90"), seconds("90s"), seconds("20m"), seconds("2h")], [Ok(90), Ok(90), Ok(1200), Ok(7200)]);
        for wrong in ["", "s", "0", "0m", "-1s", "1.5h", "20 m", "20min", "5124095576030432h"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(seconds(TIME), Ok(60));
    }

    #[test]
    fn a_time_alone_is_for_all_targets() {
        let minute = Time { seconds: 60 };
        assert_eq!(wanted(Some("20m"), minute), (None, Time { seconds: 1200 }));
        assert_eq!(wanted(Some("frame"), minute), (Some("frame"), minute));
        assert_eq!(wanted(None, minute), (None, minute));
    }

    #[test]
    fn a_target_that_is_not_there_is_said_with_those_that_are() {
        let known = ["engine".to_owned(), "frame".to_owned()];
        assert_eq!(chosen(&known, None).unwrap(), known);
        assert_eq!(chosen(&known, Some("frame")).unwrap(), ["frame"]);
        let failure = chosen(&known, Some("frames")).unwrap_err().to_string();
        assert!(failure.contains("\"frames\"") && failure.contains("engine, frame"), "{failure}");
    }

    #[test]
    fn the_newest_finding_is_named_and_an_old_one_is_not() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("crash-1"), "x").unwrap();
        let since = SystemTime::UNIX_EPOCH;
        assert!(newest(&folder, since).unwrap().ends_with("crash-1"));
        assert_eq!(newest(&folder, SystemTime::now() + std::time::Duration::from_secs(3600)), None);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(newest(&folder, since), None);
    }
}

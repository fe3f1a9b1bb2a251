//! The steps, in the order in which a mistake is found soonest.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Group, Outcome, PROFILE, Step};
use crate::failure::{Context, Failure, Result};
use crate::workspace::Workspace;
use crate::{conformance, counts, needs, node, process, tidy};

pub const ALL: &[Step] = &[
    Step { name: "format", group: Group::Lint, run: format },
    Step { name: "tidy", group: Group::Lint, run: |workspace| tidy::run(workspace).map(passed) },
    Step { name: "clippy", group: Group::Lint, run: clippy },
    Step { name: "build", group: Group::Rust, run: build },
    Step { name: "tests", group: Group::Rust, run: tests },
    Step { name: "rings", group: Group::Rust, run: rings },
    Step { name: "features", group: Group::Rust, run: features },
    Step { name: "doc examples", group: Group::Rust, run: doc_examples },
    Step { name: "counts", group: Group::Counts, run: counts },
    Step { name: "node", group: Group::Node, run: node_package },
    Step { name: "runtimes", group: Group::Node, run: runtimes },
    Step { name: "differential", group: Group::Node, run: differential },
    Step { name: "browser", group: Group::Browser, run: browser },
    Step { name: "conformance", group: Group::Conformance, run: |workspace| conformance::quick(workspace).map(passed) },
];

fn passed(_: ()) -> Outcome {
    Outcome::Passed
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<Outcome> {
    process::run(process::cargo().current_dir(&workspace.root).args(arguments)).map(passed)
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    needs::component("fmt")?;
    cargo(workspace, &["fmt", "--all", "--check"])
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    needs::component("clippy")?;
    cargo(workspace, &["clippy", "--workspace", "--all-targets", "--profile", PROFILE, "--", "-D", "warnings"])
}

fn build(workspace: &Workspace) -> Result<Outcome> {
    cargo(workspace, &["build", "--workspace", "--profile", PROFILE])
}

fn tests(workspace: &Workspace) -> Result<Outcome> {
    // By hand a test without its program is left out; here it is there.
    needs::python()?;
    ["curl", "openssl"].into_iter().try_for_each(needs::program)?;
    ["node", "tests/runtimes"].into_iter().try_for_each(|folder| needs::packages(&workspace.root.join(folder)))?;
    let arguments: &[&str] = match needs::nextest() {
        true => &["nextest", "run", "--workspace", "--cargo-profile", PROFILE, "--no-fail-fast"],
        false => &["test", "--workspace", "--lib", "--bins", "--tests", "--profile", PROFILE, "--no-fail-fast"],
    };
    let mut cargo = process::cargo();
    cargo.current_dir(&workspace.root).args(arguments).env("TIDEWIRE_REQUIRE_PROGRAMS", "1");
    process::run(&mut cargo).map(passed)
}

/// What meets the real kernel, once more over io_uring: the engine is not to notice. (Its backend's own tests run with all others.)
fn rings(workspace: &Workspace) -> Result<Outcome> {
    let ring = ("TIDEWIRE_IO", "uring");
    cargo(workspace, &["build", "-p", "tidewire-cli", "--profile", PROFILE])?;
    // A doctor who finds other things wrong has found this out all the same.
    let report = Command::new(workspace.binary(PROFILE, "tidewire")).arg("doctor").env(ring.0, ring.1).output();
    let report = report.context("tidewire doctor")?;
    if !String::from_utf8_lossy(&report.stdout).contains("io_uring: TIDEWIRE_IO asks for it") {
        return Ok(Outcome::Skipped("this system gives no ring: `tidewire doctor` says why"));
    }
    let real = REAL.iter().flat_map(|test| ["--test", *test]);
    let packages = ["-p", "tidewire-contract", "-p", "tidewire-hardening", "-p", "tidewire-cli"];
    let mut tests = process::cargo();
    tests.current_dir(&workspace.root).args(["test", "--profile", PROFILE, "--no-fail-fast"]).args(packages).args(real);
    process::run(tests.env(ring.0, ring.1).env("TIDEWIRE_REQUIRE_PROGRAMS", "1")).map(passed)
}

/// The test programs whose servers and clients are on the real kernel, by the backend of the environment.
const REAL: &[&str] = &[
    "behaviours_real",
    "behaviours_real_calls",
    "chat",
    "client",
    "command",
    "connect",
    "http",
    "http_streams",
    "interop_websockets",
    "programs",
    "scale",
    "system",
    "tls",
    "tokio_axum",
];

/// What the workspace's own build leaves out. There the command's features are everybody's, so compression is C zlib's; here it is
/// that of the library by itself, and there is none.
fn features(workspace: &Workspace) -> Result<Outcome> {
    cargo(workspace, &["test", "-p", "tidewire-contract", "--test", "compression", "--profile", PROFILE])?;
    cargo(workspace, &["check", "-p", "tidewire", "--no-default-features", "--profile", PROFILE])
}

fn doc_examples(workspace: &Workspace) -> Result<Outcome> {
    cargo(workspace, &["test", "--workspace", "--doc", "--profile", PROFILE])
}

fn counts(workspace: &Workspace) -> Result<Outcome> {
    if !cfg!(target_os = "linux") || !counts::has_baseline(workspace) {
        return Ok(Outcome::Skipped("there is no baseline for this system in bench/baseline"));
    }
    counts::run(workspace, &counts::Options::default()).map(passed)
}

fn node_package(workspace: &Workspace) -> Result<Outcome> {
    let Some(folder) = with_tests(workspace, "node")? else {
        return Ok(Outcome::Skipped("node/package.json has no tests"));
    };
    needs::packages(&folder)?;
    let addon = node::build(workspace, PROFILE)?;
    println!("addon: {}", addon.display());
    npm_test(&folder, &[])
}

/// The npm package on the newest Node.js, on the oldest, on Deno and on Bun.
fn runtimes(workspace: &Workspace) -> Result<Outcome> {
    let Some(folder) = with_tests(workspace, "tests/runtimes")? else {
        return Ok(Outcome::Skipped("tests/runtimes/package.json has no tests"));
    };
    needs::packages(&workspace.root.join("node"))?;
    needs::packages(&folder)?;
    node::build(workspace, PROFILE)?;
    npm_test(&folder, &[])
}

/// The same programs on Bun and on Node.js with the addon.
fn differential(workspace: &Workspace) -> Result<Outcome> {
    let Some(folder) = with_tests(workspace, "tests/differential")? else {
        return Ok(Outcome::Skipped("tests/differential/package.json has no tests"));
    };
    needs::packages(&folder)?;
    needs::chromium()?;
    node::build(workspace, PROFILE)?;
    npm_test(&folder, &[])
}

fn browser(workspace: &Workspace) -> Result<Outcome> {
    let Some(folder) = with_tests(workspace, "tests/browser")? else {
        return Ok(Outcome::Skipped("tests/browser/package.json has no tests"));
    };
    needs::packages(&folder)?;
    needs::chromium()?;
    needs::program("openssl")?;
    cargo(workspace, &["build", "-p", "tidewire-cli", "--profile", PROFILE])?;
    npm_test(&folder, &[("TIDEWIRE_BIN", &workspace.binary(PROFILE, "tidewire"))])
}

fn npm_test(folder: &Path, environment: &[(&str, &PathBuf)]) -> Result<Outcome> {
    process::run(process::npm().current_dir(folder).args(["test"]).envs(environment.iter().copied())).map(passed)
}

/// A folder of the workspace, if its package.json has a test script.
fn with_tests(workspace: &Workspace, folder: &str) -> Result<Option<PathBuf>> {
    let folder = workspace.root.join(folder);
    let manifest = folder.join("package.json");
    if !manifest.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&manifest).context(manifest.display())?;
    let package: serde_json::Value = serde_json::from_str(&text).context(manifest.display())?;
    match package.pointer("/scripts/test") {
        None => Ok(None),
        Some(script) if script.is_string() => Ok(Some(folder)),
        Some(_) => Err(Failure::new(format!("{}: scripts.test is not a command", manifest.display()))),
    }
}

//! What the tests need beside Rust: found, installed where that is possible, or named with the way to install it.

use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process;

/// Debian's Chromium and the names that others give it.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Fails unless a component of the Rust toolchain is there.
pub fn component(name: &str) -> Result {
    if process::works(process::cargo().args([name, "--version"])) {
        return Ok(());
    }
    let component = if name == "fmt" { "rustfmt" } else { name };
    Err(Failure::new(format!("cargo {name} is missing: rustup component add {component}")))
}

/// Whether the faster test runner is there; cargo's own does as well.
pub fn nextest() -> bool {
    let there = process::works(process::cargo().args(["nextest", "--version"]));
    if !there {
        println!("cargo-nextest is missing, so cargo test runs the tests (cargo install --locked cargo-nextest)");
    }
    there
}

/// Fails unless Node.js and npm are there.
pub fn node() -> Result {
    let missing = [("node", Command::new("node")), ("npm", process::npm())]
        .into_iter()
        .filter_map(|(name, mut command)| (!process::works(command.arg("--version"))).then_some(name))
        .collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} missing: install Node.js 18 or later, on Debian: apt-get install nodejs npm",
        missing.join(" and ")
    )))
}

/// Installs a folder's npm packages as its lock file says, unless that was done since the lock file changed.
pub fn packages(folder: &Path) -> Result {
    node()?;
    let lock = folder.join("package-lock.json");
    if !lock.is_file() {
        return Err(Failure::new(format!("{} is missing: run npm install there once and commit it", lock.display())));
    }
    if is_newer(&folder.join("node_modules/.package-lock.json"), &lock) {
        return Ok(());
    }
    process::run(process::npm().current_dir(folder).args(["ci", "--no-audit", "--no-fund"]))
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    matches!((time(file), time(than)), (Ok(file), Ok(than)) if file >= than)
}

/// Finds Chromium; on Debian, root installs it.
pub fn chromium() -> Result {
    if CHROMIUM.iter().any(|name| process::on_path(name).is_some()) {
        return Ok(());
    }
    package("Chromium", "chromium")
}

/// Finds a Python 3 that can make environments of its own, each with its pip; on Debian, root installs it.
pub fn python() -> Result {
    if process::works(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        return Ok(());
    }
    package("Python 3 with its module venv", "python3-venv")
}

/// Finds a program; on Debian, root installs its package, which has the same name.
pub fn program(name: &str) -> Result {
    if process::on_path(name).is_some() { Ok(()) } else { package(name, name) }
}

/// Installs a Debian package, or says how to.
fn package(what: &str, package: &str) -> Result {
    let how = format!("{what} is missing, on Debian: apt-get install {package}");
    if !is_root() || process::on_path("apt-get").is_none() {
        return Err(Failure::new(how));
    }
    apt_get(&["update", "-qq"])?;
    apt_get(&["install", "-y", "-qq", "--no-install-recommends", package]).context(how)
}

fn apt_get(arguments: &[&str]) -> Result {
    process::run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_component_is_named_with_its_remedy() {
        let failure = component("no-such-command").unwrap_err().to_string();
        assert!(failure.contains("rustup component add no-such-command"), "{failure}");
    }

    #[test]
    fn a_folder_without_a_lock_file_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-needs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let failure = packages(&folder).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(failure.contains("package-lock.json") || failure.contains("Node.js"), "{failure}");
    }

    #[test]
    fn a_file_that_is_missing_is_not_newer() {
        let here = Path::new("Cargo.toml");
        assert!(is_newer(here, here));
        assert!(!is_newer(Path::new("no-such-file"), here));
        assert!(!is_newer(here, Path::new("no-such-file")));
    }
}

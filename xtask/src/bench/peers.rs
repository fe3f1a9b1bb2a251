//! Other servers to compare with, installed from the npm registry at one version each.

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use super::rows::Row;
use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// A server of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Bun's own server
    Bun,
    /// The npm package ws, on the Node.js of this machine
    Ws,
}

/// A peer that is ready to run.
#[derive(Debug, Clone)]
pub struct Installed {
    pub peer: Peer,
    runtime: PathBuf,
    script: PathBuf,
    modules: PathBuf,
}

impl Peer {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bun => "bun",
            Self::Ws => "ws",
        }
    }

    /// Whether its programs can do what a row asks for.
    pub const fn serves(self, row: &Row) -> bool {
        match self {
            Self::Bun => true,
            Self::Ws => !row.secure && !row.deflate,
        }
    }

    const fn version(self) -> &'static str {
        match self {
            Self::Bun => "1.4.5",
            Self::Ws => "8.23.0",
        }
    }

    /// Installs it into the target folder, unless it is there.
    pub fn install(self, workspace: &Workspace) -> Result<Installed> {
        let folder = workspace.target.join("peers");
        let modules = folder.join("node_modules");
        let package = modules.join(self.name()).join("package.json");
        if !has_version(&package, self.version()) {
            std::fs::create_dir_all(&folder).context(folder.display())?;
            let package = format!("{}@{}", self.name(), self.version());
            process::run(process::npm().args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(package))?;
        }
        let runtime = match self {
            Self::Ws => process::on_path("node").ok_or_else(|| Failure::new("Node.js is missing"))?,
            Self::Bun => {
                let bun = modules.join(".bin/bun");
                if !process::works(Command::new(&bun).arg("--version")) {
                    // npm may be told to leave out install scripts; this one puts the binary in place.
                    let script = modules.join("bun/install.js");
                    process::run(Command::new("node").arg(script).current_dir(modules.join("bun")))?;
                }
                bun
            }
        };
        let script = workspace.root.join("bench/peers").join(format!("{}.js", self.name()));
        Ok(Installed { peer: self, runtime, script, modules })
    }
}

impl Installed {
    /// The command line that runs one of the programs.
    pub fn arguments(&self, program: &str) -> [std::ffi::OsString; 3] {
        [self.runtime.clone().into(), self.script.clone().into(), program.into()]
    }

    /// Where its script finds its packages: it lies outside the folder into which they are installed.
    pub fn environment(&self) -> (&'static str, PathBuf) {
        ("NODE_PATH", self.modules.clone())
    }
}

fn has_version(package: &std::path::Path, version: &str) -> bool {
    std::fs::read_to_string(package)
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .is_some_and(|package| package.get("version").and_then(serde_json::Value::as_str) == Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_version_is_recognised() {
        let file = std::env::temp_dir().join(format!("xtask-peer-{}.json", std::process::id()));
        std::fs::write(&file, "{\"version\": \"1.2.3\"}").unwrap();
        let (same, other) = (has_version(&file, "1.2.3"), has_version(&file, "1.2.4"));
        std::fs::remove_file(&file).unwrap();
        assert!(same && !other);
        assert!(!has_version(&file, "1.2.3"));
    }
}

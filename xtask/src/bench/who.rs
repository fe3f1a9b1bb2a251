//! Who is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::rows::{Program, Row};
use crate::failure::{Context, Failure, Result};
use crate::workspace::Workspace;
use crate::{needs, node, process};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Who {
    /// The server that only moves the bytes
    Bare,
    /// `tidewire echo` and `tidewire chat`
    Tidewire,
    /// The same with two workers on two cores
    #[value(name = "tidewire-2")]
    TidewireTwo,
    /// `tidewire` over io_uring; it takes part where `tidewire` does, when it is asked for
    TidewireUring,
    /// Our npm package on the newest Node.js
    Node,
    /// Our npm package on Node.js 20
    Node20,
    /// Bun's own server
    Bun,
    /// The npm package ws, on the newest Node.js
    Ws,
    /// Deno's own server
    Deno,
    /// On tokio, one thread
    TokioTungstenite,
    /// On tokio and hyper, one thread
    Fastwebsockets,
    /// On tokio, one thread
    TokioWebsockets,
    /// On tokio and hyper, one thread
    Axum,
}

impl Who {
    /// Its name for people, also in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Tidewire => "tidewire",
            Self::TidewireTwo => "tidewire, 2 workers",
            Self::TidewireUring => "tidewire over io_uring",
            Self::Node => "tidewire on Node.js 26",
            Self::Node20 => "tidewire on Node.js 20",
            Self::Bun => "bun",
            Self::Ws => "ws",
            Self::Deno => "deno",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::Fastwebsockets => "fastwebsockets",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Axum => "axum",
        }
    }

    /// Whether it is ours.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Tidewire | Self::TidewireTwo | Self::TidewireUring | Self::Node | Self::Node20)
    }

    const fn is_rust_peer(self) -> bool {
        matches!(self, Self::TokioTungstenite | Self::Fastwebsockets | Self::TokioWebsockets | Self::Axum)
    }

    const fn is_script(self) -> bool {
        matches!(self, Self::Node | Self::Node20 | Self::Bun | Self::Ws | Self::Deno)
    }
}

/// Where all their programs are.
#[derive(Debug)]
pub struct Programs {
    /// What this workspace builds: the load, the bare servers, `pin`.
    pub built: PathBuf,
    /// The `tidewire` that serves.
    pub tidewire: PathBuf,
    /// The folder of the peers' scripts.
    peers: PathBuf,
    rust_peers: PathBuf,
    pub certificate: Certificate,
}

impl Programs {
    /// Where they will be.
    pub fn of(workspace: &Workspace, tidewire: Option<PathBuf>) -> Self {
        Self {
            built: workspace.profile_folder("release"),
            tidewire: tidewire.unwrap_or_else(|| workspace.binary("release", "tidewire")),
            peers: workspace.root.join("bench/peers"),
            rust_peers: workspace.target.join("bench-peers"),
            certificate: Certificate::in_folder(&workspace.target),
        }
    }

    /// Builds the load and what it cannot do without.
    pub fn build(&self, workspace: &Workspace) -> Result {
        let mut build = process::cargo();
        build.current_dir(&workspace.root).args(["build", "--release", "-p", "tidewire-bench", "-p", "tidewire-cli"]);
        process::run(&mut build)
    }

    /// Builds or installs what some servers need, and gives those that therefore do not take part, with the reason.
    pub fn prepare(&self, workspace: &Workspace, all: &[Who]) -> Result<Vec<(Who, String)>> {
        let mut left_out = Vec::new();
        let mut leave_out = |concerned: fn(Who) -> bool, result: Result| -> Result {
            let Err(failure) = result else { return Ok(()) };
            if process::interrupted() {
                return Err(failure);
            }
            left_out.extend(all.iter().filter(|who| concerned(**who)).map(|who| (*who, failure.to_string())));
            Ok(())
        };
        if all.iter().any(|who| who.is_script()) {
            leave_out(Who::is_script, needs::packages(&self.peers))?;
        }
        if all.iter().any(|who| matches!(who, Who::Node | Who::Node20)) {
            leave_out(|who| matches!(who, Who::Node | Who::Node20), node::build(workspace, "release").map(drop))?;
        }
        if all.iter().any(|who| who.is_rust_peer()) {
            let mut build = process::cargo();
            build
                .current_dir(self.peers.join("rust"))
                .args(["build", "--release", "--locked", "--target-dir"])
                .arg(&self.rust_peers);
            leave_out(Who::is_rust_peer, process::run(&mut build))?;
        }
        Ok(left_out)
    }

    /// The command line of a server for a row.
    pub fn server(&self, who: Who, row: &Row) -> Vec<std::ffi::OsString> {
        let mut line: Vec<std::ffi::OsString> = match who {
            Who::Bare => {
                let bare = self.built.join(if row.program == Program::Echo { "bare-echo" } else { "bare-fanout" });
                let mut line = vec![bare.into(), "--size".into(), row.size.to_string().into()];
                if row.program == Program::Chat {
                    line.extend(["--prefix".into(), super::rows::PREFIX.into()]);
                }
                if row.payload == "binary" {
                    line.push("--binary".into());
                }
                return line;
            }
            Who::Tidewire | Who::TidewireTwo | Who::TidewireUring => {
                let workers = if who == Who::TidewireTwo { "2" } else { "1" };
                let flags = [row.program.name(), "--host", "127.0.0.1", "--port", "0", "--workers", workers];
                let way = if who == Who::TidewireUring { "TIDEWIRE_IO=uring" } else { "TIDEWIRE_IO=readiness" };
                let mut line = vec!["env".into(), way.into(), self.tidewire.clone().into()];
                line.extend(flags.map(Into::into));
                if row.program == Program::Chat {
                    line.push("--quiet".into());
                }
                line
            }
            Who::Deno => vec![
                self.runtime(who).into(),
                "run".into(),
                "--allow-net".into(),
                self.peers.join("deno.js").into(),
                row.program.name().into(),
            ],
            _ if who.is_script() => {
                let script = self.peers.join(if who == Who::Ws { "ws.cjs" } else { "serve.cjs" });
                vec![self.runtime(who).into(), script.into(), row.program.name().into()]
            }
            _ => return vec![self.rust_peers.join("release/peers").into(), who.name().into()],
        };
        if row.deflate {
            line.push("--compress".into());
        }
        let Certificate { cert, key } = &self.certificate;
        match who {
            Who::Tidewire | Who::TidewireTwo | Who::TidewireUring if row.secure => {
                line.extend(["--cert".into(), cert.into(), "--key".into(), key.into()]);
            }
            _ if row.secure => line.extend([cert.into(), key.into()]),
            _ => {}
        }
        line
    }

    /// What runs a script, from the packages of the peers' folder.
    pub fn runtime(&self, who: Who) -> PathBuf {
        let modules = self.peers.join("node_modules");
        let arm = std::env::consts::ARCH == "aarch64";
        let processor = if arm { "arm64" } else { "x64" };
        match who {
            Who::Bun => modules.join(if arm { "@oven/bun-linux-aarch64/bin/bun" } else { "@oven/bun-linux-x64/bin/bun" }),
            Who::Deno => modules.join(format!("@deno/linux-{processor}-glibc/deno")),
            Who::Node20 => modules.join(format!("node-20-{processor}/bin/node")),
            _ => modules.join(format!("node-26-{processor}/bin/node")),
        }
    }

    /// The version of a server, as its program or its lock file says it.
    pub fn version(&self, who: Who) -> Option<String> {
        let said = |line: &str| {
            line.split_whitespace().find_map(|word| {
                let word = word.trim_start_matches('v');
                word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.to_owned())
            })
        };
        match who {
            Who::Bare | Who::Tidewire | Who::TidewireTwo | Who::TidewireUring => None,
            Who::Ws => {
                let text = std::fs::read_to_string(self.peers.join("node_modules/ws/package.json")).ok()?;
                let package: serde_json::Value = serde_json::from_str(&text).ok()?;
                package.get("version")?.as_str().map(str::to_owned)
            }
            _ if who.is_script() => said(&process::output(Command::new(self.runtime(who)).arg("--version")).ok()?),
            _ => locked(&std::fs::read_to_string(self.peers.join("rust/Cargo.lock")).ok()?, who.name()),
        }
    }
}

/// The version of a package that the peers themselves depend on: of two the lock file says beside its name which.
fn locked(lock: &str, name: &str) -> Option<String> {
    let (_, ours) = lock.split_once("name = \"peers\"\n")?;
    let (ours, _) = ours.split_once("]\n")?;
    if let Some((_, version)) = ours.split_once(&format!("\"{name} ")) {
        return version.split('"').next().map(str::to_owned);
    }
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next().map(str::to_owned)
}

/// What servers show through TLS. The load trusts whatever it is shown.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn in_folder(folder: &Path) -> Self {
        Self { cert: folder.join("bench.pem"), key: folder.join("bench.key") }
    }

    /// Makes a new one.
    pub fn make(&self) -> Result {
        needs::program("openssl")?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=localhost", "-out"]).arg(&self.cert).arg("-keyout").arg(&self.key);
        process::output(&mut openssl).map(drop).context("a certificate for the rows with TLS")
    }
}

/// The servers with these names; all without any.
pub fn chosen(names: &[Who], row: &Row) -> Result<Vec<Who>> {
    let mut chosen: Vec<_> = row.who.iter().copied().filter(|who| names.is_empty() || names.contains(who)).collect();
    if names.contains(&Who::TidewireUring) && row.who.contains(&Who::Tidewire) {
        chosen.push(Who::TidewireUring);
    }
    if chosen.is_empty() { Err(Failure::new(format!("none of these servers takes part in {}", row.name))) } else { Ok(chosen) }
}

#[cfg(test)]
mod tests {
    use super::super::rows;
    use super::*;

    impl Programs {
        /// All in one folder that need not be there.
        pub fn at(built: PathBuf) -> Self {
            let (peers, rust_peers) = ("peers".into(), "rust".into());
            Self {
                built,
                tidewire: "tidewire".into(),
                peers,
                rust_peers,
                certificate: Certificate::in_folder(Path::new("there")),
            }
        }
    }

    fn line(who: Who, row: &str) -> String {
        let line = Programs::at("bin".into()).server(who, rows::named(row).unwrap());
        line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_server_is_told_what_the_row_asks_for() {
        assert_eq!(line(Who::Bare, "fanout-5000"), "bin/bare-fanout --size 61 --prefix x: ");
        assert_eq!(line(Who::Bare, "echo-16k"), "bin/bare-echo --size 16384 --binary");
        let (serve, poller) = ("--host 127.0.0.1 --port 0 --workers", "env TIDEWIRE_IO=readiness tidewire");
        assert_eq!(line(Who::TidewireUring, "echo-32"), format!("env TIDEWIRE_IO=uring tidewire echo {serve} 1"));
        assert_eq!(line(Who::Tidewire, "echo-32"), format!("{poller} echo {serve} 1"));
        assert_eq!(line(Who::Tidewire, "fanout-deflate"), format!("{poller} chat {serve} 1 --quiet --compress"));
        assert_eq!(line(Who::TidewireTwo, "chat-workers"), format!("{poller} chat {serve} 2 --quiet"));
        assert_eq!(
            line(Who::Tidewire, "echo-tls"),
            format!("{poller} echo {serve} 1 --cert there/bench.pem --key there/bench.key")
        );
        assert!(line(Who::Bun, "echo-tls").ends_with("bin/bun peers/serve.cjs echo there/bench.pem there/bench.key"));
        assert!(line(Who::Ws, "fanout-deflate").ends_with("bin/node peers/ws.cjs chat --compress"));
        assert_eq!(line(Who::Axum, "echo-32"), "rust/release/peers axum");
    }

    #[test]
    fn servers_are_chosen_by_name() {
        let row = rows::named("chat-16").unwrap();
        assert_eq!(chosen(&[], row).unwrap(), row.who);
        assert_eq!(chosen(&[Who::Bun, Who::Axum], row).unwrap(), [Who::Bun]);
        assert!(chosen(&[Who::Axum], row).is_err());
        assert_eq!(chosen(&[Who::Tidewire, Who::TidewireUring], row).unwrap(), [Who::Tidewire, Who::TidewireUring]);
        assert_eq!(Who::from_str("tidewire-2", false), Ok(Who::TidewireTwo));
    }

    #[test]
    fn a_version_is_found_in_a_lock_file() {
        let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
        let ours = "[[package]]\nname = \"peers\"\nversion = \"0.0.0\"\ndependencies = [\n \"axum\",\n \"tung 0.30.0\",\n]\n";
        let lock = package("axum-core", "0.5.1") + &package("axum", "0.8.9") + &package("tung", "0.29.0") + ours;
        assert_eq!(locked(&lock, "axum").as_deref(), Some("0.8.9"));
        assert_eq!(locked(&lock, "tung").as_deref(), Some("0.30.0"));
        assert_eq!(locked(&lock, "hyper"), None);
    }
}

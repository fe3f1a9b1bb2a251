//! Starting the servers that are compared, each alone on its core.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::peers::Installed;
use super::rows::{NAME, PREFIX, Program, Row};
use crate::announced::address_of;
use crate::failure::{Context, Failure, Result};
use crate::needs;
use crate::process::{self, Running};

/// Who is measured.
#[derive(Debug, Clone)]
pub enum Contestant {
    Bare,
    Tidewire(PathBuf),
    Peer(Installed),
}

impl Contestant {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Tidewire(_) => "tidewire",
            Self::Peer(installed) => installed.peer.name(),
        }
    }

    fn arguments(&self, row: &Row, programs: &Path, certificate: &Certificate) -> Vec<OsString> {
        let mut arguments = match self {
            Self::Bare => {
                let bare = programs.join(if row.program == Program::Echo { "bare-echo" } else { "bare-fanout" });
                return [vec![bare.into()], messages(row)].concat();
            }
            Self::Tidewire(binary) => {
                let options = [row.program.name(), "--host", "127.0.0.1", "--port", "0", "--workers", "1"];
                [vec![binary.clone().into()], options.map(OsString::from).to_vec()].concat()
            }
            Self::Peer(installed) => installed.arguments(row.program.name()).to_vec(),
        };
        if row.deflate {
            arguments.push("--compress".into());
        }
        let Certificate { cert, key } = certificate;
        match self {
            Self::Tidewire(_) if row.secure => arguments.extend(["--cert".into(), cert.into(), "--key".into(), key.into()]),
            Self::Peer(_) if row.secure => arguments.extend([cert.into(), key.into()]),
            _ => {}
        }
        arguments
    }
}

/// What servers show through TLS. The load trusts whatever it is shown.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Where there will be one.
    pub fn in_folder(folder: &Path) -> Self {
        Self { cert: folder.join("bench.pem"), key: folder.join("bench.key") }
    }

    /// Makes a new one.
    pub fn make(&self) -> Result {
        needs::program("openssl")?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=localhost", "-out"]).arg(&self.cert).arg("-keyout").arg(&self.key);
        process::output(&mut openssl).map(drop)
    }
}

/// What the bare servers and the load must know about the messages of a row.
fn messages(row: &Row) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--size".into(), row.size.to_string().into()];
    if row.program == Program::Chat {
        arguments.extend(["--prefix".into(), PREFIX.into()]);
    }
    if row.binary {
        arguments.push("--binary".into());
    }
    arguments
}

/// The bench crate's programs, and the cores on which they run things.
#[derive(Debug)]
pub struct Stage {
    pub programs: PathBuf,
    pub server_core: usize,
    pub load_core: usize,
    pub certificate: Certificate,
}

impl Stage {
    /// A program on a core that ends when we do, however we end.
    fn pinned(&self, core: usize) -> Command {
        let mut command = Command::new(self.programs.join("pin"));
        command.args(["--core", &core.to_string(), "--parent", &std::process::id().to_string(), "--"]);
        // Logging is not what is measured.
        command.env_remove("RUST_LOG");
        command
    }

    /// Starts a server for a row, puts the row's load on it, and gives the load's report.
    pub fn measure(&self, contestant: &Contestant, row: &Row, timing: &[OsString]) -> Result<serde_json::Value> {
        let mut command = self.pinned(self.server_core);
        command.args(contestant.arguments(row, &self.programs, &self.certificate));
        if let Contestant::Peer(installed) = contestant {
            let (name, value) = installed.environment();
            command.env(name, value);
        }
        let mut server = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let address = address_of(&mut server).context(format_args!("{} for {}", contestant.name(), row.name))?;
        self.load(&server, &address, row, timing).context(format_args!("{} for {}", contestant.name(), row.name))
    }

    fn load(&self, server: &Running, address: &str, row: &Row, timing: &[OsString]) -> Result<serde_json::Value> {
        let path = match row.program {
            Program::Echo => "/".to_owned(),
            Program::Chat => format!("/chat?name={NAME}"),
        };
        let mut command = self.pinned(self.load_core);
        let scheme = if row.secure { "wss" } else { "ws" };
        command.arg(self.programs.join("tidewire")).arg("bench").args(row.load).arg(format!("{scheme}://{address}{path}"));
        if !row.load.contains(&"idle") {
            command.args(["--size", &row.size.to_string()]).args(timing);
            if row.binary {
                command.args(["--payload", "binary"]);
            }
        }
        if row.deflate {
            command.args(["--compress", "--payload", "json"]);
        }
        command.args(["--insecure", "--pid", &server.id().to_string(), "--json"]);
        let mut load = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let output = load.take_stdout();
        let status = load.wait()?;
        if !status.success() {
            return Err(Failure::new(format!("the load ended with {status}")));
        }
        let output = output.ok_or_else(|| Failure::new("the load has no output"))?;
        serde_json::from_reader(output).context("the load's report")
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows;
    use super::*;

    fn arguments(contestant: &Contestant, row: &str) -> Vec<String> {
        let row = rows::ALL.iter().find(|candidate| candidate.name == row).unwrap();
        let line = contestant.arguments(row, Path::new("bin"), &Certificate::in_folder(Path::new("there")));
        line.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_bare_server_knows_what_the_clients_send() {
        let fanout = ["bin/bare-fanout", "--size", "61", "--prefix", "x: "];
        assert_eq!(arguments(&Contestant::Bare, "fanout-5000"), fanout);
        assert_eq!(arguments(&Contestant::Bare, "echo-16k"), ["bin/bare-echo", "--size", "16384", "--binary"]);
    }

    #[test]
    fn the_server_knows_what_a_row_asks_for() {
        let tidewire = Contestant::Tidewire("tidewire".into());
        let plain = arguments(&tidewire, "echo-32").join(" ");
        assert_eq!(plain, "tidewire echo --host 127.0.0.1 --port 0 --workers 1");
        assert_eq!(arguments(&tidewire, "echo-tls").join(" "), format!("{plain} --cert there/bench.pem --key there/bench.key"));
        assert!(arguments(&tidewire, "fanout-deflate").ends_with(&["--compress".to_owned()]));
    }
}

//! Starting servers and putting loads on them, each on its core.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use super::rows::{NAME, Program, Row};
use super::who::{Programs, Who};
use crate::announced::address_of;
use crate::failure::{Context, Failure, Result};
use crate::process::Running;

/// The programs, and the cores on which they run.
#[derive(Debug)]
pub struct Stage {
    pub programs: Programs,
    pub server_core: usize,
    pub load_core: usize,
    /// How the load is timed, as its flags say it.
    pub timing: Vec<OsString>,
}

/// A server that runs, and no longer than this value.
#[derive(Debug)]
pub struct Server {
    running: Running,
    address: String,
}

impl Stage {
    /// A program on cores, which ends when we do, however we end.
    fn pinned(&self, cores: &[usize]) -> Command {
        let mut command = Command::new(self.programs.built.join("pin"));
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        command.args(["--core", &cores.join(","), "--parent", &std::process::id().to_string(), "--"]);
        // Logging is not what is measured, and a colour is no part of a URL.
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Starts a server for a row.
    pub fn start(&self, who: Who, row: &Row) -> Result<Server> {
        let mut command = match row.both_cores {
            true => self.pinned(&[self.server_core, self.load_core]),
            false => self.pinned(&[self.server_core]),
        };
        let mut running = Running::start(command.args(self.programs.server(who, row)))?;
        let address = address_of(&mut running)?;
        Ok(Server { running, address })
    }

    /// Puts a row's load on a server and gives the load's report.
    pub fn load(&self, server: &Server, row: &Row) -> Result<serde_json::Value> {
        let mut command = self.pinned(&[self.load_core]);
        command.arg(self.programs.built.join("tidewire")).args(self.arguments(server, row)).stderr(Stdio::piped());
        let mut load = Running::start(&mut command)?;
        let (output, errors) = (load.take_stdout(), load.take_stderr());
        let status = load.wait()?;
        if !status.success() {
            let said = errors.map(std::io::read_to_string).transpose().context("the load's errors")?.unwrap_or_default();
            return Err(Failure::new(format!("the load ended with {status}: {}", said.trim_end())));
        }
        let output = output.ok_or_else(|| Failure::new("the load has no output"))?;
        let report: serde_json::Value = serde_json::from_reader(output).context("the load's report")?;
        if row.deflate && report.pointer("/answer/compressed") == Some(&serde_json::Value::Bool(false)) {
            return Err(Failure::new("it did not compress its messages"));
        }
        Ok(report)
    }

    fn arguments(&self, server: &Server, row: &Row) -> Vec<OsString> {
        let scheme = if row.secure { "wss" } else { "ws" };
        let path = match row.program {
            Program::Echo => "/".to_owned(),
            Program::Chat => format!("/chat?name={NAME}"),
        };
        let mut line: Vec<OsString> = vec!["bench".into()];
        line.extend(row.load.iter().map(Into::into));
        line.push(format!("{scheme}://{}{path}", server.address).into());
        if !row.load.contains(&"idle") {
            line.extend(["--size".into(), row.size.to_string().into(), "--payload".into(), row.payload.into()]);
            line.extend(self.timing.iter().cloned());
        }
        if row.deflate {
            line.push("--compress".into());
        }
        line.extend(["--insecure".into(), "--json".into(), "--pid".into(), server.running.id().to_string().into()]);
        line
    }
}

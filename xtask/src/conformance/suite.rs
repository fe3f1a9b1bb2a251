//! One run of the suite: wstest on one side, a server or a client on the other, reports at the end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::setup::Wstest;
use super::verdict::{self, Outcomes};
use super::{Role, Subject};
use crate::announced::{address_in, address_of};
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Running};

/// The longest case takes some seconds on a quiet machine.
const STALL: Duration = Duration::from_secs(300);
/// How often is looked for Ctrl-C, and for a client that has ended.
const POLL: Duration = Duration::from_millis(100);
/// How long wstest may take to say that the reports are written, after a client has been told.
const GRACE: Duration = Duration::from_secs(10);
/// How long wstest may take to write the reports of what it has run when it is ended early.
const REPORTS: Duration = Duration::from_secs(120);

/// What is to be run, and where its reports go.
#[derive(Debug)]
pub struct Run<'a> {
    pub wstest: &'a Wstest,
    pub subject: &'a Subject,
    /// Ids and patterns.
    pub cases: &'a [String],
    /// Is replaced.
    pub folder: PathBuf,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Shown {
    pub outcomes: Outcomes,
    pub took: Duration,
    /// Why it ended before its time.
    pub cut_short: Option<Failure>,
}

impl Run<'_> {
    pub fn run(&self) -> Result<Shown> {
        let began = Instant::now();
        let _mine = self.claim()?;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).context(self.folder.display())?;
        }
        fs::create_dir_all(&self.folder).context(self.folder.display())?;
        let mut watch = match self.subject.role {
            Role::Server => self.against_server(),
            Role::Client => self.against_client(),
        }
        .context(self.folder.display())?;
        let cut_short = watch.follow().err();
        let planned = std::mem::take(&mut watch.planned);
        // Ends the server or client, then wstest, which writes what it has.
        drop(watch.subject.take());
        watch.wstest.end_within(REPORTS);
        let outcomes = match (planned.is_empty(), cut_short) {
            (true, Some(failure)) => return Err(failure),
            (true, None) => return Err(Failure::new("no case has that name")),
            (false, cut_short) => (verdict::read(&self.folder.join("index.json"), &planned), cut_short),
        };
        match outcomes {
            (Ok(outcomes), cut_short) => Ok(Shown { outcomes, took: began.elapsed(), cut_short }),
            (Err(failure), cut_short) => Err(cut_short.unwrap_or(failure)),
        }
    }

    /// The folder is replaced, so it belongs to one run at a time: as long as the file is open.
    fn claim(&self) -> Result<File> {
        let lock = self.folder.with_extension("lock");
        let above = self.folder.parent().unwrap_or(&self.folder);
        fs::create_dir_all(above).context(above.display())?;
        let file = File::create(&lock).context(lock.display())?;
        file.try_lock().context(format_args!("{}: another run is writing there", self.folder.display()))?;
        Ok(file)
    }

    /// A server is started first, and wstest connects to it for each case.
    fn against_server(&self) -> Result<Watch> {
        let mut server = Running::start(self.subject.command().stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let address = address_of(&mut server).context("the server")?;
        let servers = json!([{"url": format!("ws://{address}"), "agent": self.subject.name}]);
        let mut watch = self.start("fuzzingclient", &json!({"servers": servers}))?;
        watch.subject = Some(server);
        Ok(watch)
    }

    /// wstest is started first, and the client connects to it for each case.
    fn against_client(&self) -> Result<Watch> {
        let mut watch = self.start("fuzzingserver", &json!({"url": "ws://127.0.0.1:0"}))?;
        let address = watch.until_listening()?;
        let mut client = self.subject.command();
        client.stdin(Stdio::null()).env("AUTOBAHN_URL", format!("ws://{address}")).env("AUTOBAHN_AGENT", &self.subject.name);
        watch.subject = Some(Running::start(&mut client)?);
        watch.subject_ends = true;
        Ok(watch)
    }

    fn start(&self, mode: &str, specification: &serde_json::Value) -> Result<Watch> {
        let mut specification = specification.clone();
        specification["outdir"] = json!(self.folder);
        specification["cases"] = json!(self.cases);
        specification["exclude-cases"] = json!([]);
        specification["exclude-agent-cases"] = json!({});
        let file = self.folder.join("spec.json");
        fs::write(&file, specification.to_string()).context(file.display())?;
        let log = self.folder.join("log");
        let complaints = File::create(self.folder.join("errors")).context(self.folder.display())?;
        let mut command = self.wstest.command();
        command.args(["--mode", mode, "--webport", "0", "--spec"]).arg(&file);
        let mut wstest = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints))?;
        let output = wstest.take_stdout().ok_or_else(|| Failure::new("wstest has no output"))?;
        let mut file = File::create(&log).context(log.display())?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                let _no_log_no_harm = writeln!(file, "{line}");
                let _nobody_waits = sender.send(line);
            }
        });
        Ok(Watch { wstest, subject: None, watched: true, subject_ends: false, lines, planned: Vec::new(), part: String::new() })
    }
}

/// A run on its way.
struct Watch {
    wstest: Running,
    subject: Option<Running>,
    /// Whether the subject must not end yet.
    watched: bool,
    /// Whether the subject's end is a part of the run: a client's is.
    subject_ends: bool,
    lines: Receiver<String>,
    planned: Vec<String>,
    /// The part of the suite that was told last.
    part: String,
}

/// What a line of wstest means.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Planned(Vec<String>),
    Listening(&'a str),
    Case(&'a str),
    /// The client has asked for the reports: it has run everything that it wants to.
    Asked,
    Reported,
    Other,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        if let Some(list) = line.strip_prefix("Cases = ") {
            return Self::Planned(list.split('\'').skip(1).step_by(2).map(str::to_owned).collect());
        }
        if let Some(rest) = line.strip_prefix("Running test case ID ") {
            return Self::Case(rest.split(' ').next().unwrap_or(rest));
        }
        if line.starts_with("listening on ") {
            return address_in(line).map_or(Self::Other, Self::Listening);
        }
        if line.starts_with("Updating reports") {
            return Self::Asked;
        }
        if line.starts_with("Report generation complete") { Self::Reported } else { Self::Other }
    }
}

impl Watch {
    /// The next line; `None` when there are no more.
    fn line(&mut self) -> Result<Option<String>> {
        let waiting = Instant::now();
        loop {
            match self.lines.recv_timeout(POLL) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if process::interrupted() {
                return Err(Failure::new("interrupted"));
            }
            if waiting.elapsed() > STALL {
                return Err(Failure::new(format!("no case has begun or ended for {} s", STALL.as_secs())));
            }
            if let Some(subject) = self.subject.as_mut().filter(|_| self.watched)
                && let Some(status) = subject.ended()?
                && !(self.subject_ends && status.success() && waiting.elapsed() < GRACE)
            {
                let whose = if self.subject_ends { "client" } else { "server" };
                return Err(Failure::new(format!("the {whose} ended before the last case: {status}")));
            }
        }
    }

    fn until_listening(&mut self) -> Result<String> {
        while let Some(line) = self.line()? {
            match Line::read(&line) {
                Line::Listening(address) => return Ok(address.to_owned()),
                Line::Planned(cases) => self.planned = cases,
                _ => {}
            }
        }
        Err(Failure::new("wstest ended before it listened: see the file errors there"))
    }

    /// Reads until the reports are written, and tells which part of the suite is running.
    fn follow(&mut self) -> Result {
        while let Some(line) = self.line()? {
            match Line::read(&line) {
                Line::Planned(cases) => self.planned = cases,
                Line::Case(case) => self.tell(case),
                // Reports take their time, and it may have other things to do than to wait for them.
                Line::Asked => self.watched = false,
                Line::Reported => return Ok(()),
                Line::Listening(_) | Line::Other => {}
            }
        }
        Ok(())
    }

    fn tell(&mut self, case: &str) {
        let part: Vec<_> = case.split('.').take(2).collect();
        let part = if matches!(part[0], "12" | "13") { part.join(".") } else { part[0].to_owned() };
        if part != self.part {
            let within = format!("{part}.");
            let count = self.planned.iter().filter(|planned| planned.starts_with(&within) || **planned == part).count();
            println!("  {part:<6} {count:>3} cases");
            self.part = part;
        }
    }
}

impl Subject {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_wstest_are_understood() {
        let cases = vec!["1.1.1".to_owned(), "12.1.1".to_owned()];
        assert_eq!(Line::read("Cases = ['1.1.1', '12.1.1']"), Line::Planned(cases));
        assert_eq!(Line::read("Cases = []"), Line::Planned(Vec::new()));
        assert_eq!(Line::read("listening on ws://127.0.0.1:4711"), Line::Listening("127.0.0.1:4711"));
        let running = "Running test case ID 9.1.1 for agent tidewire from peer tcp4:127.0.0.1:39717";
        assert_eq!(Line::read(running), Line::Case("9.1.1"));
        assert_eq!(Line::read("Updating reports, requested by peer tcp4:127.0.0.1:39717"), Line::Asked);
        assert_eq!(Line::read("Report generation complete."), Line::Reported);
        assert_eq!(Line::read("Using UTF8 Validator class"), Line::Other);
    }
}

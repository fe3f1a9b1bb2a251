//! The programs against each other, as a measurement uses them: counted, not timed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidewire_load::{Form, Idle, Load, Pace, Payload, Timing, chat, echo, fanout, idle};

const PIN: &str = env!("CARGO_BIN_EXE_pin");
const BARE_ECHO: &str = env!("CARGO_BIN_EXE_bare-echo");
const BARE_FANOUT: &str = env!("CARGO_BIN_EXE_bare-fanout");

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap().1;
        Self { child, url: format!("ws://{address}/chat?name=x") }
    }

    /// So many messages, without a warm-up; the time is a bound that no machine reaches.
    fn load(&self, connections: usize, form: Form, size: usize) -> Load {
        let timing = Timing { warmup: Duration::ZERO, length: Duration::from_secs(60), messages: Some(2000) };
        let load = Load::on(self.url.parse().unwrap(), Payload { form, size });
        Load { connections, pid: Some(self.child.id()), timing, ..load }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn an_echo_is_answered_whatever_its_size() {
    for (size, depth, form) in [(20, 1, Form::Text), (125, 16, Form::Text), (126, 3, Form::Binary), (70_000, 2, Form::Binary)] {
        let kind: &[&str] = if form == Form::Binary { &["--binary"] } else { &[] };
        let server = Server::start(BARE_ECHO, &[&["--size", &size.to_string()], kind].concat());
        let report = echo(&server.load(7, form, size), Pace::InFlight(depth), &mut |_| ()).unwrap();
        assert!(report.messages >= 2000 && report.messages == report.deliveries, "{report:?}");
        assert!(report.server.is_some_and(|server| server.us_per(report.messages) > 0.0), "{report:?}");
    }
}

#[test]
fn a_message_goes_to_everybody_with_what_stands_before_it() {
    let server = Server::start(BARE_FANOUT, &["--size", "61", "--prefix", "x: "]);
    for depth in [1, 4] {
        let report = fanout(&server.load(50, Form::Text, 61), Pace::InFlight(depth), &mut |_| ()).unwrap();
        assert!(report.messages >= 2000 && report.deliveries >= 50 * 2000, "{report:?}");
        assert_eq!(report.answer.map(|answer| answer.bytes), Some(64));
    }
    let report = chat(&server.load(16, Form::Text, 61), Pace::InFlight(100), &mut |_| ()).unwrap();
    assert_eq!((report.messages % 1600, report.deliveries), (0, 16 * report.messages), "{report:?}");
}

#[test]
fn idle_connections_are_weighed() {
    let server = Server::start(BARE_ECHO, &[]);
    let report = idle(&server.load(300, Form::Text, 20), Idle::default(), &mut |_| ()).unwrap();
    assert!(report.memory.is_some_and(|memory| memory.full > 0), "{report:?}");
}

/// The first core that this process may use.
fn a_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned();
    list.split([',', '-']).next().unwrap().to_owned()
}

#[test]
fn a_pinned_program_stays_on_its_core() {
    let core = a_core();
    let parent = std::process::id().to_string();
    let output = Command::new(PIN)
        .args(["--core", &core, "--parent", &parent, "--", "grep", "Cpus_allowed_list", "/proc/self/status"])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["Cpus_allowed_list:", &core]);
}

#[test]
fn a_pinned_program_does_not_outlive_its_parent() {
    let script = "\"$0\" --core \"$1\" --parent $$ -- sleep 600 & echo $!; wait";
    let mut shell = Command::new("sh").args(["-c", script, PIN, &a_core()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let program: u32 = line.trim().parse().unwrap();
    assert!(std::fs::exists(format!("/proc/{program}")).unwrap());
    shell.kill().unwrap();
    shell.wait().unwrap();
    // The program holds the other end of the pipe: its end is the pipe's.
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn a_program_whose_parent_is_already_gone_does_not_start() {
    // Whoever runs this test, it is not the system's first process.
    let output = Command::new(PIN).args(["--core", &a_core(), "--parent", "1", "--", "echo", "started"]).output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the parent is gone"));
}

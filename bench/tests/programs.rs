//! The programs against each other, as a measurement uses them: counted, not timed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const LOAD: &str = env!("CARGO_BIN_EXE_load");
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

    fn load(&self, arguments: &[&str]) -> Output {
        let pid = self.child.id().to_string();
        Command::new(LOAD).args(arguments).args(["--url", &self.url, "--pid", &pid, "--json"]).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// So many messages, without a warm-up; the time is a bound that no machine reaches.
const COUNTED: [&str; 6] = ["--warmup", "0", "--seconds", "60", "--messages", "2000"];

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} of {report}"))
}

#[test]
fn an_echo_is_checked_and_counted() {
    for (size, depth, binary) in [("20", "1", false), ("125", "16", false), ("126", "3", true), ("70000", "2", true)] {
        let kind: &[&str] = if binary { &["--binary"] } else { &[] };
        let server = Server::start(BARE_ECHO, &[&["--size", size], kind].concat());
        let arguments = [&["echo", "--connections", "7", "--size", size, "--depth", depth], kind, &COUNTED].concat();
        let report = report(&server.load(&arguments));
        assert!(number(&report, "messages") >= 2000.0, "{report}");
        assert_eq!(report["messages"], report["deliveries"], "{report}");
        assert!(number(&report, "server_us_per_message") > 0.0, "{report}");
    }
}

#[test]
fn a_fan_out_is_counted_by_message_and_by_delivery() {
    let server = Server::start(BARE_FANOUT, &["--size", "61", "--prefix", "x: "]);
    for depth in ["1", "4"] {
        let arguments =
            [&["fanout", "--connections", "50", "--size", "61", "--prefix", "x: ", "--depth", depth][..], &COUNTED].concat();
        let report = report(&server.load(&arguments));
        assert!(number(&report, "messages") >= 2000.0, "{report}");
        assert!(number(&report, "deliveries") >= 50.0 * 2000.0, "{report}");
    }
}

#[test]
fn a_chat_delivers_whole_bursts() {
    let server = Server::start(BARE_FANOUT, &["--prefix", "x: "]);
    let arguments = [&["chat", "--connections", "16", "--prefix", "x: "][..], &COUNTED].concat();
    let report = report(&server.load(&arguments));
    assert_eq!(number(&report, "messages") % 1600.0, 0.0, "{report}");
    assert_eq!(number(&report, "deliveries"), 16.0 * number(&report, "messages"), "{report}");
}

#[test]
fn idle_connections_are_weighed() {
    let server = Server::start(BARE_ECHO, &[]);
    let report = report(&server.load(&["idle", "--connections", "300"]));
    assert_eq!(number(&report, "connections"), 300.0);
    assert!(number(&report, "resident_after") > 0.0, "{report}");
    assert!(number(&report, "bytes_per_connection") >= 0.0, "{report}");
}

#[test]
fn a_wrong_answer_fails_the_run() {
    let server = Server::start(BARE_ECHO, &["--prefix", "y"]);
    let output = server.load(&[&["echo", "--prefix", "x"][..], &COUNTED].concat());
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("an answer differs"), "{message}");
}

#[test]
fn a_server_that_refuses_fails_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let refuse = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        // Until the load has seen it.
        while stream.read(&mut request).is_ok_and(|count| count > 0) {}
    });
    let pid = std::process::id().to_string();
    let output = Command::new(LOAD).args(["echo", "--connections", "1", "--url", &url, "--pid", &pid]).output().unwrap();
    refuse.join().unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("404 Not Found"), "{message}");
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

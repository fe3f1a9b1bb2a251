//! A running example: started on a free port, read line by line, ended with its test.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tidewire_kit::real::{self, PATIENCE};

/// A server that runs.
pub struct Example {
    program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A program that runs.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Example {
    /// Starts a server and waits until it listens.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// The same, with arguments.
    pub fn start_with(name: &str, arguments: &[&str]) -> Self {
        let program = Program::start(name, arguments);
        let line = program.line();
        let url = ["http://", "https://"].iter().find_map(|scheme| line.strip_prefix("listening on ")?.strip_prefix(scheme));
        let address = url.and_then(|url| url.strip_suffix('/')?.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{name} does not say where it listens: {line:?}"));
        Self { program, address }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        self.program.line()
    }

    /// Types a line into its standard input.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.program.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Program {
    /// Starts it.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(built(name))
            .args(arguments)
            .env("PORT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        // Read on a thread, so that a wait for a line is bounded and the pipe never fills.
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// Gives it these lines, and the end of its input.
    pub fn input(&mut self, lines: &str) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
    }

    /// Its next line.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line from the example: {error}"))
    }

    /// Waits until it ends by itself, with success; gives the lines that were not read.
    pub fn finish(mut self) -> Vec<String> {
        let mut status = None;
        real::wait_until("the end of the example", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}");
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built example, beside this test in the target folder.
fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.rs"));
    let changed = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    // A test that is chosen by its target (`--test`, `--tests`) does not build the examples.
    if changed(&program).is_none_or(|built| Some(built) < changed(&source)) {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "tidewire-examples", "--example", name]);
        let name = profile.file_name().unwrap().to_str().unwrap();
        cargo.args(["--profile", if name == "debug" { "dev" } else { name }]).arg("--target-dir").arg(profile.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "{cargo:?}");
    }
    program
}

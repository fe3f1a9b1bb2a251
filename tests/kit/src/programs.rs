//! Programs of others, as peers: whether they are here, and what they say. By hand a test whose program is missing says so and is left
//! out; with `TIDEWIRE_REQUIRE_PROGRAMS` set, as `cargo xtask test` does, it fails.

use crate::real::PATIENCE;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

/// Exactly this one, so that a test means the same on every machine.
const WEBSOCKETS: &str = "websockets==15.0.1";

/// Whether a program is there, by running it with arguments that do nothing. Says so when it is not.
///
/// # Panics
/// When it is missing and must not be.
#[must_use]
pub fn is_there(program: &str, arguments: &[&str]) -> bool {
    let found = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()) || missing(program)
}

fn missing(what: &str) -> bool {
    assert!(env::var_os("TIDEWIRE_REQUIRE_PROGRAMS").is_none(), "{what} is missing");
    println!("{what} is missing, so it is not tried");
    false
}

/// A Python with the package `websockets`, in an environment of its own beside what cargo builds, made by the first who asks. `None`
/// without a Python 3, or when the package cannot be had.
///
/// # Panics
/// When it is missing and must not be, or files cannot be written.
#[must_use]
pub fn python_with_websockets() -> Option<PathBuf> {
    if !is_there("python3", &["-c", "import ensurepip, venv"]) {
        return None;
    }
    // A test's program is target/PROFILE/deps/NAME.
    let test = env::current_exe().expect("a program has a path");
    let folder = test.ancestors().nth(3).expect("a test is in the target folder").join("python");
    std::fs::create_dir_all(&folder).expect("the target folder can be written to");
    let lock = File::create(folder.join("lock")).expect("the target folder can be written to");
    // Tests run beside each other, some in processes of their own.
    lock.lock().expect("files can be locked");
    let environment = folder.join(WEBSOCKETS);
    let python = environment.join("bin/python");
    if imports(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment).output();
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", WEBSOCKETS];
    for output in [made, Command::new(&python).args(install).output()] {
        println!(
            "{}",
            output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stderr).into_owned())
        );
    }
    (imports(&python) || missing(WEBSOCKETS)).then_some(python)
}

fn imports(python: &Path) -> bool {
    Command::new(python).args(["-c", "import websockets"]).output().is_ok_and(|output| output.status.success())
}

/// The folder of a package of npm that `package.json` in a folder of the repository asks for; `None` when it is not installed.
///
/// # Panics
/// When it is missing and must not be.
#[must_use]
pub fn npm_package(of: &str, name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(of).join("node_modules").join(name);
    (folder.is_dir() || missing(name)).then_some(folder)
}

/// A running program whose lines are read one by one, those of its standard output and of its errors together. It is ended with its value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program can be started");
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        for stream in stdout.into_iter().chain(stderr) {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let _nobody_reads = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            });
        }
        Self { child, lines }
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("its standard input is piped");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("it reads its standard input");
    }

    /// The next line that contains a text; those before it are gone.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`].
    pub fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {text:?}; so far {seen:#?}"),
            }
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_line_by_line() {
        let mut cat = Program::start(&mut Command::new("cat"));
        cat.write(b"one\ntwo\nthree\n");
        assert_eq!(cat.line_with("tw"), "two");
        assert_eq!(cat.line_with("thr"), "three");
        let mut sh = Program::start(Command::new("sh").args(["-c", "echo why >&2; exit 3"]));
        assert_eq!((sh.line_with("why").as_str(), sh.wait().code()), ("why", Some(3)));
    }

    #[test]
    fn what_is_there_is_found() {
        assert!(is_there("true", &[]));
    }
}

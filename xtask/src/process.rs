//! Programs that a command starts. Each has an owner that ends it: on an error, on a panic's unwinding, and on Ctrl-C.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};

/// How long a program may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on SIGINT and SIGTERM no longer end this process at once: whoever waits for a program notices, returns an
/// error, and every [`Running`] ends its program on the way out.
pub fn end_children_on_signals() -> Result {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("signal handler")?;
    }
    Ok(())
}

/// Whether the user asked for the end.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// A program that lives no longer than this value.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().context(format_args!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, when that was piped and has not been taken yet.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its errors, when they were piped and have not been taken yet.
    pub fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Its status once it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context(format_args!("waiting for {}", self.name))
    }

    /// Waits until it ends by itself; Ctrl-C is an error.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if interrupted() {
                return Err(Failure::new(format!("interrupted while {} was running", self.name)));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks it to end and waits until it has; after that long it is ended.
    pub fn end_within(&mut self, patience: Duration) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        ask_to_end(&self.child);
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end_within(GRACE);
    }
}

/// npm and cargo pass a SIGTERM on to what they run; a SIGKILL would orphan it.
#[cfg(unix)]
fn ask_to_end(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _already_gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_end(_child: &Child) {}

/// Runs a program in the foreground, its output going where ours goes.
pub fn run(command: &mut Command) -> Result {
    let line = shown(command);
    println!("$ {line}");
    let status = Running::start(command)?.wait()?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{line}: {status}"))) }
}

/// Runs a program to its end and gives its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.output().context(format_args!("cannot start {line}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{line}: {}\n{}", output.status, message.trim_end())));
    }
    String::from_utf8(output.stdout).context(line)
}

/// Whether a program can be started and says that all is well.
pub fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The cargo that runs us, so that a `+toolchain` is kept.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The compiler that this cargo calls.
pub fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// npm is a script on Windows, which `Command` finds only by its full name.
pub fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// The file that a name stands for on the search path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_stem().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    std::iter::once(name)
        .chain(command.get_args().map(OsStr::to_string_lossy).map(std::borrow::Cow::into_owned))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn exists(pid: u32) -> bool {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn a_running_program_ends_with_its_owner() {
        let running = Running::start(Command::new("sleep").arg("600")).unwrap();
        let pid = running.id();
        assert!(exists(pid));
        drop(running);
        assert!(!exists(pid));
    }

    #[test]
    fn a_program_ends_even_when_its_owner_panics() {
        let pid = std::sync::Mutex::new(0);
        let panicked = std::panic::catch_unwind(|| {
            let running = Running::start(Command::new("sleep").arg("600")).unwrap();
            *pid.lock().unwrap() = running.id();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert!(!exists(pid.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)));
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let failure = run(Command::new("sh").args(["-c", "exit 3"]).stdout(Stdio::null())).unwrap_err();
        assert!(failure.to_string().contains("sh -c exit 3"), "{failure}");
        let failure = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(failure.to_string().contains("why"), "{failure}");
    }

    #[test]
    fn the_search_path_is_searched() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-program-has-this-name").is_none());
    }
}

//! `tidewire doctor`: what this machine gives a server, line by line, and what to do where that is too little.
//!
//! Whatever can be tried is tried (a ring, a shared port, a certificate store); the rest is read from the kernel. Nothing is changed.

mod kernel;
mod limits;
mod program;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Fine,
    /// It works, and an operator may want to know.
    Note,
    /// A server will fail, or fail its users.
    Problem,
}

/// A line of the report.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    state: State,
    subject: &'static str,
    /// What was found.
    found: String,
    /// What to do; nothing, when all is well.
    advice: Option<String>,
}

impl Finding {
    fn fine(subject: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Fine, subject, found: found.into(), advice: None }
    }

    fn note(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Note, subject, found: found.into(), advice: Some(advice.into()) }
    }

    fn problem(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Problem, subject, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Prints the report; fails when there is a problem.
pub fn run() -> Result<ExitCode, Box<dyn Error>> {
    let findings: Vec<_> = [program::findings(), kernel::findings(), limits::findings()].into_iter().flatten().collect();
    print(&mut anstream::stdout().lock(), &findings)?;
    let healthy = findings.iter().all(|finding| finding.state != State::Problem);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for Finding { state, subject, found, advice } in findings {
        let (colour, word) = match state {
            State::Fine => ("\x1b[32m", "ok"),
            State::Note => ("\x1b[33m", "note"),
            State::Problem => ("\x1b[31m", "problem"),
        };
        writeln!(out, "{colour}{word:<8}\x1b[0m {subject:<18} {found}")?;
        if let Some(advice) = advice {
            writeln!(out, "{:<28}{advice}", "")?;
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    writeln!(out, "problems: {}, notes: {}", count(State::Problem), count(State::Note))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_is_and_what_to_do() {
        let findings =
            [Finding::fine("one", "good"), Finding::note("two", "so so", "try"), Finding::problem("three", "bad", "do")];
        let mut out = anstream::StripStream::new(Vec::new());
        print(&mut out, &findings).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected = ["ok one good", "note two so so", "try", "problem three bad", "do", "problems: 1, notes: 1"];
        assert_eq!(lines.iter().map(|words| words.join(" ")).collect::<Vec<_>>(), expected);
    }
}

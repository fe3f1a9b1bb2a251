//! `cargo xtask conformance`: the Autobahn test suite against a server and a client, by default Tidewire's. Every case must pass: one that
//! fails, is not implemented, is done in a way that the standard only tolerates, or ends with an unclean close fails the command.

mod setup;
mod suite;
mod verdict;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};
use crate::test::PROFILE;
use crate::workspace::Workspace;
use crate::{needs, node, process};
use setup::Wstest;
use suite::{Run, Shown};

/// How many cases the suite has. If one day it has others, that is to be noticed.
const ALL: usize = 517;
/// About a minute: everything but the long series of compressed messages, of which there are the shortest ones and one that is longer.
const QUICK: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*,12.1.1,12.2.2,12.3.3,12.4.4,12.5.5,12.5.12,\
                     13.1.1,13.2.2,13.3.3,13.4.4,13.5.5,13.6.6,13.7.7,13.3.12";

/// What to test.
#[derive(Args)]
pub struct Options {
    /// Only this side, in Rust; without, both and the npm package's client
    role: Option<Role>,
    /// Only these cases, for instance 6.*,12.1.1 or quick; all without
    cases: Option<String>,
    /// The cargo profile of what is tested
    #[arg(long, default_value = PROFILE)]
    profile: String,
    /// Another server or client: its command
    #[arg(last = true, requires = "role")]
    command: Vec<OsString>,
}

/// The side that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Server,
    Client,
}

/// Who is tested.
#[derive(Debug)]
pub struct Subject {
    pub role: Role,
    /// For reports.
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// Runs the suite as it was asked for.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let subjects = match (options.role, &options.command[..]) {
        (Some(role), [program, arguments @ ..]) => vec![Subject::other(role, program, arguments)],
        (Some(role), _) => built(workspace, &options.profile, Some(role))?,
        (None, _) => {
            let mut subjects = built(workspace, &options.profile, None)?;
            subjects.push(npm_package(workspace, &options.profile, Role::Client)?);
            subjects
        }
    };
    suite(workspace, &subjects, options.cases.as_deref())
}

/// The quick cases, on both sides and on both of the npm package: a step of `cargo xtask test`.
pub fn quick(workspace: &Workspace) -> Result {
    let mut subjects = built(workspace, PROFILE, None)?;
    for role in [Role::Server, Role::Client] {
        subjects.push(npm_package(workspace, PROFILE, role)?);
    }
    suite(workspace, &subjects, Some("quick"))
}

/// Runs cases on each subject, and closes with the sum.
fn suite(workspace: &Workspace, subjects: &[Subject], cases: Option<&str>) -> Result {
    let cases = patterns(cases);
    let wstest = Wstest::install(workspace)?;
    let (mut passed, mut failed, mut cut_short) = (0, 0, None);
    for subject in subjects {
        let folder = workspace.target.join("conformance").join(format!("{}-{}", subject.role.name(), subject.name));
        println!("{} {}, cases {}", subject.role.name(), subject.name, cases.join(","));
        let shown = Run { wstest: &wstest, subject, cases: &cases, folder: folder.clone() }.run()?;
        println!("{}", summary(&shown, &folder));
        passed += shown.outcomes.passed;
        failed += shown.outcomes.failures.len();
        let count = shown.outcomes.passed + shown.outcomes.failures.len();
        if cases == ["*"] && count != ALL {
            return Err(Failure::new(format!("the suite has {count} cases and not {ALL}: is it another version?")));
        }
        cut_short = cut_short.or(shown.cut_short);
    }
    println!("{passed} passed, {failed} failed");
    match (cut_short, failed) {
        (Some(failure), _) => Err(failure),
        (None, 0) => Ok(()),
        (None, _) => Err(Failure::new(format!("{failed} of {} cases of the Autobahn test suite failed", passed + failed))),
    }
}

/// `*` is everything.
fn patterns(cases: Option<&str>) -> Vec<String> {
    let cases = match cases {
        None | Some("all") => "*",
        Some("quick") => QUICK,
        Some(cases) => cases,
    };
    cases.split(',').map(str::trim).filter(|case| !case.is_empty()).map(str::to_owned).collect()
}

fn summary(shown: &Shown, folder: &Path) -> String {
    let outcomes = &shown.outcomes;
    let mut text = format!(
        "{} passed ({} of them informational), {} failed, {:.0} s; reports: {}",
        outcomes.passed,
        outcomes.informational,
        outcomes.failures.len(),
        shown.took.as_secs_f64(),
        folder.join("index.html").display(),
    );
    for failed in &outcomes.failures {
        let report = failed.report.as_deref().unwrap_or("no report");
        text += &format!("\n  {:<8} {}, close {}: {report}", failed.case, failed.behavior, failed.close);
    }
    text
}

/// Tidewire's echo with compression, and the client of tests/conformance.
fn built(workspace: &Workspace, profile: &str, role: Option<Role>) -> Result<Vec<Subject>> {
    let roles = role.map_or_else(|| vec![Role::Server, Role::Client], |role| vec![role]);
    let subject = |role: Role| {
        let (package, program, arguments) = match role {
            Role::Server => ("tidewire-cli", "tidewire", &["echo", "--compress", "--host", "127.0.0.1", "--port", "0"][..]),
            Role::Client => ("tidewire-conformance", "autobahn-client", &[][..]),
        };
        process::run(process::cargo().current_dir(&workspace.root).args(["build", "--profile", profile, "-p", package]))?;
        Ok(Subject {
            role,
            name: "tidewire".to_owned(),
            program: workspace.binary(profile, program),
            arguments: arguments.iter().map(OsString::from).collect(),
        })
    };
    roles.into_iter().map(subject).collect()
}

/// An echo on the npm package, or its client.
fn npm_package(workspace: &Workspace, profile: &str, role: Role) -> Result<Subject> {
    needs::node()?;
    node::build(workspace, profile)?;
    let script = match role {
        Role::Server => "tests/conformance/echo.mjs",
        Role::Client => "tests/conformance/client.cjs",
    };
    Ok(Subject::other(role, &"node".into(), &[workspace.root.join(script).into()]))
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl Subject {
    /// Named after its program.
    fn other(role: Role, program: &OsString, arguments: &[OsString]) -> Self {
        let program = PathBuf::from(program);
        let name = program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        Self { role, name, program, arguments: arguments.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::verdict::{Failed, Outcomes};
    use super::*;

    #[test]
    fn cases_are_chosen_by_pattern_by_word_or_not_at_all() {
        assert_eq!(patterns(None), ["*"]);
        assert_eq!(patterns(Some("6.*, 12.1.1,")), ["6.*", "12.1.1"]);
        let quick = patterns(Some("quick"));
        assert!(quick.iter().all(|case| !case.contains(' ')) && quick.contains(&"9.*".to_owned()), "{quick:?}");
        assert!(!quick.contains(&"*".to_owned()));
    }

    #[test]
    fn a_failed_case_is_named_with_its_report() {
        let failed = Failed {
            case: "6.4.1".into(),
            behavior: "NON-STRICT".into(),
            close: "OK".into(),
            report: Some("tidewire_case_6_4_1.html".into()),
        };
        let outcomes = Outcomes { passed: 2, informational: 1, failures: vec![failed] };
        let text = summary(&Shown { outcomes, took: Duration::from_secs(3), cut_short: None }, Path::new("there"));
        assert!(text.starts_with("2 passed (1 of them informational), 1 failed, 3 s; reports: there"), "{text}");
        assert!(text.contains("6.4.1    NON-STRICT, close OK: tidewire_case_6_4_1.html"), "{text}");
    }

    #[test]
    fn a_subject_of_others_is_named_after_its_program() {
        let subject = Subject::other(Role::Client, &"bin/node".into(), &["client.js".into()]);
        assert_eq!((subject.name.as_str(), subject.arguments.len()), ("node", 1));
    }
}

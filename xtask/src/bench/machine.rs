//! What was measured on, and with which versions.

use std::process::Command;

use super::who::{Programs, Who};
use crate::process;
use crate::workspace::Workspace;

/// The machine in one line: processor, cores, memory, kernel.
pub fn described() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = value(&processors, "model name").unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kilobytes: u64 =
        value(&memory, "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, {} GiB, Linux {}", kilobytes.div_ceil(1 << 20), release.trim_end())
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The day, as `date` says it.
pub fn today() -> String {
    process::output(Command::new("date").args(["-u", "+%F"])).map(|day| day.trim_end().to_owned()).unwrap_or_default()
}

/// What of ours is measured: the commit, and whether there are changes that it does not have.
pub fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| process::output(Command::new("git").current_dir(&workspace.root).args(arguments));
    let Ok(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".into() };
    // Results and plots are what this command itself writes.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results.*", ":!bench/plots"]);
    let mark = if changed.is_ok_and(|changed| changed.is_empty()) { "" } else { " with changes" };
    format!("{}{mark}", commit.trim_end())
}

/// The versions of those who have one.
pub fn versions(programs: &Programs, all: &[Who]) -> Vec<(Who, String)> {
    all.iter().filter_map(|&who| Some((who, programs.version(who)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name() {
        let text = "processor\t: 0\nmodel name\t: A Processor @ 2 GHz\n";
        assert_eq!(value(text, "model name"), Some("A Processor @ 2 GHz"));
        assert_eq!(value(text, "flags"), None);
    }
}

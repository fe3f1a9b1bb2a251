//! What the paths took when the baseline was written: a line for each, with its name and its count.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};

/// How far a count may be from the baseline's, in thousandths of it. Runs of one build differ by less than one; hash seeds and
/// another C library's copies by a few.
const TOLERANCE: u64 = 20;
/// The same where the compiler is another.
const TOLERANCE_OF_COMPILERS: u64 = 100;

/// Counts by name, and the compiler that they are of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    pub compiler: String,
    counts: BTreeMap<String, u64>,
}

/// How a count compares with the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// To the instruction.
    Same,
    /// Within the tolerance, by so many percent.
    Changed(f64),
    /// Outside of it. Fewer is as wrong: a later loss of what was won would not be seen.
    Away(f64),
    /// The baseline has none.
    New,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Changed(percent) => write!(f, "{percent:+.1} %"),
            Self::Away(percent) if *percent > 0.0 => write!(f, "{percent:+.1} %  MORE"),
            Self::Away(percent) => write!(f, "{percent:+.1} %  FEWER"),
            Self::New => f.write_str("NEW"),
        }
    }
}

const HEADING: &str = "# Instructions that the server's hot paths take, counted by callgrind: see bench/counts.\n\
                       # Written by: cargo xtask counts --update\n";
const COMPILER: &str = "# compiler: ";

impl Baseline {
    /// The file of this architecture.
    pub fn path(root: &Path) -> PathBuf {
        root.join("bench/baseline").join(format!("{}.txt", std::env::consts::ARCH))
    }

    /// Reads a file; `None` when there is none.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        if !file.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file).context(file.display())?;
        Self::parse(&text).map(Some).context(file.display())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut baseline = Self::default();
        for line in text.lines() {
            if let Some(compiler) = line.strip_prefix(COMPILER) {
                compiler.clone_into(&mut baseline.compiler);
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                let mut words = line.split_whitespace();
                let (Some(name), Some(Ok(count)), None) = (words.next(), words.next().map(str::parse), words.next()) else {
                    return Err(Failure::new(format!("a line is a name and a number, not {line:?}")));
                };
                baseline.counts.insert(name.to_owned(), count);
            }
        }
        Ok(baseline)
    }

    fn text(&self) -> String {
        let lines = self.counts.iter().map(|(name, count)| format!("{name:<22} {count:>8}\n"));
        format!("{HEADING}{COMPILER}{}\n\n{}", self.compiler, lines.collect::<String>())
    }

    pub fn write(&self, file: &Path) -> Result {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).context(folder.display())?;
        }
        std::fs::write(file, self.text()).context(file.display())?;
        println!("written: {}", file.display());
        Ok(())
    }

    pub fn count(&self, name: &str) -> Option<u64> {
        self.counts.get(name).copied()
    }

    pub fn set(&mut self, name: &str, count: u64) {
        self.counts.insert(name.to_owned(), count);
    }

    /// Forgets paths that there are no more.
    pub fn keep_only<'a>(&mut self, names: impl Iterator<Item = &'a str> + Clone) {
        self.counts.retain(|known, _| names.clone().any(|name| name == known));
    }

    /// Compares a count with the one of this baseline, which may be of another compiler.
    pub fn judge(&self, name: &str, now: u64, other_compiler: bool) -> Verdict {
        let Some(before) = self.count(name) else { return Verdict::New };
        let percent = (now as f64 / before as f64 - 1.0) * 100.0;
        let most = if other_compiler { TOLERANCE_OF_COMPILERS } else { TOLERANCE };
        match now.abs_diff(before) {
            0 => Verdict::Same,
            difference if difference * 1000 <= before * most => Verdict::Changed(percent),
            _ => Verdict::Away(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let mut baseline = Baseline { compiler: "rustc 1.95.0".into(), counts: BTreeMap::new() };
        baseline.set("echo-20", 1000);
        baseline.set("upgrade", 40_000);
        baseline
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Baseline::parse(&baseline().text()).unwrap(), baseline());
        assert!(Baseline::parse("echo-20 many\n").unwrap_err().to_string().contains("echo-20 many"));
        assert!(Baseline::parse("echo-20 1 2\n").is_err());
    }

    #[test]
    fn more_and_fewer_are_seen() {
        let baseline = baseline();
        assert_eq!(baseline.judge("echo-20", 1000, false), Verdict::Same);
        assert!(matches!(baseline.judge("echo-20", 1020, false), Verdict::Changed(_)));
        assert!(matches!(baseline.judge("echo-20", 1021, false), Verdict::Away(percent) if percent > 2.0));
        assert!(matches!(baseline.judge("echo-20", 979, false), Verdict::Away(percent) if percent < -2.0));
        assert!(matches!(baseline.judge("echo-20", 1100, true), Verdict::Changed(_)));
        assert_eq!(baseline.judge("other", 1, false), Verdict::New);
        assert!(baseline.judge("echo-20", 1500, true).to_string().contains("+50.0 %  MORE"));
    }

    #[test]
    fn paths_that_are_gone_are_forgotten() {
        let mut baseline = baseline();
        baseline.keep_only(["upgrade"].into_iter());
        assert_eq!((baseline.count("echo-20"), baseline.count("upgrade")), (None, Some(40_000)));
    }
}

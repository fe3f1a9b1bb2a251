//! What a process has used, as the kernel counts it.

use std::fs;
use std::io;
use std::time::Duration;

/// Where a CPU time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `/proc/PID/task/*/schedstat`: the time on a core of every living thread, in nanoseconds.
    Schedstat,
    /// `/proc/PID/stat`: user and system time in ticks of 10 ms, where the kernel has no schedstat.
    Stat,
}

impl Source {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schedstat => "schedstat",
            Self::Stat => "stat",
        }
    }

    /// The finest source that there is for a process.
    #[must_use]
    pub fn finest(pid: u32) -> Self {
        if fs::metadata(format!("/proc/{pid}/schedstat")).is_ok() { Self::Schedstat } else { Self::Stat }
    }
}

/// User and system time that a process has used so far, all its threads together.
///
/// # Errors
/// When the process is gone.
pub fn cpu_time(pid: u32, source: Source) -> io::Result<Duration> {
    match source {
        Source::Schedstat => {
            let mut sum = 0;
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread that has just ended is no error.
                if let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) {
                    sum += nanoseconds(&text)?;
                }
            }
            Ok(Duration::from_nanos(sum))
        }
        Source::Stat => Ok(Duration::from_millis(10 * ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)?)),
    }
}

fn nanoseconds(schedstat: &str) -> io::Result<u64> {
    schedstat.split_whitespace().next().and_then(|field| field.parse().ok()).ok_or_else(|| unreadable(schedstat))
}

/// Fields 14 and 15 of proc_pid_stat(5); the name in field 2 may contain anything, so count behind its last parenthesis.
fn ticks(stat: &str) -> io::Result<u64> {
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).ok_or_else(|| unreadable(stat))?;
    let times: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if times.len() == 2 { Ok(times.iter().sum()) } else { Err(unreadable(stat)) }
}

/// Resident memory of a process in bytes, without what is mapped from files: pages of a program that it comes to for the first time
/// are not what a connection takes.
///
/// # Errors
/// When the process is gone, or its memory is not ours to look at.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    // The counter behind `VmRSS` is kept per core and lags; the roll-up is counted when it is read.
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()).and_then(|field| field.parse().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| unreadable(&text))
}

fn unreadable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot read {:?}", text.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sources_are_read() {
        assert_eq!(nanoseconds("239929 0 3\n").unwrap(), 239_929);
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0 1 1 1";
        assert_eq!(ticks(stat).unwrap(), 300);
        assert!(nanoseconds("").is_err());
        assert!(ticks("42 (a) S 1").is_err());
    }

    #[test]
    fn the_time_of_a_process_grows_with_its_work() {
        let pid = std::process::id();
        let source = Source::finest(pid);
        let before = cpu_time(pid, source).unwrap();
        let mut number = 1u64;
        while cpu_time(pid, source).unwrap() < before + Duration::from_millis(20) {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
        }
    }

    #[test]
    fn memory_that_is_touched_is_counted() {
        let pid = std::process::id();
        let before = resident_bytes(pid).unwrap();
        let touched = std::hint::black_box(vec![1u8; 32 << 20]);
        assert!(resident_bytes(pid).unwrap() >= before + (16 << 20));
        drop(touched);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(cpu_time(u32::MAX, Source::Schedstat).is_err());
        assert!(resident_bytes(u32::MAX).is_err());
    }
}

//! What the system allows a server: descriptors, waiting connections, shared ports, locked memory.

use std::net::TcpListener;
use std::num::NonZero;
use std::thread;

use tidewire::sys::{Endpoint, Io, ListenOptions, Readiness};

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![cores(), ports(), ipv6()];
    #[cfg(unix)]
    findings.extend([descriptors(), locked_memory()]);
    findings.extend(number("/proc/sys/net/core/somaxconn").map(waiting));
    findings
}

/// A number that the kernel shows as a file; none where it does not.
fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn cores() -> Finding {
    match thread::available_parallelism().map(NonZero::get) {
        Ok(1) => Finding::fine("cores", "1: one worker is all that is of use"),
        Ok(cores) => Finding::fine("cores", format!("{cores}: --workers 0 takes all of them")),
        Err(error) => Finding::note("cores", format!("unknown: {error}"), "say how many workers there shall be: --workers"),
    }
}

#[cfg(unix)]
fn descriptors() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    judge_descriptors(limit.current, limit.maximum, number("/proc/sys/fs/nr_open"))
}

/// Below this a server of any size fails.
const FEW: u64 = 1024;
/// Below this somebody will wonder one day.
const ENOUGH: u64 = 65_536;

fn judge_descriptors(soft: Option<u64>, hard: Option<u64>, most: Option<u64>) -> Finding {
    let subject = "descriptors";
    let Some(soft) = soft else { return Finding::fine(subject, "no limit") };
    let highest = hard.into_iter().chain(most).min();
    let found = match highest {
        Some(hard) => format!("{soft}, may be raised to {hard}: one for each connection"),
        None => format!("{soft}, may be raised at will: one for each connection"),
    };
    let raise = "raise it: `ulimit -n 1000000` in a shell, LimitNOFILE= in a systemd unit, nofile in limits.conf";
    match soft {
        ..FEW => Finding::problem(subject, found, raise),
        FEW..ENOUGH => Finding::note(subject, found, format!("for more connections {raise}")),
        _ => Finding::fine(subject, found),
    }
}

fn waiting(most: u64) -> Finding {
    let wanted = u64::from(ListenOptions::default().backlog);
    let found = format!("somaxconn is {most}, a listener asks for {wanted}");
    match most < wanted {
        false => Finding::fine("waiting", found),
        true => Finding::note(
            "waiting",
            found,
            format!("when many connect at once some wait for a retry: `sysctl -w net.core.somaxconn={wanted}`"),
        ),
    }
}

/// Whether two sockets may listen on one port, which is how workers share it.
fn ports() -> Finding {
    let subject = "shared ports";
    match share_a_port() {
        Ok(()) => Finding::fine(subject, "SO_REUSEPORT works: the kernel spreads connections over the workers"),
        Err(error) => {
            let advice = "run one worker, or behind a proxy that spreads connections over several ports";
            Finding::problem(subject, format!("two listeners cannot share a port: {error}"), advice)
        }
    }
}

fn share_a_port() -> std::io::Result<()> {
    let mut io = Readiness::new()?;
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let first = io.listen(&Endpoint::Tcp(([127, 0, 0, 1], 0).into()), &shared)?;
    io.listen(&first.local, &shared).map(drop)
}

fn ipv6() -> Finding {
    match TcpListener::bind("[::1]:0") {
        Ok(_) => Finding::fine("IPv6", "there is a loopback to listen on"),
        Err(error) => Finding::note("IPv6", format!("cannot be listened on: {error}"), "listen on 0.0.0.0, as is the default"),
    }
}

#[cfg(unix)]
fn locked_memory() -> Finding {
    let found = match rustix::process::getrlimit(rustix::process::Resource::Memlock).current {
        Some(bytes) => format!("{} KiB", bytes / 1024),
        None => "no limit".to_owned(),
    };
    Finding::fine("locked memory", format!("{found}; Tidewire locks none"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn descriptors_are_a_problem_a_note_or_fine() {
        let state = |soft| judge_descriptors(soft, Some(1 << 20), Some(1 << 30)).state;
        assert_eq!(state(Some(256)), State::Problem);
        assert_eq!(state(Some(1024)), State::Note);
        assert_eq!(state(Some(65_536)), State::Fine);
        assert_eq!(state(None), State::Fine);
    }

    #[test]
    fn the_lower_of_two_ceilings_is_told() {
        assert!(judge_descriptors(Some(1024), None, Some(4096)).found.contains("raised to 4096"));
        assert!(judge_descriptors(Some(1024), Some(2048), Some(4096)).found.contains("raised to 2048"));
        assert!(judge_descriptors(Some(1024), None, None).found.contains("at will"));
    }

    #[test]
    fn a_short_queue_is_noted() {
        assert_eq!(waiting(128).state, State::Note);
        assert_eq!(waiting(4096).state, State::Fine);
    }
}

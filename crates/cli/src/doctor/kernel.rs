//! The way to the kernel: which backend a server takes, and whether io_uring could be used.

use std::io;

use tidewire::sys::choice::{Backend, Choice, Opened, VARIABLE};

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    let backend = judge_backend(Choice::from_environment().and_then(|choice| Ok((choice, choice.open()?))));
    #[cfg(target_os = "linux")]
    return vec![linux::version(), backend, linux::rings()];
    #[cfg(not(target_os = "linux"))]
    vec![backend]
}

/// Which way a server takes, and why.
fn judge_backend(opened: io::Result<(Choice, Opened)>) -> Finding {
    let subject = "I/O";
    let poller = if cfg!(target_os = "linux") { "epoll" } else { "this system's poller" };
    match opened {
        Err(error) => Finding::problem(subject, error.to_string(), "no server starts until this is put right"),
        Ok((_, Opened { refused: Some(reason), .. })) => Finding::note(
            subject,
            format!("readiness, by {poller}, although {VARIABLE} is uring: {reason}"),
            format!("unset {VARIABLE}, or give it what is missing: see io_uring"),
        ),
        Ok((choice, Opened { backend: Backend::Readiness, .. })) => {
            let why = if choice == Choice::Auto { "the default" } else { "as asked for" };
            Finding::fine(subject, format!("readiness, by {poller}: {why}"))
        }
        Ok((_, Opened { backend: Backend::Uring, .. })) => Finding::fine(subject, format!("io_uring: {VARIABLE} asks for it")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_way_is_told_with_its_reason() {
        let judge = |choice: Choice| judge_backend(choice.open().map(|opened| (choice, opened)));
        assert!(judge(Choice::Auto).found.ends_with("the default"));
        assert!(judge(Choice::Readiness).found.ends_with("as asked for"));
        let mut refused = Choice::Readiness.open().unwrap();
        refused.refused = Some("nobody knows".to_owned());
        let finding = judge_backend(Ok((Choice::Uring, refused)));
        assert!(finding.state == State::Note && finding.found.ends_with("nobody knows"), "{finding:?}");
        let wrong = "ring".parse::<Choice>().unwrap_err();
        assert_eq!(judge_backend(Err(wrong)).state, State::Problem);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt::Write;
    use std::fs;
    use std::io;

    use tidewire::sys::uring::Support;

    use super::{Finding, VARIABLE};

    pub(super) fn version() -> Finding {
        match fs::read_to_string("/proc/sys/kernel/osrelease") {
            Ok(release) => Finding::fine("kernel", format!("Linux {}", release.trim())),
            Err(error) => {
                Finding::note("kernel", format!("its version cannot be read: {error}"), "mount /proc for more than this")
            }
        }
    }

    /// What can forbid rings, besides a kernel that has none.
    #[derive(Debug, Default)]
    pub(super) struct Guards {
        /// `kernel.io_uring_disabled`: 1 is for all but a group, 2 for everybody.
        pub disabled: Option<u32>,
        /// The mode of seccomp: 2 is a filter, as of container runtimes.
        pub seccomp: Option<u32>,
    }

    impl Guards {
        fn read() -> Self {
            let number = |text: &str| text.trim().parse().ok();
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            Self {
                disabled: fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok().as_deref().and_then(number),
                seccomp: status.lines().find_map(|line| line.strip_prefix("Seccomp:")).and_then(number),
            }
        }
    }

    pub(super) fn rings() -> Finding {
        judge_rings(&Support::probe(), &Guards::read())
    }

    pub(super) fn judge_rings(support: &Support, guards: &Guards) -> Finding {
        let mut found = match support.verdict() {
            Ok(()) => format!("can be used, by {VARIABLE}=uring"),
            Err(reason) => format!("cannot be used: {reason}"),
        };
        if let Some(disabled) = guards.disabled {
            let _ = write!(found, "; io_uring_disabled is {disabled}");
        }
        found.push_str(match guards.seccomp {
            Some(2) => "; a seccomp filter is in force",
            _ => "; no seccomp filter",
        });
        match advice(support, guards) {
            None => Finding::fine("io_uring", found),
            Some(advice) => Finding::note("io_uring", found, advice),
        }
    }

    /// How it could be had, where it cannot.
    fn advice(support: &Support, guards: &Guards) -> Option<String> {
        let refused = support.ring.as_ref().err().map(io::Error::kind);
        Some(match (refused, guards) {
            (None, _) if support.verdict().is_ok() => return None,
            (None, _) => "readiness is used; a newer kernel has what is missing".to_owned(),
            (Some(_), Guards { disabled: Some(1 | 2), .. }) => {
                "readiness is used; the administrator may allow rings: `sysctl -w kernel.io_uring_disabled=0`".to_owned()
            }
            (Some(_), Guards { seccomp: Some(2), .. }) => {
                "readiness is used; allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile"
                    .to_owned()
            }
            (Some(_), _) => {
                "readiness is used; this kernel was built without io_uring, or a security module forbids it".to_owned()
            }
        })
    }

    #[cfg(test)]
    mod tests {
        use super::super::super::State;
        use super::*;

        fn refused() -> Support {
            let error = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
            Support { ring: error(), deferred: error(), operations: Vec::new(), buffers: error() }
        }

        #[test]
        fn what_forbids_rings_is_told_with_the_way_out() {
            let disabled = Guards { disabled: Some(2), seccomp: Some(2) };
            let finding = judge_rings(&refused(), &disabled);
            assert_eq!(finding.state, State::Note);
            assert!(finding.found.contains("io_uring_disabled is 2") && finding.advice.unwrap().contains("sysctl"));
            let filtered = Guards { disabled: Some(0), seccomp: Some(2) };
            assert!(judge_rings(&refused(), &filtered).advice.unwrap().contains("seccomp profile"));
            assert!(judge_rings(&refused(), &Guards::default()).advice.unwrap().contains("built without"));
        }

        #[test]
        fn a_kernel_that_lacks_something_is_told_so() {
            let mut support = Support { ring: Ok(()), deferred: Ok(()), operations: Vec::new(), buffers: Ok(()) };
            let guards = Guards { disabled: Some(0), seccomp: Some(0) };
            assert_eq!(judge_rings(&support, &guards).state, State::Fine);
            support.deferred = Err(io::ErrorKind::InvalidInput.into());
            assert!(judge_rings(&support, &guards).advice.unwrap().contains("newer kernel"));
        }
    }
}

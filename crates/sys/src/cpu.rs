//! Which cores the worker threads run on.
//!
//! A worker owns its sockets and its memory, so a thread that wanders between cores pays for it in cold caches. Pinning is an
//! option of the server, never a default: on a machine that is shared it can only hurt.

use std::io;

/// The cores on which the current thread may run, in ascending order.
///
/// Where the system cannot say, the cores that [`std::thread::available_parallelism`] counts, from 0.
///
/// # Errors
/// When the kernel refuses to tell.
pub fn allowed() -> io::Result<Vec<usize>> {
    platform::allowed()
}

/// Binds the current thread to one core, by its number in [`allowed`].
///
/// # Errors
/// `InvalidInput` when the core does not exist or may not be used; `Unsupported` where threads cannot be pinned (macOS).
///
/// # Examples
/// ```no_run
/// let cores = tidewire_sys::cpu::allowed()?;
/// tidewire_sys::cpu::pin_current_thread(cores[0])?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn pin_current_thread(core: usize) -> io::Result<()> {
    platform::pin_current_thread(core)
}

#[cfg(target_os = "linux")]
mod platform {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::io;

    pub fn allowed() -> io::Result<Vec<usize>> {
        let cores = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core)).collect())
    }

    pub fn pin_current_thread(core: usize) -> io::Result<()> {
        if core >= CpuSet::MAX_CPU {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no core {core}")));
        }
        let mut only = CpuSet::new();
        only.set(core);
        Ok(sched_setaffinity(None, &only)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::io;

    pub fn allowed() -> io::Result<Vec<usize>> {
        Ok((0..std::thread::available_parallelism()?.get()).collect())
    }

    pub fn pin_current_thread(_core: usize) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "threads cannot be pinned to a core on this system"))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core_and_the_others_keep_theirs() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            allowed().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
        assert_eq!(allowed().unwrap(), before);
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused() {
        assert_eq!(pin_current_thread(usize::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(pin_current_thread(1023).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

//! What of io_uring this process can use. Kernels are old, administrators and container runtimes forbid it: only asking tells.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;

use io_uring::{IoUring, Probe, opcode};

/// An operation of io_uring, and whether this kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// Its name, as in `IORING_OP_..`, in lower case.
    pub name: &'static str,
    /// Whether the kernel knows it.
    pub available: bool,
}

/// What was found when a ring was opened for a look; it is closed again.
///
/// # Examples
/// ```
/// use tidewire_sys::uring::Support;
///
/// match Support::probe().verdict() {
///     Ok(()) => println!("io_uring can be used"),
///     Err(reason) => println!("io_uring cannot be used: {reason}"),
/// }
/// ```
#[derive(Debug)]
pub struct Support {
    /// Whether the kernel gives a ring at all. `EPERM`: `kernel.io_uring_disabled` forbids it, or a seccomp filter; `ENOSYS`: the
    /// kernel was built without, or a filter says so.
    pub ring: io::Result<()>,
    /// Whether it gives one with a single issuer and deferred task work (Linux 6.1), which keeps completions from interrupting
    /// the worker.
    pub deferred: io::Result<()>,
    /// The operations that a worker would use.
    pub operations: Vec<Needed>,
    /// Whether it takes a ring of buffers (Linux 5.19), from which idle connections need none of their own.
    pub buffers: io::Result<()>,
}

/// The operations that a worker would use.
const NEEDED: [(&str, u8); 5] = [
    ("recv", opcode::Recv::CODE),
    ("send", opcode::Send::CODE),
    ("sendmsg", opcode::SendMsg::CODE),
    ("poll_add", opcode::PollAdd::CODE),
    ("async_cancel", opcode::AsyncCancel::CODE),
];

impl Support {
    /// Asks the kernel.
    #[must_use]
    pub fn probe() -> Self {
        let none = |error: io::Error| {
            let again = || Err(io::Error::from(error.kind()));
            let operations = NEEDED.map(|(name, _)| Needed { name, available: false }).to_vec();
            Self { deferred: again(), operations, buffers: again(), ring: Err(error) }
        };
        let ring: IoUring = match IoUring::new(8) {
            Ok(ring) => ring,
            Err(error) => return none(error),
        };
        let mut probe = Probe::new();
        // A kernel that cannot say what it knows (before 5.6) knows nothing that we need.
        let _ = ring.submitter().register_probe(&mut probe);
        let operations = NEEDED.map(|(name, code)| Needed { name, available: probe.is_supported(code) }).to_vec();
        let deferred: io::Result<IoUring> = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8);
        Self { ring: Ok(()), deferred: deferred.map(drop), operations, buffers: takes_buffers(&ring) }
    }

    /// Whether a worker could use io_uring; if not, why: a sentence to be shown.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn verdict(&self) -> Result<(), String> {
        if let Err(error) = &self.ring {
            return Err(format!("the kernel gives no ring: {error}"));
        }
        if let Some(missing) = self.operations.iter().find(|operation| !operation.available) {
            return Err(format!("this kernel lacks the operation {}", missing.name));
        }
        if let Err(error) = &self.deferred {
            return Err(format!("this kernel has no deferred task work, Linux 6.1 has: {error}"));
        }
        match &self.buffers {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("this kernel takes no ring of buffers, Linux 5.19 does: {error}")),
        }
    }
}

/// Whether the kernel takes a ring of buffers; it lies in a page of its own.
fn takes_buffers(ring: &IoUring) -> io::Result<()> {
    const PAGE: Layout = match Layout::from_size_align(4096, 4096) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };
    // SAFETY: the layout is not empty.
    let page = unsafe { alloc_zeroed(PAGE) };
    if page.is_null() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    // SAFETY: the page is ours and large enough for 8 entries of 16 bytes; it is freed below only after the kernel was told to
    // forget it, and nothing was ever received into it.
    let registered = unsafe { ring.submitter().register_buf_ring_with_flags(page as u64, 8, 0, 0) };
    let forgotten = registered.is_ok().then(|| ring.submitter().unregister_buf_ring(0));
    if !matches!(forgotten, Some(Err(_))) {
        // SAFETY: it was allocated above with the same layout, and the kernel does not know it (any more).
        unsafe { dealloc(page, PAGE) };
    }
    registered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able() -> Support {
        let operations = NEEDED.map(|(name, _)| Needed { name, available: true }).to_vec();
        Support { ring: Ok(()), deferred: Ok(()), operations, buffers: Ok(()) }
    }

    #[test]
    fn the_first_that_is_missing_is_named() {
        let refused = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(able().verdict(), Ok(()));
        let mut without = able();
        without.buffers = refused();
        assert!(without.verdict().unwrap_err().contains("5.19"));
        without.deferred = refused();
        assert!(without.verdict().unwrap_err().contains("6.1"));
        without.operations[3].available = false;
        assert!(without.verdict().unwrap_err().contains("poll_add"));
        without.ring = refused();
        assert!(without.verdict().unwrap_err().contains("no ring"));
    }
}

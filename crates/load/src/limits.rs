//! How many sockets a process may have.

use std::io;

use rustix::process::{Resource, Rlimit};

/// How many descriptors a program may have, where the system lets us say so.
const DESCRIPTORS: u64 = 1 << 20;

/// Makes room for as many descriptors as this process may have, and says how many that are.
///
/// # Errors
/// As `setrlimit(2)`.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    if let Some(current) = now.current.filter(|&current| current < DESCRIPTORS) {
        let maximum = Some(now.maximum.map_or(DESCRIPTORS, |most| most.max(DESCRIPTORS)));
        // Only root may raise the maximum.
        let all = Rlimit { current: Some(DESCRIPTORS), maximum };
        if rustix::process::setrlimit(Resource::Nofile, all).is_err() && now.maximum.is_none_or(|most| most > current) {
            rustix::process::setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum })?;
        }
    }
    Ok(rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_system_says_afterwards() {
        let limit = raise_descriptor_limit().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
        assert!(limit >= 256, "{limit}");
    }
}

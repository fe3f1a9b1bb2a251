//! How many connections a server has accepted and still has: of all workers together, and from each address. Workers meet here
//! when a connection comes and when it goes, and at no other time.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::limits::Limit;

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Census {
    total: AtomicUsize,
    neighbours: Mutex<HashMap<u64, u32, foldhash::fast::RandomState>>,
}

impl Census {
    /// Counts a connection in, unless there are so many already.
    pub fn admit(&self, peer: Option<SocketAddr>, most: usize, most_of_one: usize) -> Result<(), Limit> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= most {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::Connections);
        }
        let Some(origin) = peer.and_then(origin) else { return Ok(()) };
        let mut neighbours = self.lock();
        let count = neighbours.entry(origin).or_insert(0);
        if *count as usize >= most_of_one {
            drop_if_none(&mut neighbours, origin);
            drop(neighbours);
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::ConnectionsPerAddress);
        }
        *count += 1;
        Ok(())
    }

    /// Counts a connection out that was admitted.
    pub fn leave(&self, peer: Option<SocketAddr>) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        let Some(origin) = peer.and_then(origin) else { return };
        let mut neighbours = self.lock();
        if let Some(count) = neighbours.get_mut(&origin) {
            *count = count.saturating_sub(1);
        }
        drop_if_none(&mut neighbours, origin);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32, foldhash::fast::RandomState>> {
        // A panic cannot leave a number half changed.
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets an address that has no connection, and the memory of many that had some.
fn drop_if_none(neighbours: &mut HashMap<u64, u32, foldhash::fast::RandomState>, origin: u64) {
    if neighbours.get(&origin) == Some(&0) {
        neighbours.remove(&origin);
        if neighbours.capacity() > 1024 && neighbours.len() * 8 < neighbours.capacity() {
            neighbours.shrink_to_fit();
        }
    }
}

/// Whom an address stands for: itself, or with IPv6 its network of 64 bits, which is what one customer gets. `None` for this
/// machine itself.
fn origin(peer: SocketAddr) -> Option<u64> {
    match peer.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        // No IPv6 network begins so (0000::/8 is reserved): the two kinds cannot be taken for each other.
        IpAddr::V4(ip) => Some(0xffff_0000_0000 | u64::from(ip.to_bits())),
        IpAddr::V6(ip) => Some((ip.to_bits() >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(ip.parse().unwrap(), 4000))
    }

    #[test]
    fn everybody_is_counted_and_each_address_by_itself() {
        let census = Census::default();
        for _ in 0..2 {
            assert_eq!(census.admit(peer("192.0.2.1"), 4, 2), Ok(()));
        }
        assert_eq!(census.admit(peer("192.0.2.1"), 4, 2), Err(Limit::ConnectionsPerAddress));
        assert_eq!(census.admit(peer("::ffff:192.0.2.1"), 4, 2), Err(Limit::ConnectionsPerAddress), "the same, mapped");
        assert_eq!(census.admit(peer("192.0.2.2"), 4, 2), Ok(()));
        assert_eq!(census.admit(None, 4, 2), Ok(()));
        assert_eq!(census.admit(peer("192.0.2.3"), 4, 2), Err(Limit::Connections));
        census.leave(peer("192.0.2.1"));
        assert_eq!(census.admit(peer("192.0.2.1"), 4, 2), Ok(()));
        for gone in [peer("192.0.2.1"), peer("192.0.2.1"), peer("192.0.2.2"), None] {
            census.leave(gone);
        }
        assert_eq!(census.total.load(Ordering::Relaxed), 0);
        assert!(census.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_and_this_machine_none() {
        let census = Census::default();
        assert_eq!(census.admit(peer("2001:db8:1:2::1"), 100, 1), Ok(()));
        assert_eq!(census.admit(peer("2001:db8:1:2:ffff::9"), 100, 1), Err(Limit::ConnectionsPerAddress));
        assert_eq!(census.admit(peer("2001:db8:1:3::1"), 100, 1), Ok(()));
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!((census.admit(peer(ip), 100, 1), census.admit(peer(ip), 100, 1)), (Ok(()), Ok(())), "{ip}");
        }
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let census = Census::default();
        let crowd: Vec<_> = (0..100_000_u32).map(|ip| Some(SocketAddr::from((ip.to_be_bytes(), 1)))).collect();
        crowd.iter().for_each(|peer| assert_eq!(census.admit(*peer, usize::MAX, 1), Ok(())));
        crowd.iter().for_each(|peer| census.leave(*peer));
        assert!(census.lock().capacity() <= 1024);
    }
}

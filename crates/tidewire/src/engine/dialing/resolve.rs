//! Names to addresses: by the system's resolver, which blocks, so on threads of its own; and in which order to try them.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The most lookups at a time; more wait. A resolver that hangs must not take a thread for each attempt.
const MAX_THREADS: usize = 16;

type Done = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

struct Job {
    host: String,
    port: u16,
    done: Done,
}

/// What waits, and how many threads there are. A thread ends when there is nothing left for it.
struct Lookups {
    waiting: VecDeque<Job>,
    threads: usize,
}

static LOOKUPS: Mutex<Lookups> = Mutex::new(Lookups { waiting: VecDeque::new(), threads: 0 });

/// Looks a name up and calls `done` on another thread: with at least one address, in the order in which to try them, or with
/// the reason.
pub(super) fn look_up(host: String, port: u16, done: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static) {
    let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
    lookups.waiting.push_back(Job { host, port, done: Box::new(done) });
    if lookups.threads >= MAX_THREADS {
        return;
    }
    match thread::Builder::new().name("tidewire-resolver".to_owned()).spawn(work) {
        Ok(_) => lookups.threads += 1,
        // Another thread will do it; if there is none, nobody would.
        Err(error) if lookups.threads == 0 => {
            let stranded = std::mem::take(&mut lookups.waiting);
            drop(lookups);
            let reason = error.to_string();
            stranded.into_iter().for_each(|job| (job.done)(Err(io::Error::other(reason.clone()))));
        }
        Err(_) => {}
    }
}

fn work() {
    loop {
        let job = {
            let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
            match lookups.waiting.pop_front() {
                Some(job) => job,
                None => {
                    lookups.threads -= 1;
                    return;
                }
            }
        };
        (job.done)(resolve(&job.host, job.port));
    }
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses = interleave((host, port).to_socket_addrs()?);
    if addresses.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")) } else { Ok(addresses) }
}

/// The order in which to try addresses (RFC 8305, section 4): IPv6 first, then in turn, and within a family in the resolver's
/// order, which is that of RFC 6724. Each once.
pub(crate) fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (mut six, mut four) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let family = if address.is_ipv6() { &mut six } else { &mut four };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut order = Vec::with_capacity(six.len() + four.len());
    while !six.is_empty() || !four.is_empty() {
        order.extend(six.pop_front());
        order.extend(four.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn families_take_turns_and_the_sixth_begins() {
        let parse = |list: &str| list.split(' ').map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse("1.1.1.1:1 2.2.2.2:1 1.1.1.1:1 [::1]:1 3.3.3.3:1 [::2]:1");
        assert_eq!(interleave(given), parse("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 3.3.3.3:1"));
    }

    #[test]
    fn every_lookup_is_answered_also_more_than_there_are_threads() {
        let (send, receive) = mpsc::channel();
        for port in 0..100 {
            let send = send.clone();
            look_up("127.0.0.1".into(), port, move |found| send.send(found.unwrap()).unwrap());
        }
        let mut ports: Vec<u16> = (0..100).map(|_| receive.recv_timeout(Duration::from_secs(20)).unwrap()[0].port()).collect();
        ports.sort_unstable();
        assert_eq!(ports, (0..100).collect::<Vec<_>>());
        let send = send.clone();
        look_up("a name that is none".into(), 1, move |found| send.send(found.unwrap_or_default()).unwrap());
        assert_eq!(receive.recv_timeout(Duration::from_secs(60)).unwrap(), []);
    }
}

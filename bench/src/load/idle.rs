//! What an open connection costs a server in memory while nothing happens on it.

use std::io;
use std::time::Duration;

use super::Target;
use super::fleet::Fleet;
use super::open::{self, Early};
use super::report::Report;
use crate::meter::resident_bytes;

/// Connections before the first look: what a server allocates once, for the first of its connections, is not counted.
const FIRST: usize = 64;
/// Looks that must agree, and the time between them.
const LOOKS: usize = 4;
const BETWEEN: Duration = Duration::from_millis(50);
/// Looks after which memory that still moves is taken as it is.
const MOST_LOOKS: usize = 100;

pub fn run(target: &Target) -> io::Result<Report> {
    let before_any = resident_bytes(target.pid)?;
    let mut fleet = Fleet::open(
        &Target { connections: FIRST, url: target.url.clone(), prefix: target.prefix.clone(), ..*target },
        Early::None,
    )?;
    let before = settled(target.pid)?;
    open::open(&mut fleet, target, target.connections, Early::None)?;
    let after = settled(target.pid)?;
    Ok(Report::idle(target, before_any, after, after.saturating_sub(before)))
}

/// Resident memory once it has stopped to change.
fn settled(pid: u32) -> io::Result<u64> {
    let mut last = resident_bytes(pid)?;
    let mut same = 1;
    for _ in 0..MOST_LOOKS {
        std::thread::sleep(BETWEEN);
        let now = resident_bytes(pid)?;
        same = if now == last { same + 1 } else { 1 };
        last = now;
        if same == LOOKS {
            break;
        }
    }
    Ok(last)
}

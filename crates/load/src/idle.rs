//! What an open connection costs a server in memory while nothing happens on it, and whether it gives that back.

use std::time::{Duration, Instant};

use crate::error::{LoadError, Result};
use crate::fleet::Fleet;
use crate::meter::resident_bytes;
use crate::open::{self, Probe};
use crate::report::{Memory, Report};
use crate::{Load, Observer, Progress};

/// Connections before the first look: what a server allocates once, for the first of its connections, is not counted.
const FIRST: usize = 64;
/// Looks that must agree, and the time between them.
const LOOKS: usize = 4;
const BETWEEN: Duration = Duration::from_millis(50);
/// Looks after which memory that still moves is taken as it is.
const MOST_LOOKS: usize = 100;

/// How long a server may take to give back what closed connections held: many allocators do it a little later.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How idle connections are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Idle {
    /// How long to hold them open before they are closed.
    pub hold: Duration,
}

/// Opens connections, looks at the server's memory once it no longer changes, closes them, and looks again. Pings are answered meanwhile.
/// 64 connections, which come before the first look and stay until the last, are not counted.
///
/// # Errors
/// When the server cannot be reached, refuses, or closes; or its process cannot be looked at.
pub fn idle(load: &Load, how: Idle, observer: Observer<'_>) -> Result<Report> {
    let look = |observer: Observer<'_>, fleet: &mut Fleet| load.pid.map(|pid| settled(pid, fleet, observer)).transpose();
    let first_load = Load { connections: FIRST, ..load.clone() };
    let mut first = Fleet::open(&first_load, Probe::Nothing, observer)?;
    let before = look(observer, &mut first)?;
    let mut fleet = Fleet::new(load)?;
    let began = Instant::now();
    open::open(&mut fleet, load, load.connections, Probe::Nothing, observer)?;
    let opened_in = began.elapsed();
    let full = look(observer, &mut fleet)?;
    let began = Instant::now();
    while began.elapsed() < how.hold {
        observer(Progress::Measuring { elapsed: began.elapsed(), length: how.hold, count: load.connections as u64 });
        answer_pings(&mut fleet, BETWEEN.min(how.hold))?;
        answer_pings(&mut first, Duration::ZERO)?;
    }
    fleet.close();
    if load.pid.is_some() {
        wait(&mut first, AFTERWARDS)?;
    }
    let after = look(observer, &mut first)?;
    first.close();
    let memory = match (before, full, after) {
        (Some(before), Some(full), Some(after)) => Some(Memory { before, full, after }),
        _ => None,
    };
    Ok(Report::idle(load, opened_in, memory))
}

/// Resident memory once it has stopped to change.
fn settled(pid: u32, fleet: &mut Fleet, observer: Observer<'_>) -> Result<u64> {
    let mut last = resident_bytes(pid).map_err(LoadError::process(pid))?;
    let mut same = 1;
    for _ in 0..MOST_LOOKS {
        observer(Progress::Settling);
        wait(fleet, BETWEEN)?;
        let now = resident_bytes(pid).map_err(LoadError::process(pid))?;
        same = if now == last { same + 1 } else { 1 };
        last = now;
        if same == LOOKS {
            break;
        }
    }
    Ok(last)
}

/// Lets time pass, and answers pings.
fn wait(fleet: &mut Fleet, length: Duration) -> Result {
    let until = Instant::now() + length;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        answer_pings(fleet, left)?;
    }
    Ok(())
}

fn answer_pings(fleet: &mut Fleet, wait: Duration) -> Result {
    for event in 0..fleet.wait(wait)? {
        fleet.serve(event)?;
    }
    Ok(())
}

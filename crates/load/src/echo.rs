//! Every connection sends, and the server sends each message back to who sent it.

use std::time::Duration;

use crate::error::{LoadError, Result};
use crate::fleet::Fleet;
use crate::flight::Flight;
use crate::open::Probe;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::window::{Measured, Silence, Window};
use crate::{Load, Observer, Pace};

/// How long a wait is at most, so that silence is noticed.
pub(crate) const WAIT: Duration = Duration::from_millis(200);

/// Measures a server that sends every message back to who sent it.
///
/// # Errors
/// When the server cannot be reached, refuses, closes, or answers wrongly or not at all.
pub fn echo(load: &Load, pace: Pace, observer: Observer<'_>) -> Result<Report> {
    pace.check()?;
    let mut fleet = Fleet::open(load, Probe::Each, observer)?;
    let measured = run(&mut fleet, load, pace, observer)?;
    let report = Report::of("echo", load, Some(pace), fleet.answer(), &measured)?;
    fleet.close();
    Ok(report)
}

fn run(fleet: &mut Fleet, load: &Load, pace: Pace, observer: Observer<'_>) -> Result<Measured> {
    let connections = fleet.links.len();
    let mut flights: Vec<_> = (0..connections).map(|_| Flight::new(1)).collect();
    let mut window = Window::new(load, 1, observer)?;
    let mut silence = Silence::new();
    let (mut sent, mut answers) = (0, 0);
    let mut schedule = match pace {
        Pace::PerSecond(rate) => Some(Schedule::new(rate, window.clock.now())),
        Pace::InFlight(depth) => {
            for (number, flight) in flights.iter_mut().enumerate() {
                flight.launch(window.clock.now(), depth);
                fleet.send(number, depth)?;
            }
            sent = (connections * depth) as u64;
            None
        }
    };
    loop {
        let pause = schedule.as_ref().map_or(WAIT, |schedule| schedule.pause(window.clock.now()).min(WAIT));
        let events = fleet.wait(pause)?;
        silence.check(events, sent > answers)?;
        for event in 0..events {
            let (number, frames) = fleet.serve(event)?;
            if frames == 0 {
                continue;
            }
            let now = window.clock.now();
            let landed = flights[number].arrived(0, frames, |at, count| window.record(at, now, count));
            landed.ok_or_else(|| LoadError::answer(number, "more answers came than messages were sent"))?;
            answers += frames as u64;
            if schedule.is_none() {
                flights[number].launch(now, frames);
                fleet.send(number, frames)?;
                sent += frames as u64;
            }
        }
        let now = window.clock.now();
        while let Some((at, index)) = schedule.as_mut().and_then(|schedule| schedule.next(now)) {
            let number = usize::try_from(index % connections as u64).unwrap_or_default();
            flights[number].launch(at, 1);
            fleet.send(number, 1)?;
            sent += 1;
            schedule.as_ref().map_or(Ok(()), |schedule| schedule.check(answers))?;
        }
        if let Some(measured) = window.update(now, answers)? {
            return Ok(measured);
        }
    }
}

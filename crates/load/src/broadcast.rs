//! The server sends everything to everybody, the sender included.

use crate::echo::WAIT;
use crate::error::{LoadError, Result};
use crate::fleet::Fleet;
use crate::flight::Flight;
use crate::open::Probe;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::window::{Measured, Silence, Window};
use crate::{Load, Observer, Pace};

/// Measures a room in which everybody speaks: with a number in flight every connection sends its share of a burst at once, and the next
/// burst begins when the last delivery has arrived; with a rate the connections take turns.
///
/// # Errors
/// When the server cannot be reached, refuses, closes, or answers wrongly or not to everybody.
pub fn chat(load: &Load, pace: Pace, observer: Observer<'_>) -> Result<Report> {
    run("chat", load, pace, load.connections, observer)
}

/// Measures a room in which one connection speaks: with a number in flight the next message goes out when one has reached everybody.
///
/// # Errors
/// When the server cannot be reached, refuses, closes, or answers wrongly or not to everybody.
pub fn fanout(load: &Load, pace: Pace, observer: Observer<'_>) -> Result<Report> {
    run("fanout", load, pace, 1, observer)
}

fn run(name: &'static str, load: &Load, pace: Pace, senders: usize, observer: Observer<'_>) -> Result<Report> {
    pace.check()?;
    let mut fleet = Fleet::open(load, Probe::Everybody, observer)?;
    let window = Window::new(load, fleet.links.len(), observer)?;
    let room = Room::new(&mut fleet, window, senders);
    let measured = match pace {
        Pace::InFlight(share) if senders > 1 => room.bursts(share)?,
        Pace::InFlight(depth) => room.one_after_the_other(depth)?,
        Pace::PerSecond(rate) => room.at_rate(rate)?,
    };
    let report = Report::of(name, load, Some(pace), fleet.answer(), &measured)?;
    fleet.close();
    Ok(report)
}

struct Room<'a> {
    fleet: &'a mut Fleet,
    window: Window<'a>,
    flight: Flight,
    silence: Silence,
    senders: usize,
    deliveries: u64,
}

impl<'a> Room<'a> {
    fn new(fleet: &'a mut Fleet, window: Window<'a>, senders: usize) -> Self {
        let flight = Flight::new(fleet.links.len());
        Self { fleet, window, flight, silence: Silence::new(), senders, deliveries: 0 }
    }

    /// Waits, receives, and gives how many messages have now reached everybody.
    fn turn(&mut self, pause: std::time::Duration) -> Result<usize> {
        let events = self.fleet.wait(pause)?;
        self.silence.check(events, !self.flight.is_empty())?;
        let mut landed = 0;
        for event in 0..events {
            let (number, frames) = self.fleet.serve(event)?;
            if frames > 0 {
                let now = self.window.clock.now();
                let arrived = self.flight.arrived(number, frames, |at, count| self.window.record(at, now, count));
                landed += arrived.ok_or_else(|| LoadError::answer(number, "a message came that nobody sent"))?;
                self.deliveries += frames as u64;
            }
        }
        Ok(landed)
    }

    fn bursts(mut self, share: usize) -> Result<Measured> {
        loop {
            if self.flight.is_empty() {
                // Only between bursts is every message that was sent also delivered, so only here the two can be compared.
                let now = self.window.clock.now();
                if let Some(measured) = self.window.update(now, self.deliveries)? {
                    return Ok(measured);
                }
                self.flight.launch(now, share * self.senders);
                for number in 0..self.senders {
                    self.fleet.send(number, share)?;
                }
            }
            self.turn(WAIT)?;
        }
    }

    fn one_after_the_other(mut self, depth: usize) -> Result<Measured> {
        let mut missing = depth;
        loop {
            let now = self.window.clock.now();
            if let Some(measured) = self.window.update(now, self.deliveries)? {
                return Ok(measured);
            }
            if missing > 0 {
                // Each by itself: the next goes out when one has landed, not when all have.
                (0..missing).for_each(|_| self.flight.launch(now, 1));
                self.fleet.send(0, missing)?;
            }
            missing = self.turn(WAIT)?;
        }
    }

    fn at_rate(mut self, rate: f64) -> Result<Measured> {
        let mut schedule = Schedule::new(rate, self.window.clock.now());
        let mut landed = 0;
        loop {
            let now = self.window.clock.now();
            if let Some(measured) = self.window.update(now, self.deliveries)? {
                return Ok(measured);
            }
            while let Some((at, index)) = schedule.next(now) {
                self.flight.launch(at, 1);
                let number = usize::try_from(index % self.senders as u64).unwrap_or_default();
                self.fleet.send(number, 1)?;
                schedule.check(landed)?;
            }
            landed += self.turn(schedule.pause(now).min(WAIT))? as u64;
        }
    }
}

//! Handshakes: connections that are opened and closed again.

use std::time::Duration;

use crate::error::{LoadError, Result, connecting};
use crate::fleet::Fleet;
use crate::handshake::{self, Handshake, Step, Terms};
use crate::poller::EventFlags;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::stream::Stream;
use crate::window::{Measured, Silence, Window};
use crate::{Load, Observer};

/// How long a wait is at most, so that silence is noticed.
const WAIT: Duration = Duration::from_millis(200);

/// Measures handshakes, TLS included: `connections` of them are under way at a time, and the next begins when one is over and its
/// connection cut off; with a rate so many begin each second, as soon as fewer than that are under way.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn connect(load: &Load, per_second: Option<f64>, observer: Observer<'_>) -> Result<Report> {
    let mut fleet = Fleet::new(load)?;
    let request = handshake::request(load);
    let terms = Terms { request: &request, deflate: load.deflate, url: &load.url };
    let window = Window::new(load, 1, observer)?;
    let free = (0..load.connections).rev().collect();
    let slots = (0..load.connections).map(|_| None).collect();
    let pool = Pool { fleet: &mut fleet, terms, window, slots, free, done: 0, silence: Silence::new() };
    let measured = pool.run(per_second)?;
    Report::of("connect", load, per_second.map(crate::Pace::PerSecond), None, &measured)
}

/// A handshake under way, since when it was due.
struct Slot {
    stream: Stream,
    handshake: Handshake,
    watched: EventFlags,
    due: u64,
}

struct Pool<'a> {
    fleet: &'a mut Fleet,
    terms: Terms<'a>,
    window: Window<'a>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    done: u64,
    silence: Silence,
}

impl Pool<'_> {
    fn run(mut self, per_second: Option<f64>) -> Result<Measured> {
        if let Some(rate) = per_second {
            crate::Pace::PerSecond(rate).check()?;
        }
        let mut schedule = per_second.map(|rate| Schedule::new(rate, self.window.clock.now()));
        loop {
            let now = self.window.clock.now();
            if let Some(measured) = self.window.update(now, self.done)? {
                return Ok(measured);
            }
            while let Some(&number) = self.free.last() {
                let due = match &mut schedule {
                    None => now,
                    Some(schedule) => match schedule.next(now) {
                        None => break,
                        Some((at, _)) => at,
                    },
                };
                self.free.pop();
                self.begin(number, due)?;
            }
            let pause = match &schedule {
                Some(schedule) if !self.free.is_empty() => schedule.pause(now).min(WAIT),
                _ => WAIT,
            };
            let events = self.fleet.wait(pause)?;
            let under_way = self.free.len() < self.slots.len();
            if self.silence.check(events, under_way).is_err() {
                return Err(self.failed(format!("the server has not answered a handshake for {} s", Silence::PATIENCE.as_secs())));
            }
            for event in 0..events {
                self.step(self.fleet.poller.event(event).0)?;
            }
        }
    }

    fn failed(&self, reason: String) -> LoadError {
        let reason = match self.done {
            0 => reason,
            done => format!("{reason} (after {done} handshakes)"),
        };
        LoadError::Open { open: 0, wanted: self.slots.len(), reason }
    }

    fn begin(&mut self, number: usize, due: u64) -> Result {
        let stream = Stream::connect(self.fleet.address, number, self.fleet.security.as_ref());
        let stream = stream.map_err(|error| self.failed(connecting(&error, self.terms.url)))?;
        let watched = EventFlags::IN | EventFlags::OUT;
        self.fleet.poller.add(stream.socket(), number, watched)?;
        self.slots[number] = Some(Slot { stream, handshake: Handshake::default(), watched, due });
        Ok(())
    }

    fn step(&mut self, number: usize) -> Result {
        let Some(slot) = &mut self.slots[number] else { return Ok(()) };
        match slot.handshake.step(&mut slot.stream, &self.terms, &mut self.fleet.buffer) {
            Err(reason) => Err(self.failed(reason)),
            Ok(Step::Wait(flags)) => {
                if slot.watched != flags {
                    slot.watched = flags;
                    self.fleet.poller.change(slot.stream.socket(), number, flags)?;
                }
                Ok(())
            }
            Ok(Step::Open(_)) => {
                self.window.record(slot.due, self.window.clock.now(), 1);
                self.done += 1;
                // Its descriptor leaves the poller with it.
                self.slots[number] = None;
                self.free.push(number);
                Ok(())
            }
        }
    }
}

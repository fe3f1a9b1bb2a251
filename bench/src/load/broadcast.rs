//! The server sends everything to everybody, the sender included.

use std::collections::VecDeque;
use std::io;

use super::fleet::Fleet;
use super::window::{Measured, Window};
use super::{Measure, Target};

/// Bursts: every connection sends its share at once, and the next burst begins when the last delivery has arrived.
pub fn chat(fleet: &mut Fleet, target: &Target, measure: &Measure, share: usize) -> io::Result<Measured> {
    let connections = fleet.links.len();
    if share == 0 {
        return Err(io::Error::other("a burst has at least one message for each connection"));
    }
    let burst = (share * connections * connections) as u64;
    let mut window = Window::new(target, measure, connections)?;
    let (mut deliveries, mut due) = (0, 0);
    loop {
        if deliveries == due {
            // Only between bursts is every message that was sent also delivered, so only here the two can be compared.
            if let Some(measured) = window.update(deliveries)? {
                return Ok(measured);
            }
            for number in 0..connections {
                fleet.send(number, share)?;
            }
            due += burst;
        }
        for event in 0..fleet.wait()? {
            deliveries += fleet.serve(event)?.1 as u64;
        }
    }
}

/// One sender: the next message goes out when one has reached everybody.
pub fn fanout(fleet: &mut Fleet, target: &Target, measure: &Measure, depth: usize) -> io::Result<Measured> {
    let connections = fleet.links.len();
    let mut window = Window::new(target, measure, connections)?;
    let mut flight = Flight::new(connections);
    flight.launch(depth);
    fleet.send(0, depth)?;
    loop {
        for event in 0..fleet.wait()? {
            let (number, frames) = fleet.serve(event)?;
            let landed = flight.arrived(number, frames).ok_or_else(|| io::Error::other("a message came that nobody sent"))?;
            if landed > 0 {
                flight.launch(landed);
                fleet.send(0, landed)?;
            }
        }
        if let Some(measured) = window.update(flight.deliveries)? {
            return Ok(measured);
        }
    }
}

/// Messages on their way to everybody.
struct Flight {
    connections: usize,
    /// Messages that each connection has received.
    received: Vec<u64>,
    /// Receivers that each message in flight still lacks, the oldest first.
    missing: VecDeque<usize>,
    /// Messages that have reached everybody.
    landed: u64,
    deliveries: u64,
}

impl Flight {
    fn new(connections: usize) -> Self {
        Self { connections, received: vec![0; connections], missing: VecDeque::new(), landed: 0, deliveries: 0 }
    }

    fn launch(&mut self, messages: usize) {
        self.missing.extend(std::iter::repeat_n(self.connections, messages));
    }

    /// Counts what a connection received; gives how many messages have now reached everybody, or `None` for one that is not
    /// in flight.
    fn arrived(&mut self, number: usize, frames: usize) -> Option<usize> {
        for _ in 0..frames {
            let index = usize::try_from(self.received[number] - self.landed).ok()?;
            *self.missing.get_mut(index)? -= 1;
            self.received[number] += 1;
            self.deliveries += 1;
        }
        let mut landed = 0;
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            landed += 1;
        }
        self.landed += landed as u64;
        Some(landed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lands_when_the_last_receiver_has_it() {
        let mut flight = Flight::new(3);
        flight.launch(2);
        assert_eq!(flight.arrived(0, 2), Some(0));
        assert_eq!(flight.arrived(1, 2), Some(0));
        assert_eq!(flight.arrived(2, 1), Some(1));
        flight.launch(1);
        assert_eq!(flight.arrived(2, 2), Some(1));
        assert_eq!((flight.deliveries, flight.landed), (7, 2));
    }

    #[test]
    fn a_message_that_was_not_sent_is_noticed() {
        let mut flight = Flight::new(2);
        flight.launch(1);
        assert_eq!(flight.arrived(0, 2), None);
    }
}

//! Every connection keeps its messages in flight: an answer is followed by the next message at once.

use std::io;

use super::fleet::Fleet;
use super::window::{Measured, Window};
use super::{Measure, Target};

pub fn run(fleet: &mut Fleet, target: &Target, measure: &Measure, depth: usize) -> io::Result<Measured> {
    for number in 0..fleet.links.len() {
        fleet.send(number, depth)?;
    }
    let mut window = Window::new(target, measure, 1)?;
    let mut answers = 0;
    loop {
        for event in 0..fleet.wait()? {
            let (number, frames) = fleet.serve(event)?;
            if frames > 0 {
                answers += frames as u64;
                fleet.send(number, frames)?;
            }
        }
        if let Some(measured) = window.update(answers)? {
            return Ok(measured);
        }
    }
}

//! The timer wheel: one deadline per connection, in ticks of a second.
//!
//! A deadline that moves later is not moved here: the connection stores the new one, and is asked again when the old one comes
//! (lazy re-arming, so that a message costs one store). Entries are links of lists, one list for each tick of the wheel, so
//! that a closed connection leaves nothing behind.

/// A point of the worker's time in whole seconds.
pub(crate) type Tick = u32;

const SLOTS: usize = 256;
const NIL: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    next: u32,
    previous: u32,
    /// Which list it is in; `NIL` when in none.
    slot: u32,
}

#[derive(Debug)]
pub(crate) struct Wheel {
    heads: [u32; SLOTS],
    links: Vec<Link>,
    armed: usize,
    /// Everything before this tick has been expired.
    now: Tick,
}

impl Wheel {
    pub fn new(now: Tick) -> Self {
        Self { heads: [NIL; SLOTS], links: Vec::new(), armed: 0, now }
    }

    /// Arms the timer of the connection at `index` of the table. A deadline further than the wheel comes early, and is armed again then.
    pub fn arm(&mut self, index: u32, deadline: Tick) {
        self.disarm(index);
        if self.links.len() <= index as usize {
            self.links.resize(index as usize + 1, Link { next: NIL, previous: NIL, slot: NIL });
        }
        let tick = deadline.clamp(self.now, self.now + SLOTS as u32 - 1);
        let slot = tick as usize % SLOTS;
        let next = std::mem::replace(&mut self.heads[slot], index);
        if next != NIL {
            self.links[next as usize].previous = index;
        }
        self.links[index as usize] = Link { next, previous: NIL, slot: slot as u32 };
        self.armed += 1;
    }

    /// Forgets the timer of the connection at `index`.
    pub fn disarm(&mut self, index: u32) {
        let Some(&link) = self.links.get(index as usize) else { return };
        if link.slot == NIL {
            return;
        }
        match link.previous {
            NIL => self.heads[link.slot as usize] = link.next,
            previous => self.links[previous as usize].next = link.next,
        }
        if link.next != NIL {
            self.links[link.next as usize].previous = link.previous;
        }
        self.links[index as usize].slot = NIL;
        self.armed -= 1;
    }

    /// Takes out all whose tick is at or before `now`.
    pub fn expire(&mut self, now: Tick, expired: &mut Vec<u32>) {
        let last = now.min(self.now.saturating_add(SLOTS as u32 - 1));
        for tick in self.now..=last {
            while self.heads[tick as usize % SLOTS] != NIL {
                let head = self.heads[tick as usize % SLOTS];
                self.disarm(head);
                expired.push(head);
            }
        }
        self.now = self.now.max(now.saturating_add(1));
    }

    /// The tick of the earliest timer.
    pub fn next(&self) -> Option<Tick> {
        if self.armed == 0 {
            return None;
        }
        (self.now..self.now + SLOTS as u32).find(|tick| self.heads[*tick as usize % SLOTS] != NIL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_their_tick_and_not_before() {
        let mut wheel = Wheel::new(100);
        wheel.arm(3, 105);
        wheel.arm(4, 105);
        wheel.arm(5, 101);
        wheel.arm(4, 107);
        assert_eq!(wheel.next(), Some(101));
        let mut expired = Vec::new();
        wheel.expire(104, &mut expired);
        assert_eq!(expired, [5]);
        wheel.expire(106, &mut expired);
        assert_eq!(expired, [5, 3]);
        wheel.disarm(4);
        wheel.expire(1000, &mut expired);
        assert_eq!((expired.len(), wheel.next()), (2, None));
    }

    #[test]
    fn a_deadline_in_the_past_or_far_away_is_never_lost() {
        let mut wheel = Wheel::new(50);
        let mut expired = Vec::new();
        wheel.expire(60, &mut expired);
        wheel.arm(1, 10);
        wheel.arm(2, 100_000);
        assert_eq!(wheel.next(), Some(61));
        wheel.expire(61, &mut expired);
        assert_eq!(expired, [1]);
        wheel.expire(61 + SLOTS as u32, &mut expired);
        assert_eq!(expired, [1, 2], "the far one comes early, to be armed again");
        wheel.expire(1_000_000, &mut expired);
        wheel.arm(7, 1_000_001);
        wheel.expire(1_000_001, &mut expired);
        assert_eq!(expired, [1, 2, 7]);
    }
}

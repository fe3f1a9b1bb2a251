//! The servers of this process that share a port, in one thread or in several: they are one group, with one set of topics.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tidewire::engine::Group;
use tidewire::sys::Endpoint;

/// Groups by where they listen, and how many servers each has. Shared by all threads of the process: an addon is loaded once.
static GROUPS: Mutex<Option<HashMap<String, (Group, usize)>>> = Mutex::new(None);

fn groups() -> MutexGuard<'static, Option<HashMap<String, (Group, usize)>>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server's place in its group.
pub struct Membership {
    pub group: Group,
    pub place: usize,
    /// Where the group listens, if others may join it.
    shared: Option<String>,
}

impl Membership {
    /// A group of one, that nobody joins.
    pub fn alone(waker: Waker) -> Self {
        Self { group: Group::new(vec![waker]), place: 0, shared: None }
    }

    /// A place among those who listen here; `None` when there are too many.
    pub fn shared(endpoint: &Endpoint, waker: Waker) -> Option<Self> {
        let key = endpoint.to_string();
        let mut groups = groups();
        let (group, members) = groups.get_or_insert_default().entry(key.clone()).or_insert_with(|| (Group::new(vec![]), 0));
        let place = group.join(waker)?;
        *members += 1;
        Some(Self { group: group.clone(), place, shared: Some(key) })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let Some(key) = self.shared.take() else { return };
        let mut groups = groups();
        let Some(groups) = &mut *groups else { return };
        if let Some((_, members)) = groups.get_mut(&key) {
            *members -= 1;
            if *members == 0 {
                groups.remove(&key);
            }
        }
    }
}

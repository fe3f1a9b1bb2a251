//! What handlers were told, in the order in which they were told it.

use std::sync::{Arc, Mutex, PoisonError};

/// A list that handlers write and the test reads. Clones share it; handlers of any thread may hold one.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// Adds a note.
    pub fn add(&self, note: impl Into<String>) {
        // A handler that panicked on purpose leaves the list as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note.into());
    }

    /// All notes.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All notes, which are gone then.
    #[allow(clippy::must_use_candidate)] // a test may want them gone and no more
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many notes are exactly this.
    #[must_use]
    pub fn count(&self, note: &str) -> usize {
        self.all().iter().filter(|known| *known == note).count()
    }

    /// Whether there is such a note.
    #[must_use]
    pub fn has(&self, note: &str) -> bool {
        self.count(note) > 0
    }
}

//! The one error of these commands: a sentence for the person who ran them.

use std::fmt;

/// What went wrong, and what to do about it where that is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(String);

/// The outcome of a command or of a part of one.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being tried when an error came up.
pub trait Context<T> {
    fn context(self, trying: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, trying: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{trying}: {error}")))
    }
}

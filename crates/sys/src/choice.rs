//! Which implementation of [`Io`] a worker gets that does not bring its own: the environment's word, as far as the kernel allows it.

use std::io;
use std::str::FromStr;

use crate::io::Io;
use crate::readiness::Readiness;

/// The variable that [`Choice::from_environment`] reads.
pub const VARIABLE: &str = "TIDEWIRE_IO";

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// Whatever is best on this system: at present [`Backend::Readiness`].
    #[default]
    Auto,
    /// The kernel's poller.
    Readiness,
    /// A completion ring, where the kernel gives one; else the poller.
    Uring,
}

/// What a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// [`crate::readiness`]
    Readiness,
    /// `crate::uring`
    Uring,
}

/// An [`Io`], and what it is.
pub struct Opened {
    /// It may go to the thread that will wait on it.
    pub io: Box<dyn Io + Send>,
    /// What it is.
    pub backend: Backend,
    /// Why it is not what was asked for.
    pub refused: Option<String>,
}

impl FromStr for Choice {
    type Err = io::Error;

    /// `auto`, `readiness` or `uring`.
    fn from_str(text: &str) -> io::Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "readiness" => Ok(Self::Readiness),
            "uring" => Ok(Self::Uring),
            _ => {
                let message = format!("{VARIABLE} is {text:?}; it may be auto, readiness or uring");
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }
}

impl Choice {
    /// What the variable `TIDEWIRE_IO` says; [`Choice::Auto`] when it is not set, or empty.
    ///
    /// # Errors
    /// When it is set to something else than `auto`, `readiness` or `uring`.
    pub fn from_environment() -> io::Result<Self> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::Auto),
            Some(value) if value.is_empty() => Ok(Self::Auto),
            Some(value) => value.to_string_lossy().parse(),
        }
    }

    /// Opens what was chosen. Where the kernel has no ring for us, or is not allowed to give one, that is readiness.
    ///
    /// ```
    /// use tidewire_sys::{Backend, Choice};
    ///
    /// let opened = Choice::Readiness.open()?;
    /// assert_eq!(opened.backend, Backend::Readiness);
    /// assert_eq!(opened.refused, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no room for a poller's descriptors.
    pub fn open(self) -> io::Result<Opened> {
        let refused = match self {
            Self::Auto | Self::Readiness => None,
            Self::Uring => match ring() {
                Ok(io) => return Ok(Opened { io, backend: Backend::Uring, refused: None }),
                Err(reason) => Some(reason),
            },
        };
        Ok(Opened { io: Box::new(Readiness::new()?), backend: Backend::Readiness, refused })
    }
}

#[cfg(target_os = "linux")]
fn ring() -> Result<Box<dyn Io + Send>, String> {
    use crate::uring::{Support, Uring};
    Support::probe().verdict()?;
    match Uring::new() {
        Ok(io) => Ok(Box::new(io)),
        Err(error) => Err(format!("the kernel gives no ring: {error}")),
    }
}

#[cfg(not(target_os = "linux"))]
fn ring() -> Result<Box<dyn Io + Send>, String> {
    Err("only Linux has io_uring".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_of_three_words() {
        assert_eq!("auto".parse::<Choice>().unwrap(), Choice::Auto);
        assert_eq!("readiness".parse::<Choice>().unwrap(), Choice::Readiness);
        assert_eq!("uring".parse::<Choice>().unwrap(), Choice::Uring);
        let wrong = "io_uring".parse::<Choice>().unwrap_err();
        assert_eq!(wrong.to_string(), "TIDEWIRE_IO is \"io_uring\"; it may be auto, readiness or uring");
    }
}

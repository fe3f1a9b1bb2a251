//! Why a load came to nothing, in words that say what to do.

use std::fmt;
use std::io;

/// The outcome of what a load does.
pub type Result<T = ()> = std::result::Result<T, LoadError>;

/// Why a load was not put on a server, or ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A connection did not come about.
    #[error("{reason}{}", Beside { open: *open, wanted: *wanted })]
    Open {
        /// Connections that were open by then.
        open: usize,
        /// Connections that were asked for.
        wanted: usize,
        /// What happened, and what to do.
        reason: String,
    },
    /// The server ended a connection, or did not say what it should have said.
    #[error("connection {connection}: {reason}")]
    Answer {
        /// The number of the connection, from 0.
        connection: usize,
        /// What happened.
        reason: String,
    },
    /// Messages were due and nothing came.
    #[error(
        "the server has said nothing for {seconds} s though messages are due: it hangs, or does not answer what this load sends"
    )]
    Silence {
        /// How long was waited.
        seconds: u64,
    },
    /// The server takes far fewer messages than the rate that was asked for.
    #[error("{messages} messages are due and have not come back: the server cannot keep up, ask for a lower rate")]
    Behind {
        /// How many.
        messages: u64,
    },
    /// The process that is to be measured cannot be.
    #[error("process {pid} cannot be measured: {source}")]
    Process {
        /// Its number.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// This machine does not give what the load needs.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How far it came before.
struct Beside {
    open: usize,
    wanted: usize,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.open {
            0 => Ok(()),
            open => write!(f, " ({open} of {} connections were open)", self.wanted),
        }
    }
}

impl LoadError {
    pub(crate) fn answer(connection: usize, reason: impl Into<String>) -> Self {
        Self::Answer { connection, reason: reason.into() }
    }

    pub(crate) fn process(pid: u32) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Process { pid, source }
    }
}

/// An error of the system while a connection is opened, with what to do about it.
pub(crate) fn connecting(error: &io::Error, url: &crate::Url) -> String {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => format!("nothing listens at {}: is the server running, and on this port?", url.authority()),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::UnexpectedEof => "the server closed it during the handshake".to_owned(),
        Kind::AddrNotAvailable => {
            "no free port on this side: the kernel's range is ip_local_port_range, use fewer connections".to_owned()
        }
        Kind::TimedOut => format!("{} cannot be reached", url.authority()),
        _ => {
            let text = error.to_string();
            match text.contains("InvalidContentType") || text.contains("corrupt message") {
                true => format!("no TLS is spoken at {}: try ws:// instead of wss://", url.authority()),
                false => format!("cannot connect to {}: {text}", url.authority()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_how_far_it_came() {
        let error = |open| LoadError::Open { open, wanted: 9, reason: "refused".into() }.to_string();
        assert_eq!(error(0), "refused");
        assert_eq!(error(4), "refused (4 of 9 connections were open)");
    }
}

//! Where a program listens: every server that these commands start says so in a line with a URL.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::process::{self, Running};

/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(20);
/// How often Ctrl-C is looked for while waiting for that.
const POLL: Duration = Duration::from_millis(100);

/// Reads where a server listens, as a host and a port. Its standard output must have been piped; all of it is read, so that what
/// it prints later never blocks it.
pub fn address_of(server: &mut Running) -> Result<String> {
    let output = server.take_stdout().ok_or_else(|| Failure::new("the server has no output"))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            if let Some(address) = address_in(&line) {
                let _nobody_waits = sender.send(address.to_owned());
            }
        }
    });
    for _ in 0..START.as_millis() / POLL.as_millis() {
        match receiver.recv_timeout(POLL) {
            Ok(address) => return Ok(address),
            Err(mpsc::RecvTimeoutError::Timeout) if process::interrupted() => return Err(Failure::new("interrupted")),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::new("it ended before it listened")),
        }
    }
    Err(Failure::new(format!("it did not say where it listens within {} s", START.as_secs())))
}

/// The host and port of the last URL in a line.
pub fn address_in(line: &str) -> Option<&str> {
    let (_, rest) = line.rsplit_once("://")?;
    let address = rest.split(|c: char| c.is_whitespace() || c == '/').next()?;
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()).then_some(address)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_address_is_found_at_the_end_of_a_line() {
        assert_eq!(address_in("tidewire echo listening on http://127.0.0.1:41235"), Some("127.0.0.1:41235"));
        assert_eq!(address_in("at https://127.0.0.1:80/ (one worker)"), Some("127.0.0.1:80"));
        assert_eq!(address_in("listening on ws://127.0.0.1:9001"), Some("127.0.0.1:9001"));
        assert_eq!(address_in("http://localhost"), None);
        assert_eq!(address_in("starting"), None);
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error() {
        let mut server = Running::start(Command::new("echo").arg("hello").stdout(Stdio::piped())).unwrap();
        assert!(address_of(&mut server).unwrap_err().to_string().contains("ended before"));
    }
}

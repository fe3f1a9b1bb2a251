//! What comes from the terminal or the pipe, read on a thread of its own because it blocks.

use std::io::{self, BufRead};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

/// How many lines wait for the socket; then whoever writes them does.
const WAITING: usize = 16;

/// Something from the user.
#[derive(Debug)]
pub enum Input {
    /// A line without its end.
    Line(String),
    /// The input has ended.
    End,
    /// SIGINT or SIGTERM, once: a second one ends the process.
    Interrupt,
    /// It cannot be read, or is no UTF-8.
    Failed(io::Error),
}

/// Begins to read.
pub fn read() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let interrupt = sender.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signals = signals.forever();
        signals.next();
        // A full channel must not hold this up: then it is the second signal that counts.
        let _ = interrupt.try_send(Input::Interrupt);
        if let Some(signal) = signals.next() {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    thread::Builder::new().name("input".into()).spawn(move || {
        for line in io::stdin().lock().lines() {
            let input = line.map_or_else(Input::Failed, Input::Line);
            let failed = matches!(input, Input::Failed(_));
            if sender.blocking_send(input).is_err() || failed {
                return;
            }
        }
        let _ = sender.blocking_send(Input::End);
    })?;
    Ok(receiver)
}

/// The bytes of a line of hexadecimal digits; spaces do not count.
pub fn bytes(line: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = line
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).ok_or_else(|| format!("{character:?} is no hexadecimal digit")))
        .collect::<Result<_, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} hexadecimal digits are no whole number of bytes", digits.len()));
    }
    Ok(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn hexadecimal_digits_become_bytes() {
        assert_eq!(bytes("00ff 7F\t"), Ok(vec![0, 255, 127]));
        assert_eq!(bytes(""), Ok(vec![]));
        assert!(bytes("0").unwrap_err().contains("1 hexadecimal"));
        assert!(bytes("0x").unwrap_err().contains("'x'"));
    }
}

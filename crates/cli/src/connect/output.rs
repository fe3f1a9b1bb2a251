//! What is printed: messages on standard output, all else on standard error, with colours and marks where a person reads it.

use std::io::{self, IsTerminal, Write};

use tidewire::Message;
use tidewire::client::Answer;

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub struct Output {
    /// A person types and reads.
    interactive: bool,
    /// Standard output goes to a terminal, which obeys control characters.
    terminal: bool,
}

impl Output {
    pub fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        Self { interactive: terminal && io::stdin().is_terminal(), terminal }
    }

    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    pub fn connected(&self, answer: &Answer) {
        let protocol = answer.protocol.as_ref().map(|protocol| format!(", subprotocol {protocol}")).unwrap_or_default();
        self.note(&format!("connected{protocol}; Ctrl-D or Ctrl-C closes"));
        self.prompt();
    }

    /// One line for a message. `anstream` leaves out colours where they do not belong; a script gets what came, whatever is in it.
    pub fn message(&self, message: &Message<'_>) -> io::Result<()> {
        let (line, colour) = match message {
            Message::Text(text) if self.terminal => (visible(text), GREEN),
            Message::Text(text) => (text.clone().into_owned(), GREEN),
            Message::Binary(bytes) => (hexadecimal(bytes), YELLOW),
        };
        if !self.interactive {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}")?;
            return out.flush();
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "\r{DIM}<{PLAIN} {colour}{line}{PLAIN}")?;
        out.flush()?;
        drop(out);
        self.prompt();
        Ok(())
    }

    /// Shows that a line can be typed.
    pub fn prompt(&self) {
        if self.interactive {
            let mut out = anstream::stdout().lock();
            let _ = write!(out, "{DIM}>{PLAIN} ").and_then(|()| out.flush());
        }
    }

    /// Tells a person something.
    pub fn note(&self, text: &str) {
        if self.interactive {
            anstream::eprintln!("\r{DIM}{text}{PLAIN}");
        }
    }

    /// Tells how it ended: a person always, a script only what is wrong.
    pub fn closed(&self, code: u16, reason: &str, fine: bool) {
        let reason = if reason.is_empty() { String::new() } else { format!(": {}", visible(reason)) };
        if fine {
            self.note(&format!("closed with {code}{reason}"));
        } else {
            anstream::eprintln!("tidewire: closed with {code}{reason}");
        }
    }
}

/// What a terminal would obey is made visible: a server must not move the cursor, or worse.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |digit: u8| char::from(DIGITS[usize::from(digit & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_control_characters_and_does_not_get_them() {
        assert_eq!(visible("a\x1b[2Jb\r\u{9b}c\td"), "a\\u{1b}[2Jb\\r\\u{9b}c\td");
        assert_eq!(hexadecimal(&[0, 0xaf, 0xff]), "00afff");
    }
}

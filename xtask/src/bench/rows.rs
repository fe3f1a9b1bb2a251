//! What is measured: one load on one program of the server for each row.

use crate::failure::{Failure, Result};

/// The servers' programs: `tidewire echo`, `tidewire chat`, and what stands for them among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Echo,
    Chat,
}

impl Program {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Chat => "chat",
        }
    }
}

/// With whom Tidewire is compared in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The server that only moves the bytes.
    Bare,
    /// Bun's: where there is more to do than to move bytes.
    Bun,
}

/// What a row's figure is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// Microseconds of the server's CPU time for each message that reaches a client, and the most that they may be of the
    /// rival's.
    Time { field: &'static str, most: Option<f64> },
    /// Resident bytes for each connection, and the most that they may be.
    Memory { most: f64 },
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub program: Program,
    pub rival: Rival,
    pub figure: Figure,
    /// Whether all is said through TLS.
    pub secure: bool,
    /// Whether messages are JSON, compressed in both directions.
    pub deflate: bool,
    /// Bytes that clients send in each message.
    pub size: usize,
    pub binary: bool,
    /// The mode of the load, and what else it must know.
    pub load: &'static [&'static str],
}

/// The clients' name in the chat, and what therefore stands before each text.
pub const NAME: &str = "x";
pub const PREFIX: &str = "x: ";

const fn echo(name: &'static str, title: &'static str, most: Option<f64>, load: &'static [&'static str]) -> Row {
    let figure = Figure::Time { field: "/server/cpu_us_per_message", most };
    let (rival, secure, deflate) = (Rival::Bare, false, false);
    Row { name, title, program: Program::Echo, rival, figure, secure, deflate, size: 20, binary: false, load }
}

const fn chat(name: &'static str, title: &'static str, size: usize, load: &'static [&'static str]) -> Row {
    let figure = Figure::Time { field: "/server/cpu_us_per_delivery", most: None };
    Row { program: Program::Chat, figure, size, ..echo(name, title, None, load) }
}

const FANOUT_DEFLATE: &[&str] = &["fanout", "--connections", "500", "--depth", "4"];

/// All rows, in the order of the table.
pub const ALL: &[Row] = &[
    echo("echo-32", "echo 20 B x 32", Some(1.15), &["echo", "--connections", "32"]),
    echo("echo-32-deep", "echo 20 B x 32, 16 in flight", Some(1.3), &["echo", "--connections", "32", "--depth", "16"]),
    echo("echo-500", "echo 20 B x 500", None, &["echo", "--connections", "500"]),
    Row { size: 16 * 1024, binary: true, ..echo("echo-16k", "echo 16 KiB x 100", None, &["echo", "--connections", "100"]) },
    // 64 bytes with the name before them.
    chat("fanout-5000", "fan-out 64 B to 5,000", 64 - PREFIX.len(), &["fanout", "--connections", "5000"]),
    chat("chat-16", "chat 20 B, 16 people", 20, &["chat", "--connections", "16"]),
    chat("chat-32", "chat 20 B, 32 people", 20, &["chat", "--connections", "32"]),
    Row {
        rival: Rival::Bun,
        secure: true,
        size: 1024,
        ..echo("echo-tls", "TLS echo 1 KiB x 100, of bun", Some(1.1), &["echo", "--connections", "100"])
    },
    Row {
        rival: Rival::Bun,
        deflate: true,
        figure: Figure::Time { field: "/server/cpu_us_per_delivery", most: Some(0.5) },
        ..chat("fanout-deflate", "JSON 256 B to 500, of bun", 256 - PREFIX.len(), FANOUT_DEFLATE)
    },
    Row {
        figure: Figure::Memory { most: 256.0 },
        ..echo("idle-9000", "9,000 idle connections", None, &["idle", "--connections", "9000"])
    },
];

/// The rows with these names; all of them without any.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    names.iter().map(|name| ALL.iter().find(|row| row.name == name).ok_or_else(|| unknown(name))).collect()
}

fn unknown(name: &str) -> Failure {
    let known: Vec<_> = ALL.iter().map(|row| row.name).collect();
    Failure::new(format!("no row is called {name}; there are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), ALL.len());
        let names: Vec<_> = chosen(&["idle-9000".into(), "echo-32".into()]).unwrap().iter().map(|row| row.name).collect();
        assert_eq!(names, ["idle-9000", "echo-32"]);
        assert!(chosen(&["echo".into()]).unwrap_err().to_string().contains("echo-32-deep"));
    }

    #[test]
    fn no_two_rows_share_a_name() {
        for row in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }
}

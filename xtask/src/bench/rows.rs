//! What is measured: one load on one program of some servers for each row.

use super::who::Who::{self, *};
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

/// What a row's figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Microseconds of the server's CPU time for each message.
    Message,
    /// The same for each message that reaches a client.
    Delivery,
    /// Resident bytes for each connection.
    Memory,
    /// Those of them that are not given back when the connections are closed.
    Kept,
}

impl Figure {
    /// The figure of a report of `tidewire bench --json`.
    pub fn of(self, report: &serde_json::Value) -> Option<f64> {
        let number = |field: &str| report.pointer(field).and_then(serde_json::Value::as_f64);
        match self {
            Self::Message => number("/server/cpu_us_per_message"),
            Self::Delivery => number("/server/cpu_us_per_delivery"),
            Self::Memory => number("/memory/bytes_per_connection"),
            Self::Kept => number("/memory/bytes_kept_per_connection"),
        }
    }

    pub const fn unit(self) -> &'static str {
        match self {
            Self::Message => "us of CPU per message",
            Self::Delivery => "us of CPU per delivery",
            Self::Memory => "bytes per connection",
            Self::Kept => "bytes kept per connection",
        }
    }

    /// A value for people.
    pub fn written(self, value: f64) -> String {
        match self {
            Self::Memory | Self::Kept => format!("{value:.0}"),
            // A delivery that shares its send with many others costs nanoseconds.
            Self::Message | Self::Delivery if value < 1.0 => format!("{value:.3}"),
            Self::Message | Self::Delivery => format!("{value:.2}"),
        }
    }
}

/// What one of ours is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    pub ours: Who,
    pub limit: Limit,
}

/// The most that a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Of another's.
    Of(Who, f64),
    /// By itself.
    AtMost(f64),
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub program: Program,
    pub figure: Figure,
    /// Whether all is said through TLS.
    pub secure: bool,
    /// Whether messages are compressed in both directions.
    pub deflate: bool,
    /// Bytes that clients send in each message, and their form.
    pub size: usize,
    pub payload: &'static str,
    /// The kind of load, and what else it must know.
    pub load: &'static [&'static str],
    /// Who takes part, the one that the others are compared with first.
    pub who: &'static [Who],
    pub targets: &'static [Target],
    /// The most rounds, where more would say nothing new.
    pub rounds: Option<u32>,
    /// Whether servers get both cores.
    pub both_cores: bool,
}

/// The clients' name in the chat, and what therefore stands before each text.
pub const NAME: &str = "x";
pub const PREFIX: &str = "x: ";

const fn of(ours: Who, rival: Who, most: f64) -> Target {
    Target { ours, limit: Limit::Of(rival, most) }
}

const fn at_most(ours: Who, most: f64) -> Target {
    Target { ours, limit: Limit::AtMost(most) }
}

const ECHO: Row = Row {
    name: "",
    title: "",
    program: Program::Echo,
    figure: Figure::Message,
    secure: false,
    deflate: false,
    size: 20,
    payload: "text",
    load: &["echo", "--connections", "32"],
    who: &[],
    targets: &[],
    rounds: None,
    both_cores: false,
};
const CHAT: Row = Row { program: Program::Chat, figure: Figure::Delivery, ..ECHO };
/// Memory is the same in every round, but for what an allocator does at its limits.
const IDLE: Row = Row { figure: Figure::Memory, rounds: Some(3), load: &["idle", "--connections", "9000"], ..ECHO };

const EVERYBODY: &[Who] = &[Bare, Tidewire, Node, Node20, Bun, Ws, Deno, TokioTungstenite, Fastwebsockets, TokioWebsockets, Axum];

/// All rows, in the order of the table.
pub const ALL: &[Row] = &[
    Row { name: "echo-32", title: "echo, 20 B on 32 connections", who: EVERYBODY, targets: &[of(Tidewire, Bare, 1.05)], ..ECHO },
    Row {
        name: "echo-500",
        title: "echo, 20 B on 500 connections",
        load: &["echo", "--connections", "500"],
        who: &[Bare, Tidewire, Node, Bun],
        targets: &[of(Tidewire, Bare, 1.05)],
        ..ECHO
    },
    Row {
        name: "echo-deep",
        title: "echo, 20 B on 32 connections, 16 in flight",
        load: &["echo", "--connections", "32", "--depth", "16"],
        who: EVERYBODY,
        targets: &[of(Tidewire, Bare, 1.15), of(Node, Bun, 1.0), of(Node20, Bun, 1.0)],
        ..ECHO
    },
    Row {
        name: "echo-binary",
        title: "echo, 100 B binary on 32 connections, 16 in flight",
        size: 100,
        payload: "binary",
        load: &["echo", "--connections", "32", "--depth", "16"],
        who: &[Bun, Tidewire, Node, Node20, Ws],
        targets: &[of(Node, Bun, 1.0), of(Node20, Bun, 1.0)],
        ..ECHO
    },
    Row {
        name: "echo-16k",
        title: "echo, 16 KiB binary on 100 connections",
        size: 16 * 1024,
        payload: "binary",
        load: &["echo", "--connections", "100"],
        who: &[Bare, Tidewire, Node, Node20, Bun, Ws, TokioTungstenite, Fastwebsockets],
        targets: &[of(Tidewire, Bare, 1.1), of(Node, Bun, 0.6), of(Node20, Bun, 0.6)],
        ..ECHO
    },
    Row {
        name: "chat-16",
        title: "chat room of 16, 20 B",
        load: &["chat", "--connections", "16"],
        who: &[Bun, Tidewire, Node, Node20, Ws, Deno],
        targets: &[of(Tidewire, Bun, 0.85), of(Node, Bun, 0.95), of(Node20, Bun, 0.95)],
        ..CHAT
    },
    Row {
        name: "chat-32",
        title: "chat room of 32, 20 B",
        load: &["chat", "--connections", "32"],
        who: &[Bun, Tidewire, Node, Node20, Ws],
        targets: &[of(Tidewire, Bun, 0.85), of(Node, Bun, 0.95), of(Node20, Bun, 0.95)],
        ..CHAT
    },
    Row {
        name: "chat-workers",
        title: "chat room of 32, 20 B, two workers on two cores",
        load: &["chat", "--connections", "32"],
        who: &[Tidewire, TidewireTwo],
        targets: &[of(TidewireTwo, Tidewire, 1.15)],
        both_cores: true,
        ..CHAT
    },
    Row {
        name: "fanout-5000",
        title: "fan-out, 64 B to 5,000",
        // 64 bytes with the name before them.
        size: 64 - PREFIX.len(),
        load: &["fanout", "--connections", "5000"],
        who: &[Bare, Tidewire, Node, Node20, Bun],
        targets: &[of(Tidewire, Bare, 1.05), of(Node, Bun, 1.0), of(Node20, Bun, 1.0)],
        ..CHAT
    },
    Row {
        name: "fanout-deflate",
        title: "compressed fan-out, 256 B of JSON to 500, 4 in flight",
        deflate: true,
        size: 256 - PREFIX.len(),
        payload: "json",
        load: &["fanout", "--connections", "500", "--depth", "4"],
        who: &[Bun, Tidewire, Node, Node20, Ws],
        targets: &[of(Tidewire, Bun, 0.4), of(Node, Bun, 0.4), of(Node20, Bun, 0.4)],
        ..CHAT
    },
    Row {
        name: "echo-deflate",
        title: "compressed echo, 1 KiB of JSON on 32 connections",
        deflate: true,
        size: 1024,
        payload: "json",
        who: &[Bun, Tidewire, Node, Node20, Ws],
        targets: &[of(Tidewire, Bun, 0.75), of(Node, Bun, 0.85), of(Node20, Bun, 0.85)],
        ..ECHO
    },
    Row {
        name: "echo-tls",
        title: "TLS echo, 1 KiB on 100 connections",
        secure: true,
        size: 1024,
        load: &["echo", "--connections", "100"],
        who: &[Bun, Tidewire, Node, Node20, Ws],
        targets: &[of(Tidewire, Bun, 1.0), of(Node, Bun, 1.0), of(Node20, Bun, 1.0)],
        ..ECHO
    },
    Row {
        name: "idle",
        title: "memory of 9,000 idle connections",
        who: &[Bun, Tidewire, Node, Node20, Ws, Deno],
        targets: &[at_most(Tidewire, 256.0), at_most(Node, 1000.0), at_most(Node20, 1000.0)],
        ..IDLE
    },
    Row {
        name: "idle-deflate",
        title: "memory of 9,000 idle connections with shared compression",
        deflate: true,
        who: &[Bun, Tidewire, Node],
        // 64 more than without.
        targets: &[at_most(Tidewire, 320.0), at_most(Node, 1064.0)],
        ..IDLE
    },
    Row {
        name: "idle-tls",
        title: "memory of 2,000 idle connections with TLS",
        secure: true,
        load: &["idle", "--connections", "2000"],
        who: &[Bun, Tidewire, Node],
        targets: &[at_most(Tidewire, 8192.0)],
        ..IDLE
    },
    Row {
        name: "idle-kept",
        title: "memory of 9,000 idle connections after they were closed",
        figure: Figure::Kept,
        who: &[Bun, Tidewire, Node],
        // A quarter of what an open one may take.
        targets: &[at_most(Tidewire, 64.0), at_most(Node, 250.0)],
        ..IDLE
    },
];

/// The row with a name.
pub fn named(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name)
}

/// The rows with these names, or whose names begin so; all of them without any.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|row| row.name.starts_with(name.as_str()))) {
        let known: Vec<_> = ALL.iter().map(|row| row.name).collect();
        return Err(Failure::new(format!("no row is called {unknown}; there are {}", known.join(", "))));
    }
    let is_chosen = |row: &&Row| names.is_empty() || named_by(names, row.name);
    Ok(ALL.iter().filter(is_chosen).collect())
}

/// A whole name is that row alone; `echo` is all that begin so.
fn named_by(names: &[String], row: &str) -> bool {
    names.iter().any(|name| row == name || (named(name).is_none() && row.starts_with(name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&str]) -> Vec<&'static str> {
        let names: Vec<_> = chosen.iter().map(|name| (*name).to_owned()).collect();
        super::chosen(&names).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_are_chosen_by_name_or_by_its_beginning() {
        assert_eq!(names(&[]).len(), ALL.len());
        assert_eq!(names(&["idle"]), ["idle"]);
        assert_eq!(names(&["fanout", "echo-32"]), ["echo-32", "fanout-5000", "fanout-deflate"]);
        assert!(chosen(&["ech0".into()]).unwrap_err().to_string().contains("echo-deep"));
    }

    #[test]
    fn every_row_has_a_name_and_measures_whom_its_targets_name() {
        for row in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
            for target in row.targets {
                assert!(row.who.contains(&target.ours) && target.ours.is_ours(), "{}", row.name);
                assert!(!matches!(target.limit, Limit::Of(rival, _) if !row.who.contains(&rival)), "{}", row.name);
            }
        }
    }

    #[test]
    fn a_report_without_the_figure_has_none() {
        let report = serde_json::json!({"server": {"cpu_us_per_message": 4.5}, "memory": null});
        assert_eq!((Figure::Message.of(&report), Figure::Delivery.of(&report)), (Some(4.5), None));
        let memory = serde_json::json!({"memory": {"bytes_per_connection": 200.0, "bytes_kept_per_connection": 50.0}});
        assert_eq!((Figure::Memory.of(&memory), Figure::Kept.of(&memory)), (Some(200.0), Some(50.0)));
        assert_eq!((Figure::Delivery.written(0.2512), Figure::Message.written(4.567)), ("0.251".into(), "4.57".into()));
    }
}

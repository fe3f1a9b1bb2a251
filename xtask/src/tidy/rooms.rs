//! Who may import whom, between the rooms of the crate `tidewire`.

use super::Findings;
use super::source::{is_word, line_of};

/// The source folder whose rooms these are.
const SOURCE: &str = "crates/tidewire/src/";

/// A room and what may not be named in it.
struct Rule {
    room: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        room: "topics",
        forbidden: &["crate::engine", "crate::transport", "crate::http", "crate::server", "crate::client", "tidewire_sys"],
        reason: "topics know no sockets",
    },
    Rule { room: "engine::transport", forbidden: &["tidewire_proto"], reason: "transport knows no frames" },
    Rule { room: "transport", forbidden: &["tidewire_proto"], reason: "transport knows no frames" },
];

pub fn check(file: &str, code: &str, findings: &mut Findings) {
    let Some(module) = module_of(file) else { return };
    let named = paths(code, &module);
    for rule in RULES.iter().filter(|rule| within(&module, rule.room)) {
        for forbidden in rule.forbidden {
            let mut lines: Vec<usize> =
                named.iter().filter(|(_, path)| within(path, forbidden)).map(|&(offset, _)| line_of(code, offset)).collect();
            lines.dedup();
            for line in lines {
                findings.error(file, line, format_args!("{forbidden} is named: {}", rule.reason));
            }
        }
    }
}

/// Whether a path is a module or lies in it.
fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The module path of a file in the crate, without `crate`; empty for its root.
fn module_of(file: &str) -> Option<String> {
    let path = file.strip_prefix(SOURCE)?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(if path == "lib" { String::new() } else { path.replace('/', "::") })
}

/// Every path in the code with its offset: `super` and `self` made absolute, groups of a `use` unfolded.
fn paths(code: &str, module: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(start) = code[rest..].find(is_word).map(|offset| rest + offset) {
        let (end, branches) = tree(code, start);
        found.extend(branches.into_iter().map(|(offset, path)| (offset, absolute(&path, module))));
        rest = end;
    }
    found
}

/// One path at an offset, or the branches of a `use` tree; with the offset behind it.
fn tree(code: &str, start: usize) -> (usize, Vec<(usize, String)>) {
    let bytes = code.as_bytes();
    let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |length| start + length);
    let name = &code[start..end];
    let Some(next) = code[end..].trim_start().strip_prefix("::").map(str::trim_start) else {
        return (end, vec![(start, name.to_owned())]);
    };
    let next = code.len() - next.len();
    let (after, branches) = match bytes.get(next) {
        Some(b'{') => group(code, next),
        Some(_) if code[next..].starts_with(is_word) => tree(code, next),
        _ => return (next, vec![(start, name.to_owned())]),
    };
    (after, branches.into_iter().map(|(offset, path)| (offset, format!("{name}::{path}"))).collect())
}

/// The branches between braces.
fn group(code: &str, open: usize) -> (usize, Vec<(usize, String)>) {
    let mut branches = Vec::new();
    let mut at = open + 1;
    while let Some(c) = code[at..].chars().next() {
        if c == '}' {
            return (at + 1, branches);
        }
        if is_word(c) {
            let (end, more) = tree(code, at);
            branches.extend(more);
            at = end;
        } else {
            at += c.len_utf8();
        }
    }
    (at, branches)
}

fn absolute(path: &str, module: &str) -> String {
    let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts = path.split("::").peekable();
    match parts.peek() {
        Some(&"self") => drop(parts.next()),
        Some(&"super") => {
            while parts.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => return path.to_owned(),
    }
    std::iter::once("crate").chain(base).chain(parts).collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [String; 0] = [];

    fn errors(file: &str, code: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(file, code, &mut findings);
        findings.errors
    }

    #[test]
    fn a_topic_that_names_a_socket_is_found_however_it_is_written() {
        let bad = [
            "use crate::engine::Worker;",
            "use crate::{topics::Log, engine};",
            "use crate::{\n    a::{b, c},\n    server::{Server, stop as s},\n};",
            "use super::http;",
            "fn f() { crate::transport::send() }",
            "use tidewire_sys::Io;",
            "mod tests { use super::super::client::Client; }",
        ];
        for code in bad {
            let errors = errors("crates/tidewire/src/topics/mod.rs", code);
            assert_eq!(errors.len(), 1, "{code}: {errors:?}");
        }
        let deep = errors("crates/tidewire/src/topics/log.rs", "\nuse super::super::engine::Outbox;");
        assert!(deep[0].starts_with("crates/tidewire/src/topics/log.rs:2: crate::engine is named"), "{deep:?}");
    }

    #[test]
    fn a_transport_that_names_frames_is_found() {
        for file in ["engine/transport.rs", "engine/transport/tls.rs", "transport/mod.rs"] {
            assert_eq!(errors(&format!("crates/tidewire/src/{file}"), "use tidewire_proto::Frame;").len(), 1, "{file}");
        }
    }

    #[test]
    fn what_the_design_allows_passes() {
        let good = [
            ("crates/tidewire/src/topics/mod.rs", "use crate::topics::Log; use super::engines; use tidewire_proto::Opcode;"),
            ("crates/tidewire/src/topics/mod.rs", "let engine = http.server; use self::log::Chunk;"),
            ("crates/tidewire/src/engine/worker.rs", "use crate::engine::Table; use tidewire_proto::Frame;"),
            ("crates/tidewire/src/engine/transport.rs", "use tidewire_sys::Io;"),
            ("crates/cli/src/topics.rs", "use crate::engine;"),
        ];
        for (file, code) in good {
            assert_eq!(errors(file, code), NOTHING, "{file}: {code}");
        }
    }
}

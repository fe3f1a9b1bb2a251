//! A report: for people a few lines, for programs one line of JSON.

use std::fmt::Write as _;
use std::io;

use super::Target;
use super::window::Measured;

/// Named values in the order in which they are told.
pub struct Report {
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    Text(&'static str),
    Count(u64),
    Number(f64),
}

impl Report {
    /// Of a measurement of CPU time. `depth` is what each connection has in flight.
    pub fn load(mode: &'static str, target: &Target, depth: usize, measured: &Measured) -> Self {
        let seconds = measured.elapsed.as_secs_f64();
        let per = |count: u64| measured.server.as_secs_f64() * 1e6 / count as f64;
        let mut fields = described(mode, target);
        fields.extend([
            ("depth", Value::Count(depth as u64)),
            ("seconds", Value::Number(seconds)),
            ("messages", Value::Count(measured.messages)),
            ("deliveries", Value::Count(measured.deliveries)),
            ("deliveries_per_second", Value::Number(measured.deliveries as f64 / seconds)),
            ("server_us_per_message", Value::Number(per(measured.messages))),
            ("server_us_per_delivery", Value::Number(per(measured.deliveries))),
            ("server_busy", Value::Number(measured.server.as_secs_f64() / seconds)),
            ("load_busy", Value::Number(measured.load.as_secs_f64() / seconds)),
            ("cpu_source", Value::Text(measured.source.name())),
        ]);
        Self { fields }
    }

    /// Of a measurement of memory, in bytes.
    pub fn idle(target: &Target, empty: u64, full: u64, grown: u64) -> Self {
        let mut fields = described("idle", target);
        fields.extend([
            ("resident_before", Value::Count(empty)),
            ("resident_after", Value::Count(full)),
            ("bytes_per_connection", Value::Number(grown as f64 / target.connections as f64)),
        ]);
        Self { fields }
    }

    pub fn print(&self, json: bool) -> io::Result<()> {
        use io::Write as _;
        let text = if json { self.json() } else { self.lines() };
        io::stdout().write_all(text.as_bytes())
    }

    /// No name and no text of a report needs escaping.
    fn json(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| match value {
            Value::Text(text) => format!("\"{name}\":\"{text}\""),
            Value::Count(count) => format!("\"{name}\":{count}"),
            // A division by nothing has no number in JSON.
            Value::Number(number) if number.is_finite() => format!("\"{name}\":{number:.4}"),
            Value::Number(_) => format!("\"{name}\":null"),
        });
        format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
    }

    fn lines(&self) -> String {
        self.fields.iter().fold(String::new(), |mut text, (name, value)| {
            let name = name.replace('_', " ");
            let written = match value {
                Value::Text(value) => writeln!(text, "{name:<24} {value}"),
                Value::Count(count) => writeln!(text, "{name:<24} {count}"),
                Value::Number(number) => writeln!(text, "{name:<24} {number:.3}"),
            };
            debug_assert!(written.is_ok(), "a string takes everything");
            text
        })
    }
}

fn described(mode: &'static str, target: &Target) -> Vec<(&'static str, Value)> {
    vec![
        ("mode", Value::Text(mode)),
        ("connections", Value::Count(target.connections as u64)),
        ("size", Value::Count(target.size as u64)),
        ("kind", Value::Text(if target.binary { "binary" } else { "text" })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_line_of_plain_values() {
        let report = Report {
            fields: vec![
                ("a", Value::Text("b")),
                ("c", Value::Count(1)),
                ("d", Value::Number(0.5)),
                ("e", Value::Number(f64::NAN)),
            ],
        };
        assert_eq!(report.json(), "{\"a\":\"b\",\"c\":1,\"d\":0.5000,\"e\":null}\n");
    }

    #[test]
    fn people_get_a_line_for_each_value() {
        let report = Report { fields: vec![("server_busy", Value::Number(0.98765)), ("mode", Value::Text("echo"))] };
        let lines: Vec<_> = report.lines().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["server busy 0.988", "mode echo"]);
    }
}

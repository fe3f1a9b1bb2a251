//! A report: for people a few lines, for programs one line of JSON.

use std::time::Duration;

use serde_json::{Value, json};
use tidewire_load::{Latency, Memory, Pace, Process, Report};

/// Percentiles that are told, with their names in JSON.
const PERCENTILES: [(f64, &str, &str); 4] =
    [(50.0, "p50", "p50"), (90.0, "p90", "p90"), (99.0, "p99", "p99"), (99.9, "p99_9", "p99.9")];

/// One line of JSON: times in microseconds where a name ends in `_us`, sizes in bytes.
pub fn json(report: &Report) -> String {
    let (in_flight, rate) = match report.pace {
        Some(Pace::InFlight(depth)) => (Some(depth), None),
        Some(Pace::PerSecond(rate)) => (None, Some(rate)),
        None => (None, None),
    };
    let mut value = json!({
        "load": report.load,
        "url": report.url,
        "connections": report.connections,
        "seconds": rounded(report.elapsed.as_secs_f64()),
        "server": report.server.map(|server| process(&server, report)),
        "load_busy": rounded(report.load_busy),
    });
    let mut add = |name: &str, field: Value| value[name] = field;
    if report.load == "idle" {
        add("memory", report.memory.map_or(Value::Null, |memory| memory_fields(&memory, report.connections)));
    } else {
        add("rate", json!(rate));
        add("messages", json!(report.messages));
        add("messages_per_second", rounded(report.per_second(report.messages)));
        add("latency_us", report.latency.as_ref().map_or(Value::Null, |latency| latency_fields(latency, rate.is_some())));
    }
    if let Some(answer) = report.answer {
        add("size", json!(report.size));
        add("payload", json!(report.form.name()));
        add("compress", json!(report.deflate));
        add("in_flight", json!(in_flight));
        add("deliveries", json!(report.deliveries));
        add("deliveries_per_second", rounded(report.per_second(report.deliveries)));
        add("answer", json!({ "bytes": answer.bytes, "wire_bytes": answer.wire_bytes, "compressed": answer.compressed }));
    }
    format!("{value}\n")
}

fn process(server: &Process, report: &Report) -> Value {
    json!({
        "pid": server.pid,
        "cpu_us_per_message": rounded(server.us_per(report.messages)),
        "cpu_us_per_delivery": rounded(server.us_per(report.deliveries)),
        "busy": rounded(server.busy),
        "cpu_source": server.source.name(),
        "resident_bytes": server.resident_bytes,
    })
}

fn latency_fields(latency: &Latency, since_due: bool) -> Value {
    let us = |duration: Duration| rounded(duration.as_secs_f64() * 1e6);
    let mut value = json!({
        "min": us(latency.min()), "mean": us(latency.mean()), "max": us(latency.max()),
        "since": if since_due { "due" } else { "sent" },
    });
    for (rank, name, _) in PERCENTILES {
        value[name] = us(latency.percentile(rank));
    }
    value
}

fn memory_fields(memory: &Memory, connections: usize) -> Value {
    json!({
        "resident_before": memory.before,
        "resident_full": memory.full,
        "resident_after": memory.after,
        "bytes_per_connection": rounded(memory.per_connection(connections)),
        "bytes_kept_per_connection": rounded(memory.kept_per_connection(connections)),
    })
}

/// Four places: what is beyond them is noise. A division by nothing has no number.
fn rounded(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

/// A few lines for people.
pub fn lines(report: &Report) -> String {
    let mut text = format!("{} at {}: {}\n\n", report.load, report.url, described(report));
    let mut line = |name: &str, what: String| text += &format!("  {name:<10} {what}\n");
    let seconds = report.elapsed.as_secs_f64();
    match report.load {
        "idle" => line("opened", format!("in {seconds:.2} s, {} per second", count(report.connections as f64 / seconds))),
        "connect" => line("handshakes", rate(report, report.messages)),
        _ => line("messages", rate(report, report.messages)),
    }
    if report.deliveries != report.messages {
        line("deliveries", rate(report, report.deliveries));
    }
    if let Some(latency) = &report.latency {
        let ranks = PERCENTILES.map(|(rank, _, name)| format!("{name} {}", time(latency.percentile(rank))));
        line("latency", format!("{}   max {}", ranks.join("   "), time(latency.max())));
    }
    if let Some(server) = &report.server {
        line("server", cost(server, report));
    }
    if let Some(memory) = &report.memory {
        line("memory", format!("{} B per connection", count(memory.per_connection(report.connections))));
        line("given back", format!("all but {} B per connection", count(memory.kept_per_connection(report.connections))));
        line("resident", [memory.before, memory.full, memory.after].map(bytes).join(" -> "));
    }
    if report.load != "idle" {
        line("load", format!("{:.0} % of a core", 100.0 * report.load_busy));
    }
    for note in notes(report) {
        text += &format!("\n{note}\n");
    }
    text
}

fn described(report: &Report) -> String {
    let mut words = vec![format!("{} connections", count(report.connections as f64))];
    if let Some(answer) = report.answer {
        let compressed = if report.deflate { ", compressed" } else { "" };
        words.push(format!("{} of {}{compressed}", bytes(report.size as u64), report.form.name()));
        if answer.bytes != report.size {
            words.push(format!("{} come back", bytes(answer.bytes as u64)));
        }
    }
    match report.pace {
        Some(Pace::InFlight(depth)) if report.load == "chat" => words.push(format!("bursts of {} each", count(depth as f64))),
        Some(Pace::InFlight(depth)) => words.push(format!("{depth} in flight")),
        Some(Pace::PerSecond(rate)) => words.push(format!("{} per second", count(rate))),
        None => {}
    }
    words.join(", ")
}

fn rate(report: &Report, number: u64) -> String {
    let seconds = report.elapsed.as_secs_f64();
    format!("{} in {seconds:.2} s, {} per second", count(number as f64), count(report.per_second(number)))
}

fn cost(server: &Process, report: &Report) -> String {
    let each = match (report.load, report.deliveries == report.messages) {
        ("connect", _) => format!("{} of CPU per handshake", microseconds(server.us_per(report.messages))),
        (_, true) => format!("{} of CPU per message", microseconds(server.us_per(report.messages))),
        (_, false) => format!("{} of CPU per delivery", microseconds(server.us_per(report.deliveries))),
    };
    format!("{each}, {:.0} % of a core, {} resident", 100.0 * server.busy, bytes(server.resident_bytes))
}

fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(share) = report.behind_rate() {
        notes.push(format!("Only {:.0} % of the rate was reached: latencies say how long the queue was.", 100.0 * share));
    }
    if report.is_limited_by_load() {
        notes.push("The load had no more time, and the server had: this is not the most that it can do.".into());
    }
    if report.load == "idle" && report.memory.is_none() {
        notes.push("With --pid, the server's memory is told.".into());
    }
    if report.answer.is_some_and(|answer| report.deflate && !answer.compressed) {
        notes.push("The server agreed to compression and did not compress these messages.".into());
    }
    notes
}

/// A number with its thousands apart.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(value: u64) -> String {
    match value {
        0..10_000 => format!("{} B", count(value as f64)),
        10_000..10_000_000 => format!("{:.1} KB", value as f64 / 1e3),
        _ => format!("{:.1} MB", value as f64 / 1e6),
    }
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.001 => format!("{:.0} us", seconds * 1e6),
        ..1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// A price: a delivery that shares its send with many others costs nanoseconds.
fn microseconds(value: f64) -> String {
    if value < 1.0 { format!("{value:.3} us") } else { format!("{value:.2} us") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0.0, 999.4, 1000.0, 1_234_567.0].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([20, 16_384, 52_000_000].map(bytes), ["20 B", "16.4 KB", "52.0 MB"]);
        let times = [80, 1_500, 2_000_000].map(Duration::from_micros).map(time);
        assert_eq!(times, ["80 us", "1.50 ms", "2.00 s"]);
        assert_eq!([0.2512, 7.126].map(microseconds), ["0.251 us", "7.13 us"]);
        assert_eq!(rounded(f64::NAN), Value::Null);
    }
}

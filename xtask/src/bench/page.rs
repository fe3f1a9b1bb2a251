//! `bench/results.md`: the results for people.

use std::fmt::Write as _;

use super::results::{Measured, Results, asked};
use super::rows::{Figure, Row};
use super::samples::Spread;

const HOW: &str = "\
Written by `cargo xtask bench compare`, which repeats it on your machine. A server has one core (but for the row with two workers), the load,
`tidewire bench`, another. Every round measures all servers of a row, one after the other; a ratio belongs to one round, and what is told is the
median, with the least and the most in brackets. Times are the server's CPU time, user and system, as the kernel counts it; *bare* is a server
that only moves the bytes. Peers are set up as their own examples do, with TCP_NODELAY; those in Rust run on tokio's current-thread runtime.
Rows in which we lose stay.
";

/// The whole page.
pub fn markdown(results: &Results) -> String {
    let mut page = format!("# What messages and connections cost\n\n{HOW}\n- Machine: {}\n", results.machine);
    let versions: Vec<_> = results.versions.iter().map(|(name, version)| format!("{name} ({version})")).collect();
    page += &format!("- Versions: {}\n\n", versions.join(", "));
    page += &targets(results);
    for (row, measured) in results.in_order() {
        page += &section(row, measured);
    }
    page
}

/// What was to be reached, and what was.
fn targets(results: &Results) -> String {
    let mut table = String::from("## Targets\n\n| | target | measured | |\n|---|---|---|---|\n");
    for (row, measured) in results.in_order() {
        for &target in row.targets {
            let (figure, verdict) = match measured.judge(target) {
                None => ("not measured".to_owned(), ""),
                Some((spread, met)) => (target_figure(row.figure, target.limit, spread), if met { "met" } else { "**missed**" }),
            };
            let _ = writeln!(table, "| {} | {} | {figure} | {verdict} |", row.title, asked(row.figure, target));
        }
    }
    table + "\n"
}

/// What was measured of a target.
pub fn target_figure(figure: Figure, limit: super::rows::Limit, spread: Spread) -> String {
    match limit {
        super::rows::Limit::Of(..) => ratio(spread),
        super::rows::Limit::AtMost(_) => {
            let [median, least, most] = [spread.median, spread.least, spread.most].map(|value| figure.written(value));
            format!("{median} ({least} to {most})")
        }
    }
}

/// A ratio with its ends.
pub fn ratio(spread: Spread) -> String {
    format!("{:.3} ({:.2} to {:.2})", spread.median, spread.least, spread.most)
}

fn section(row: &Row, measured: &Measured) -> String {
    let mut text = format!("## {}\n\n![{}](plots/{}.svg)\n\n", capital(row.title), row.title, row.name);
    let first = measured.servers.first();
    let against = first.map_or("-", |(who, _)| who.name());
    let _ = writeln!(text, "| | {} | of {against} |\n|---|---:|---:|", row.figure.unit());
    for (who, samples) in &measured.servers {
        let Some(figure) = Spread::of(samples.figures.iter().copied()) else { continue };
        let relation = first.filter(|(other, _)| other != who).and_then(|(_, other)| Spread::of_ratios(samples, other));
        let name = if who.is_ours() { format!("**{}**", who.name()) } else { who.name().to_owned() };
        let _ = writeln!(text, "| {name} | {} | {} |", row.figure.written(figure.median), relation.map_or("-".to_owned(), ratio));
    }
    let rounds = first.map_or(0, |(_, samples)| samples.figures.len());
    let _ = writeln!(
        text,
        "\n{rounds} round{} on {}, tidewire at {}.{}",
        if rounds == 1 { "" } else { "s" },
        measured.date,
        measured.commit,
        notes(measured)
    );
    text + "\n"
}

fn notes(measured: &Measured) -> String {
    let mut notes = String::new();
    for (who, why) in &measured.left_out {
        let _ = write!(notes, " Without {}: {}.", who.name(), why.replace('\n', " ").trim_end_matches('.'));
    }
    let disturbed: usize = measured.servers.iter().map(|(_, samples)| samples.disturbed).sum();
    if disturbed > 0 {
        let all: usize = measured.servers.iter().map(|(_, samples)| samples.figures.len()).sum();
        let _ = write!(notes, " In {disturbed} of {all} measurements neither server nor load had nine tenths of its core.");
    }
    notes
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::*;

    #[test]
    fn every_target_and_every_server_has_a_line() {
        let mut results = Results { machine: "a machine".into(), ..Results::default() };
        results.versions.insert("ws".into(), "1.2.3".into());
        results.rows.insert("echo-32".into(), measured());
        let page = markdown(&results);
        for line in [
            "- Machine: a machine\n- Versions: ws (1.2.3)\n",
            "| echo, 20 B on 32 connections | tidewire at most 1.05 x bare | 1.025 (1.00 to 1.05) | met |",
            "## Echo, 20 B on 32 connections\n\n![echo, 20 B on 32 connections](plots/echo-32.svg)",
            "| bare | 4.00 | - |\n| **tidewire** | 4.10 | 1.025 (1.00 to 1.05) |\n| ws | 41.00 | 10.250 (10.00 to 10.50) |",
            "3 rounds on 2026-01-02, tidewire at abc. Without bun: it has <gone>. In 3 of 9 measurements",
        ] {
            assert!(page.contains(line), "{line}\nis missing in\n{page}");
        }
    }
}

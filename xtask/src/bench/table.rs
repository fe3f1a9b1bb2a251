//! From samples to a line of the table.

use super::rows::{Figure, Row};

/// Below this share of a core for server and load alike, others had the cores.
const BUSY: f64 = 0.9;

/// The figures of one contestant, one for each round.
#[derive(Debug, Clone)]
pub struct Samples {
    pub name: &'static str,
    pub figures: Vec<f64>,
    /// Rounds in which neither the server nor the load had a core for itself.
    pub disturbed: usize,
}

impl Samples {
    pub const fn new(name: &'static str) -> Self {
        Self { name, figures: Vec::new(), disturbed: 0 }
    }

    /// Takes a report of the load; `None` when it lacks the row's figure.
    pub fn take(&mut self, row: &Row, report: &serde_json::Value) -> Option<()> {
        let number = |field: &str| report.pointer(field).and_then(serde_json::Value::as_f64);
        match row.figure {
            Figure::Memory { .. } => self.figures.push(number("/memory/bytes_per_connection")?),
            Figure::Time { field, .. } => {
                self.figures.push(number(field)?);
                if number("/server/busy")? < BUSY && number("/load_busy")? < BUSY {
                    self.disturbed += 1;
                }
            }
        }
        Some(())
    }
}

/// The middle of the values, and their ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of nothing, there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, least, most })
    }

    /// Of the ratios of each round.
    fn of_ratios(ours: &Samples, theirs: &Samples) -> Option<Self> {
        Self::of(ours.figures.iter().zip(&theirs.figures).map(|(ours, theirs)| ours / theirs))
    }
}

/// Whether a row keeps to its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Over,
    /// It has none.
    Unjudged,
}

/// The heading, for the peers that are measured beside the rival (the bare server, or whom the title names) and Tidewire.
pub fn heading(peers: &[&str]) -> String {
    let mut line = format!(
        "{:<30} {:>10} {:>10}  {:<20} {:>6}  {:<4}",
        "server CPU us per message", "rival", "tidewire", "ratio (least-most)", "budget", ""
    );
    for peer in peers {
        line += &format!("  {peer:>10}  {:<20}", format!("tidewire/{peer}"));
    }
    line
}

/// A line of the table, from the rival's samples, Tidewire's and those of the peers, of whom some may not take part.
pub fn line(row: &Row, rival: &Samples, tidewire: &Samples, peers: &[Option<&Samples>]) -> Option<(String, Verdict)> {
    let ratio = Spread::of_ratios(tidewire, rival)?;
    let ours = Spread::of(tidewire.figures.iter().copied())?;
    let (judged, budget) = match row.figure {
        Figure::Time { most, .. } => (ratio.median, most),
        Figure::Memory { most } => (ours.median, Some(most)),
    };
    let verdict = match budget {
        None => Verdict::Unjudged,
        Some(most) if judged <= most => Verdict::Ok,
        Some(_) => Verdict::Over,
    };
    let figure = |samples: &Samples| Spread::of(samples.figures.iter().copied()).map(|spread| number(row, spread.median));
    let mut line = format!(
        "{:<30} {:>10} {:>10}  {:<20} {:>6}  {:<4}",
        title(row),
        figure(rival)?,
        figure(tidewire)?,
        ratios(ratio),
        budget.map_or_else(|| "-".to_owned(), |most| most.to_string()),
        match verdict {
            Verdict::Ok => "ok",
            Verdict::Over => "OVER",
            Verdict::Unjudged => "",
        },
    );
    for peer in peers {
        line += &match peer {
            Some(peer) => format!("  {:>10}  {:<20}", figure(peer)?, ratios(Spread::of_ratios(tidewire, peer)?)),
            None => format!("  {:>10}  {:<20}", "-", "-"),
        };
    }
    let others = peers.iter().copied().flatten().filter(|peer| peer.name != rival.name);
    let disturbed: usize = [rival, tidewire].into_iter().chain(others).map(|samples| samples.disturbed).sum();
    if disturbed > 0 {
        line += &format!("  * {disturbed}");
    }
    Some((line.trim_end().to_owned(), verdict))
}

fn title(row: &Row) -> String {
    match row.figure {
        Figure::Time { .. } => row.title.to_owned(),
        Figure::Memory { .. } => format!("{}, bytes", row.title),
    }
}

fn number(row: &Row, value: f64) -> String {
    match row.figure {
        Figure::Memory { .. } => format!("{value:.0}"),
        // A delivery that shares its send with many others costs nanoseconds.
        Figure::Time { .. } if value < 1.0 => format!("{value:.4}"),
        Figure::Time { .. } => format!("{value:.2}"),
    }
}

fn ratios(spread: Spread) -> String {
    // A peer may be a hundred times as slow.
    let decimals = if spread.median < 0.1 { 3 } else { 2 };
    format!("{:.decimals$} ({:.decimals$}-{:.decimals$})", spread.median, spread.least, spread.most)
}

#[cfg(test)]
mod tests {
    use super::super::rows;
    use super::*;

    fn row(name: &str) -> &'static Row {
        rows::ALL.iter().find(|row| row.name == name).unwrap()
    }

    fn samples(name: &'static str, figures: &[f64]) -> Samples {
        Samples { name, figures: figures.to_vec(), disturbed: 0 }
    }

    #[test]
    fn the_middle_of_an_even_and_an_odd_number() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_and_not_of_the_medians() {
        let (bare, ours) = (samples("bare", &[1.0, 2.0, 10.0]), samples("tidewire", &[1.1, 3.0, 11.0]));
        let (text, verdict) = line(row("echo-32"), &bare, &ours, &[]).unwrap();
        assert!(text.contains("1.10 (1.10-1.50)"), "{text}");
        assert_eq!(verdict, Verdict::Ok);
    }

    #[test]
    fn a_budget_that_is_passed_is_seen() {
        let (bare, ours) = (samples("bare", &[1.0]), samples("tidewire", &[1.2]));
        assert_eq!(line(row("echo-32"), &bare, &ours, &[]).unwrap().1, Verdict::Over);
        assert_eq!(line(row("echo-32-deep"), &bare, &ours, &[]).unwrap().1, Verdict::Ok);
        assert_eq!(line(row("echo-500"), &bare, &ours, &[]).unwrap().1, Verdict::Unjudged);
        let memory = [samples("bare", &[70.0]), samples("tidewire", &[513.0])];
        assert_eq!(line(row("idle-9000"), &memory[0], &memory[1], &[]).unwrap().1, Verdict::Over);
    }

    #[test]
    fn peers_and_disturbances_are_told() {
        let mut bun = samples("bun", &[4.0]);
        bun.disturbed = 1;
        let (text, _) =
            line(row("echo-32"), &samples("bare", &[1.0]), &samples("tidewire", &[1.0]), &[None, Some(&bun)]).unwrap();
        assert!(text.contains("-                     ") && text.contains("0.25 (0.25-0.25)") && text.ends_with("* 1"), "{text}");
        assert!(heading(&["bun"]).contains("tidewire/bun"));
    }

    #[test]
    fn a_report_without_the_figure_is_refused() {
        let mut samples = Samples::new("bare");
        let report = serde_json::json!({"server": {"cpu_us_per_message": 4.5, "busy": 0.5}, "load_busy": 0.95});
        assert_eq!(samples.take(row("echo-32"), &report), Some(()));
        assert_eq!(samples.take(row("chat-16"), &report), None);
        let report = serde_json::json!({"server": {"cpu_us_per_message": 4.5, "busy": 0.5}, "load_busy": 0.5});
        assert_eq!(samples.take(row("echo-32"), &report), Some(()));
        assert_eq!((samples.figures.as_slice(), samples.disturbed), (&[4.5, 4.5][..], 1));
    }
}

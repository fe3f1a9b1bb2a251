//! What was measured so far, kept as it came: `bench/results.json`. A row that is measured again replaces what was there; the others stay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::rows::{self, Figure, Limit, Row, Target};
use super::samples::{Samples, Spread};
use super::who::Who;
use super::{page, plot};
use crate::failure::{Context, Failure, Result};

/// The results of all rows.
#[derive(Debug, Default)]
pub struct Results {
    pub machine: String,
    pub versions: BTreeMap<String, String>,
    pub rows: BTreeMap<String, Measured>,
}

/// What came out of a row.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The day.
    pub date: String,
    /// Of ours.
    pub commit: String,
    /// In the order of the row.
    pub servers: Vec<(Who, Samples)>,
    /// Who could not be measured, and why.
    pub left_out: Vec<(Who, String)>,
}

impl Measured {
    pub fn samples(&self, who: Who) -> Option<&Samples> {
        self.servers.iter().find(|(server, _)| *server == who).map(|(_, samples)| samples)
    }

    /// How a target compares: its figure, and whether it is met. `None` when somebody was not measured.
    pub fn judge(&self, target: Target) -> Option<(Spread, bool)> {
        let ours = self.samples(target.ours)?;
        let (spread, most) = match target.limit {
            Limit::Of(rival, most) => (Spread::of_ratios(ours, self.samples(rival)?)?, most),
            Limit::AtMost(most) => (Spread::of(ours.figures.iter().copied())?, most),
        };
        Some((spread, spread.median <= most))
    }

    fn to_json(&self) -> Value {
        let samples = |(who, samples): &(Who, Samples)| json!([slug(*who), samples.figures, samples.disturbed]);
        json!({
            "date": self.date,
            "commit": self.commit,
            "servers": self.servers.iter().map(samples).collect::<Vec<_>>(),
            "left_out": self.left_out.iter().map(|(who, why)| json!([slug(*who), why])).collect::<Vec<_>>(),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |field: &str| value.get(field)?.as_str().map(str::to_owned);
        let mut measured = Self { date: text("date")?, commit: text("commit")?, ..Self::default() };
        for server in value.get("servers")?.as_array()? {
            let figures = server.get(1)?.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
            let disturbed = usize::try_from(server.get(2)?.as_u64()?).ok()?;
            measured.servers.push((named(server.get(0)?)?, Samples { figures, disturbed }));
        }
        for server in value.get("left_out")?.as_array()? {
            measured.left_out.push((named(server.get(0)?)?, server.get(1)?.as_str()?.to_owned()));
        }
        Some(measured)
    }
}

/// The name of a server in flags and files.
fn slug(who: Who) -> String {
    who.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn named(value: &Value) -> Option<Who> {
    Who::from_str(value.as_str()?, false).ok()
}

impl Results {
    /// Reads what a folder has; nothing, where there is nothing yet.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("results.json");
        if !file.is_file() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&file).context(file.display())?;
        Self::from_json(&serde_json::from_str(&text).context(file.display())?)
            .ok_or_else(|| Failure::new(format!("{} was written by something else: move it away", file.display())))
    }

    /// Writes the figures, the page that people read, and its plots.
    pub fn write(&self, folder: &Path) -> Result {
        let plots = folder.join("plots");
        std::fs::create_dir_all(&plots).context(plots.display())?;
        write(folder.join("results.json"), &format!("{:#}\n", self.to_json()))?;
        for (row, measured) in self.in_order() {
            write(plots.join(format!("{}.svg", row.name)), &plot::svg(row, measured))?;
        }
        write(folder.join("results.md"), &page::markdown(self))
    }

    /// The rows that there are, in the order of the table.
    pub fn in_order(&self) -> impl Iterator<Item = (&'static Row, &Measured)> {
        rows::ALL.iter().filter_map(|row| Some((row, self.rows.get(row.name)?)))
    }

    fn to_json(&self) -> Value {
        let rows: serde_json::Map<_, _> = self.rows.iter().map(|(name, row)| (name.clone(), row.to_json())).collect();
        json!({ "machine": self.machine, "versions": self.versions, "rows": rows })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let machine = value.get("machine")?.as_str()?.to_owned();
        let version = |(name, version): (&String, &Value)| Some((name.clone(), version.as_str()?.to_owned()));
        let versions = value.get("versions")?.as_object()?.iter().map(version).collect::<Option<_>>()?;
        // A row that there is no longer is left behind.
        let known = |(name, _): &(&String, &Value)| rows::named(name).is_some();
        let row = |(name, row): (&String, &Value)| Some((name.clone(), Measured::from_json(row)?));
        let rows = value.get("rows")?.as_object()?.iter().filter(known).map(row).collect::<Option<_>>()?;
        Some(Self { machine, versions, rows })
    }
}

/// Whole or not at all: whoever reads it meanwhile sees the earlier one.
fn write(file: PathBuf, text: &str) -> Result {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).context(beside.display())?;
    std::fs::rename(&beside, &file).context(file.display())
}

/// What a target asks for, in words.
pub fn asked(figure: Figure, target: Target) -> String {
    match target.limit {
        Limit::Of(rival, most) => format!("{} at most {most} x {}", target.ours.name(), rival.name()),
        Limit::AtMost(most) => format!("{} at most {}", target.ours.name(), figure.written(most)),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn measured() -> Measured {
        let samples = |figures: &[f64]| Samples { figures: figures.to_vec(), disturbed: 1 };
        Measured {
            date: "2026-01-02".into(),
            commit: "abc".into(),
            servers: vec![
                (Who::Bare, samples(&[4.0, 4.0, 4.0])),
                (Who::Tidewire, samples(&[4.1, 4.2, 4.0])),
                (Who::Ws, samples(&[40.0, 41.0, 42.0])),
            ],
            left_out: vec![(Who::Bun, "it has <gone>".into())],
        }
    }

    #[test]
    fn results_are_read_back_as_they_were_written() {
        let mut results = Results { machine: "a machine".into(), ..Results::default() };
        results.versions.insert("ws".into(), "1.2.3".into());
        results.rows.insert("echo-32".into(), measured());
        let folder = std::env::temp_dir().join(format!("xtask-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(Results::read(&folder).unwrap().rows.is_empty());
        results.write(&folder).unwrap();
        let again = Results::read(&folder).unwrap();
        let files = ["results.md", "plots/echo-32.svg"].map(|file| folder.join(file).is_file());
        std::fs::write(folder.join("results.json"), "{\"rows\": 1}").unwrap();
        let other = Results::read(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((again.to_json(), files), (results.to_json(), [true; 2]));
        assert!(other.unwrap_err().to_string().contains("move it away"));
    }

    #[test]
    fn a_target_is_judged_by_the_median_of_the_ratios() {
        let measured = measured();
        let judge = |ours, limit| measured.judge(Target { ours, limit });
        let (spread, met) = judge(Who::Tidewire, Limit::Of(Who::Bare, 1.05)).unwrap();
        assert!((spread.median - 1.025).abs() < 1e-9 && met);
        assert!(!judge(Who::Tidewire, Limit::Of(Who::Bare, 1.0)).unwrap().1);
        assert!(judge(Who::Tidewire, Limit::AtMost(4.1)).unwrap().1);
        assert_eq!(judge(Who::Tidewire, Limit::Of(Who::Bun, 1.0)), None);
        let target = Target { ours: Who::Tidewire, limit: Limit::AtMost(256.0) };
        assert_eq!(asked(Figure::Memory, target), "tidewire at most 256");
    }
}

//! From samples to figures.

/// Below this share of a core for server and load alike, others had the cores.
const BUSY: f64 = 0.9;

/// The figures of one server, one for each round.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    pub figures: Vec<f64>,
    /// Rounds in which neither the server nor the load had a core for itself.
    pub disturbed: usize,
}

impl Samples {
    /// Takes a figure, and of what report it is.
    pub fn take(&mut self, figure: f64, report: &serde_json::Value) {
        self.figures.push(figure);
        let share = |field: &str| report.pointer(field).and_then(serde_json::Value::as_f64);
        if let (Some(server), Some(load)) = (share("/server/busy"), share("/load_busy"))
            && server < BUSY
            && load < BUSY
        {
            self.disturbed += 1;
        }
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
    pub fn of_ratios(ours: &Samples, theirs: &Samples) -> Option<Self> {
        Self::of(ours.figures.iter().zip(&theirs.figures).map(|(ours, theirs)| ours / theirs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(figures: &[f64]) -> Samples {
        Samples { figures: figures.to_vec(), disturbed: 0 }
    }

    #[test]
    fn a_ratio_belongs_to_its_round() {
        // The machine became twice as slow: the ratio of each round did not change.
        let ratio = Spread::of_ratios(&samples(&[1.0, 2.0, 3.0]), &samples(&[2.0, 4.0, 4.0])).unwrap();
        assert_eq!(ratio, Spread { median: 0.5, least: 0.5, most: 0.75 });
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_round_in_which_nobody_had_a_core_is_counted() {
        let mut samples = Samples::default();
        for (server, load) in [(0.5, 0.95), (0.95, 0.5), (0.5, 0.5)] {
            samples.take(1.0, &serde_json::json!({"server": {"busy": server}, "load_busy": load}));
        }
        samples.take(1.0, &serde_json::json!({"memory": {}}));
        assert_eq!((samples.figures.len(), samples.disturbed), (4, 1));
    }
}

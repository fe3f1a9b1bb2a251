//! What the suite's reports say, and what is good enough: everything else has failed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Context, Failure, Result};

/// The outcomes of a run, in the order of the suite.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub passed: usize,
    /// Of those that passed: cases in which the standard leaves open what is right.
    pub informational: usize,
    pub failures: Vec<Failed>,
}

/// A case that did not pass.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub case: String,
    /// What the suite says of the messages: FAILED, NON-STRICT, UNIMPLEMENTED, and so on.
    pub behavior: String,
    /// What it says of the end of the connection.
    pub close: String,
    /// The file that tells more.
    pub report: Option<String>,
}

/// Reads the index of a run's reports and judges the cases that were to be run.
pub fn read(index: &Path, planned: &[String]) -> Result<Outcomes> {
    let text = std::fs::read_to_string(index).context(format_args!("{}: no reports", index.display()))?;
    let agents: BTreeMap<String, Value> = serde_json::from_str(&text).context(index.display())?;
    let mut agents = agents.into_values();
    match (agents.next(), agents.next()) {
        (Some(cases), None) => Ok(judge(&cases, planned)),
        (None, _) => Err(Failure::new(format!("{}: no case has a report", index.display()))),
        (Some(_), Some(_)) => Err(Failure::new(format!("{}: reports under more than one name", index.display()))),
    }
}

/// A case has passed when messages and close are OK, or of interest only. A case without a report has not been run.
fn judge(cases: &Value, planned: &[String]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for case in planned {
        let word = |field| cases.get(case).and_then(|report| report.get(field)).and_then(Value::as_str);
        let (behavior, close) = (word("behavior").unwrap_or("MISSING"), word("behaviorClose").unwrap_or("MISSING"));
        let fine = |word| matches!(word, "OK" | "INFORMATIONAL");
        if fine(behavior) && fine(close) {
            outcomes.passed += 1;
            outcomes.informational += usize::from(behavior == "INFORMATIONAL");
        } else {
            outcomes.failures.push(Failed {
                case: case.clone(),
                behavior: behavior.to_owned(),
                close: close.to_owned(),
                report: word("reportfile").map(|file| file.replace(".json", ".html")),
            });
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(cases: &[&str]) -> Vec<String> {
        cases.iter().map(|case| (*case).to_owned()).collect()
    }

    #[test]
    fn only_what_is_right_passes() {
        let report =
            |behavior: &str, close: &str| json!({"behavior": behavior, "behaviorClose": close, "reportfile": "a_1.json"});
        let cases = json!({
            "1.1.1": report("OK", "OK"),
            "7.1.6": report("INFORMATIONAL", "INFORMATIONAL"),
            "6.4.1": report("NON-STRICT", "OK"),
            "12.1.1": report("UNIMPLEMENTED", "OK"),
            "9.1.1": report("OK", "UNCLEAN"),
            "2.1": report("FAILED", "OK"),
            "2.2": report("OK", "WRONG CODE"),
        });
        let outcomes = judge(&cases, &planned(&["1.1.1", "2.1", "2.2", "6.4.1", "7.1.6", "9.1.1", "12.1.1", "13.1.1"]));
        let failed: Vec<_> =
            outcomes.failures.iter().map(|failed| format!("{} {}/{}", failed.case, failed.behavior, failed.close)).collect();
        let expected = [
            "2.1 FAILED/OK",
            "2.2 OK/WRONG CODE",
            "6.4.1 NON-STRICT/OK",
            "9.1.1 OK/UNCLEAN",
            "12.1.1 UNIMPLEMENTED/OK",
            "13.1.1 MISSING/MISSING",
        ];
        assert_eq!(failed, expected);
        assert_eq!((outcomes.passed, outcomes.informational), (2, 1));
        assert_eq!(outcomes.failures[0].report.as_deref(), Some("a_1.html"));
    }

    #[test]
    fn reports_that_are_not_there_are_an_error() {
        let error = read(Path::new("no-such-folder/index.json"), &planned(&["1.1.1"])).unwrap_err();
        assert!(error.to_string().contains("no reports"), "{error}");
    }
}

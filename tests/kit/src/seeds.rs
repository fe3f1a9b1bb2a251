//! One test over many seeds, and a failing seed that can be run again.

use std::env;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};

/// The variable that runs one seed only.
pub const ONE: &str = "TIDEWIRE_SEED";
/// The variable that says how many seeds to run, instead of the test's own number.
pub const COUNT: &str = "TIDEWIRE_SEEDS";

/// Runs `test` with the seeds `0..count`, one after the other; a failure says which seed it was and how to run it again.
///
/// `TIDEWIRE_SEED=17` runs that seed alone, `TIDEWIRE_SEEDS=100000` that many.
///
/// # Panics
/// With the panic of the test, and when one of the variables is not a number.
///
/// # Examples
/// ```
/// use tidewire_kit::{Random, for_each_seed};
///
/// for_each_seed(100, |seed| {
///     let mut random = Random::new(seed);
///     assert!(random.below(10) < 10);
/// });
/// ```
pub fn for_each_seed(count: u64, mut test: impl FnMut(u64)) {
    let variable = |name| env::var(name).ok();
    for seed in seeds(count, variable(ONE).as_deref(), variable(COUNT).as_deref()) {
        if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("seed {seed} failed; run it alone with {ONE}={seed}");
            panic::resume_unwind(failure);
        }
    }
}

fn seeds(count: u64, one: Option<&str>, wanted: Option<&str>) -> Range<u64> {
    let number =
        |name: &str, text: &str| -> u64 { text.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")) };
    match (one, wanted) {
        (Some(one), _) => {
            let one = number(ONE, one);
            one..one + 1
        }
        (None, Some(wanted)) => 0..number(COUNT, wanted),
        (None, None) => 0..count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_choose_the_seeds() {
        assert_eq!(seeds(3, None, None), 0..3);
        assert_eq!(seeds(3, None, Some("50")), 0..50);
        assert_eq!(seeds(3, Some("17"), Some("50")), 17..18);
    }

    #[test]
    #[should_panic(expected = "TIDEWIRE_SEED must be a number")]
    fn a_variable_that_is_no_number_is_said() {
        seeds(3, Some("many"), None);
    }

    #[test]
    fn a_failing_seed_fails_the_test() {
        let mut ran = Vec::new();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            for_each_seed(5, |seed| {
                ran.push(seed);
                assert!(seed < 2, "too large");
            });
        }));
        // A variable in the environment would choose other seeds than these.
        if env::var(ONE).is_err() && env::var(COUNT).is_err() {
            assert!(outcome.is_err());
            assert_eq!(ran, [0, 1, 2]);
        }
    }
}

//! Every seed of the fuzzer, and what comes of it by small changes, in every test run: so targets keep compiling, seeds keep holding,
//! and a finding whose input was added to the seeds stays found. `TIDEWIRE_SEEDS=100000` tries that many changes of each seed, where
//! libFuzzer cannot be had.

#![allow(clippy::expect_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};

use tidewire_hardening::fuzz::{TARGETS, Target};
use tidewire_kit::{Random, for_each_seed};

/// The folder of the fuzzer, which is a workspace of its own.
fn fuzzer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The names and bytes of a target's seeds.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = fuzzer().join("seeds").join(target.name);
    let files = fs::read_dir(&folder).expect("every target has a folder of seeds");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let file = file.expect("the folder can be read");
            (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("the seed can be read"))
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    seeds
}

/// Runs a target's seeds, and each of them changed `changes` times.
fn replay(name: &str, changes: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("there is such a target");
    for (seed, bytes) in seeds(target) {
        // Shown when it fails.
        println!("{name}/{seed}");
        (target.run)(&bytes);
        for_each_seed(changes, |change| (target.run)(&changed(&bytes, change)));
    }
}

/// A few bytes replaced, taken out, doubled, or moved.
fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let (mut random, mut bytes) = (Random::new(seed), bytes.to_vec());
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = random.bits() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < end => drop(bytes.drain(at..end)),
            3 if at < end => bytes.extend_from_within(at..end),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

#[test]
fn frame() {
    replay("frame", 2000);
}

#[test]
fn handshake() {
    replay("handshake", 2000);
}

#[test]
fn extension() {
    replay("extension", 2000);
}

#[test]
fn deflate() {
    replay("deflate", 300);
}

#[test]
fn receive() {
    replay("receive", 300);
}

#[test]
fn engine() {
    replay("engine", 100);
}

#[test]
fn every_target_is_a_program_with_seeds_and_a_test() {
    let programs: Vec<_> = fs::read_dir(fuzzer().join("targets"))
        .expect("the fuzzer has programs")
        .map(|file| file.expect("the folder can be read").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let tests = include_str!("seeds.rs");
    assert_eq!(programs.len(), TARGETS.len(), "{programs:?}");
    for target in TARGETS {
        assert!(programs.iter().any(|program| program == target.name), "targets/{}.rs is missing", target.name);
        assert!(tests.contains(&format!("fn {}()", target.name)), "no test replays the seeds of {}", target.name);
        assert!(seeds(&target).iter().all(|(name, bytes)| bytes.len() < 2048 && !name.starts_with('.')), "seeds are small");
    }
}

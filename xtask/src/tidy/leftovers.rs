//! Words that must not stay in the project: notes to oneself, and places that exist on one machine only.

use super::Findings;
use super::source::is_word;

/// Notes to oneself: whole words. (Split, so that this file passes its own check.)
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
/// Folders of one machine.
const PLACES: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "tmp/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("C:", "\\Users"),
];
/// The only hosts that a lock file may fetch from.
const REGISTRIES: &[&str] = &["https://registry.npmjs.org/", "registry+https://github.com/rust-lang/crates.io-index"];

pub fn check(file: &str, text: &str, findings: &mut Findings) {
    let lock = file.ends_with("package-lock.json") || file.ends_with("Cargo.lock");
    for (number, line) in text.lines().enumerate() {
        let mut report = |message: String| findings.error(file, number + 1, message);
        if lock {
            if let Some(source) = source_of(line).filter(|source| !REGISTRIES.iter().any(|known| source.starts_with(known))) {
                report(format!("{source} is not the public registry"));
            }
            continue;
        }
        for note in NOTES.iter().filter(|note| has_word(line, note)) {
            report(format!("{note}: do it or write an issue"));
        }
        for place in PLACES.iter().filter(|place| has_place(line, place)) {
            report(format!("{place} is a folder of one machine"));
        }
    }
}

/// Where a line of a lock file says that a package comes from.
fn source_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let value = line.strip_prefix("\"resolved\": \"").or_else(|| line.strip_prefix("source = \""))?;
    value.split('"').next().filter(|source| source.contains("://"))
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// A folder at the root, not the same letters within a longer path or an address.
fn has_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '~' | '}' | '*' | ')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [String; 0] = [];

    fn errors(file: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(file, text, &mut findings);
        findings.errors
    }

    #[test]
    fn notes_and_places_are_found_with_their_lines() {
        for note in NOTES {
            assert_eq!(errors("a.rs", &format!("\n// {note}: later")).len(), 1, "{note}");
            assert_eq!(errors("a.rs", &format!("let a{note} = {note}S;")), NOTHING, "{note}");
        }
        for place in PLACES {
            let errors = errors("a.md", &format!("fine\nsee {place}me/x"));
            assert_eq!(errors.len(), 1, "{place}");
            assert!(errors[0].starts_with("a.md:2: "), "{errors:?}");
        }
    }

    #[test]
    fn the_same_letters_elsewhere_pass() {
        let inside = format!("https://example.com{} and src{}", PLACES[0], PLACES[1]);
        assert_eq!(errors("a.md", &inside), NOTHING);
    }

    #[test]
    fn a_lock_file_names_only_the_public_registries() {
        let npm = "      \"resolved\": \"https://registry.npmjs.org/ws/-/ws-8.0.0.tgz\",";
        assert_eq!(errors("node/package-lock.json", npm), NOTHING);
        let mirror = "      \"resolved\": \"https://mirror.example/ws-8.0.0.tgz\",";
        assert_eq!(errors("node/package-lock.json", mirror).len(), 1);
        assert_eq!(errors("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
        let own = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert_eq!(errors("Cargo.lock", own), NOTHING);
    }
}

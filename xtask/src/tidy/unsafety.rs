//! `unsafe` lives in two places, and says there why it is sound.

use super::Findings;
use super::source::{line_of, words};

/// The only folders where it may be written.
const ALLOWED: &[&str] = &["crates/sys/", "node/src/"];
/// What every other root says.
const FORBID: &str = "#![forbid(unsafe_code)]";

pub fn check(file: &str, text: &str, code: &str, findings: &mut Findings) {
    for (offset, word) in words(code) {
        if word != "unsafe" {
            continue;
        }
        let line = line_of(code, offset);
        if !allowed(file) {
            findings.error(file, line, format_args!("unsafe outside {}", ALLOWED.join(" and ")));
        } else if wants_reason(&code[offset + word.len()..]) && !has_reason(text, line) {
            findings.error(file, line, "unsafe without a SAFETY comment above it");
        }
    }
}

/// The root file of a library or binary.
pub fn check_root(file: &str, text: &str, findings: &mut Findings) {
    if !allowed(file) && !text.lines().any(|line| line.trim() == FORBID) {
        findings.error(file, 1, format_args!("the root of a crate without unsafe code says {FORBID}"));
    }
}

fn allowed(file: &str) -> bool {
    ALLOWED.iter().any(|folder| file.starts_with(folder))
}

/// Blocks, implementations and foreign blocks promise something; `unsafe fn` and `#[unsafe(..)]` only ask for it.
fn wants_reason(after: &str) -> bool {
    let after = after.trim_start();
    if let Some(foreign) = after.strip_prefix("extern") {
        let abi = foreign.trim_start().trim_start_matches('"').trim_start().trim_start_matches('"');
        return abi.trim_start().starts_with('{');
    }
    after.starts_with('{') || after.starts_with("impl")
}

/// Whether the comment block that belongs to a line, on it or above its statement, gives a reason.
fn has_reason(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).map(str::trim).collect();
    let Some((own, above)) = lines.split_last() else { return false };
    if own.contains("SAFETY:") {
        return true;
    }
    for line in above.iter().rev() {
        if line.starts_with("//") {
            if line.contains("SAFETY:") {
                return true;
            }
        } else if line.is_empty() || line.ends_with([';', '{', '}', ',']) {
            // The end of another statement: what stands above it belongs to that.
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::source::code_only;
    use super::*;

    fn errors(file: &str, text: &str) -> usize {
        let mut findings = Findings::default();
        check(file, text, &code_only(text), &mut findings);
        findings.errors.len()
    }

    #[test]
    fn unsafe_outside_its_places_is_found() {
        assert_eq!(errors("crates/tidewire/src/lib.rs", "// SAFETY: no\nunsafe { f() }"), 1);
        assert_eq!(errors("node/build.rs", "unsafe fn f() {}"), 1);
        assert_eq!(errors("crates/tidewire/src/lib.rs", "// unsafe\nlet x = \"unsafe\"; unsafely();"), 0);
    }

    #[test]
    fn unsafe_without_a_reason_is_found() {
        let file = "crates/sys/src/a.rs";
        assert_eq!(errors(file, "unsafe { f() }"), 1);
        assert_eq!(errors(file, "// SAFETY: of another\ng();\nunsafe { f() }"), 1);
        assert_eq!(errors(file, "unsafe impl Send for A {}"), 1);
        assert_eq!(errors(file, "unsafe extern \"C\" {\n fn f(); }"), 1);
    }

    #[test]
    fn unsafe_with_a_reason_passes() {
        let file = "crates/sys/src/a.rs";
        assert_eq!(errors(file, "// SAFETY: f has no precondition.\nunsafe { f() }"), 0);
        assert_eq!(errors(file, "// SAFETY: long,\n// over two lines.\nlet x =\n    unsafe { f() };"), 0);
        assert_eq!(errors(file, "let x = unsafe { f() }; // SAFETY: here"), 0);
        assert_eq!(errors(file, "/// # Safety\n/// The caller knows.\npub unsafe fn f() {}"), 0);
        assert_eq!(errors(file, "type F = unsafe extern \"C\" fn(i32);\n#[unsafe(no_mangle)]\nfn g() {}"), 0);
    }

    #[test]
    fn a_root_without_the_lint_is_found() {
        let mut findings = Findings::default();
        check_root("crates/tidewire/src/lib.rs", "//! #![forbid(unsafe_code)]\n", &mut findings);
        assert_eq!(findings.errors.len(), 1);
        check_root("crates/tidewire/src/lib.rs", "//! A crate.\n#![forbid(unsafe_code)]\n", &mut findings);
        check_root("crates/sys/src/lib.rs", "", &mut findings);
        assert_eq!(findings.errors.len(), 1);
    }
}

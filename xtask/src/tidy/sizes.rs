//! Files and functions that have grown past what one reads at once.

use super::Findings;
use super::source::{line_of, words};

/// Lines of a file of code, above which it must be split.
const FILE: usize = 700;
/// Lines of a function, above which it deserves a look.
const FUNCTION: usize = 70;
/// What counts as code.
const CODE: &[&str] = &["rs", "js", "mjs", "cjs", "ts", "mts", "cts", "html", "css", "sh"];

pub fn check_file(file: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    let code = file.rsplit_once('.').is_some_and(|(_, extension)| CODE.contains(&extension));
    if code && lines > FILE {
        findings.error(file, lines, format_args!("{lines} lines are more than {FILE}: find the seam"));
    }
}

pub fn check_functions(file: &str, code: &str, findings: &mut Findings) {
    let mut words = words(code).peekable();
    while let Some((start, word)) = words.next() {
        if word != "fn" {
            continue;
        }
        // A function type, as in `Box<dyn Fn()>` or `fn(i32)`, has no name behind its `fn`.
        let Some(&(name_at, name)) = words.peek() else { continue };
        if !code[start + word.len()..name_at].trim().is_empty() {
            continue;
        }
        let Some(end) = end_of_body(code, name_at) else { continue };
        let lines = line_of(code, end) - line_of(code, start) + 1;
        if lines > FUNCTION {
            let message = format_args!("{name} has {lines} lines, more than {FUNCTION}: look for the seam");
            findings.warning(file, line_of(code, start), message);
        }
    }
}

/// The closing brace of the body that follows; `None` for a declaration without one.
fn end_of_body(code: &str, from: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0usize, 0usize);
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            // `[u8; 4]` in a signature is not the end of a declaration.
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' if braces <= 1 => return (braces == 1).then_some(offset),
            b'}' => braces -= 1,
            b';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn f(a: [u8; 4]) {{\n{}}}\n", "    { g(); }\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_past_the_limit_is_an_error() {
        let mut findings = Findings::default();
        check_file("a.rs", &"x\n".repeat(FILE), &mut findings);
        check_file("package-lock.json", &"x\n".repeat(10 * FILE), &mut findings);
        assert!(findings.errors.is_empty());
        check_file("a.rs", &"x\n".repeat(FILE + 1), &mut findings);
        check_file("a/b.test.mjs", &"x\n".repeat(FILE + 1), &mut findings);
        assert_eq!(findings.errors.len(), 2);
    }

    #[test]
    fn a_function_past_the_limit_is_a_warning() {
        let mut findings = Findings::default();
        check_functions("a.rs", &function(FUNCTION), &mut findings);
        check_functions("a.rs", &format!("type T = fn(i32);\ntrait A {{ fn a(&self); }}\n{}", function(FUNCTION)), &mut findings);
        assert!(findings.warnings.is_empty(), "{findings:?}");
        check_functions("a.rs", &format!("\n{}", function(FUNCTION + 1)), &mut findings);
        assert_eq!(findings.warnings, ["a.rs:2: f has 71 lines, more than 70: look for the seam"]);
        assert!(findings.errors.is_empty());
    }
}

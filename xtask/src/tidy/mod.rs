//! `cargo xtask tidy`: what the design asks for and the compiler cannot see.
//!
//! Each check is a function from a project's contents to [`Findings`], in a file of its own, with tests that show it failing on
//! a bad example.

mod edges;
mod leftovers;
mod lints;
mod rooms;
mod sizes;
mod source;
mod unsafety;

use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

/// What the checks have found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What must not be: the command fails.
    pub errors: Vec<String>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, file: &str, line: usize, message: impl std::fmt::Display) {
        self.errors.push(format!("{file}:{line}: {message}"));
    }

    fn warning(&mut self, file: &str, line: usize, message: impl std::fmt::Display) {
        self.warnings.push(format!("{file}:{line}: {message}"));
    }
}

/// Runs every check over the workspace and prints what they find.
pub fn run(workspace: &Workspace) -> Result {
    let mut findings = Findings::default();
    edges::check(&workspace.packages, &mut findings);
    for package in &workspace.packages {
        if let Some(manifest) = workspace.text(&package.manifest)? {
            lints::check(&package.manifest, &manifest, &mut findings);
        }
        for root in &package.roots {
            if let Some(text) = workspace.text(root)? {
                unsafety::check_root(root, &text, &mut findings);
            }
        }
    }
    let files = workspace.files()?;
    for file in &files {
        if let Some(text) = workspace.text(file)? {
            check_file(file, &text, &mut findings);
        }
    }
    report(&findings, files.len())
}

fn check_file(file: &str, text: &str, findings: &mut Findings) {
    leftovers::check(file, text, findings);
    sizes::check_file(file, text, findings);
    if file.ends_with(".rs") {
        let code = source::code_only(text);
        sizes::check_functions(file, &code, findings);
        unsafety::check(file, text, &code, findings);
        rooms::check(file, &code, findings);
    }
}

fn report(findings: &Findings, files: usize) -> Result {
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    let (errors, warnings) = (findings.errors.len(), findings.warnings.len());
    println!("tidy: {files} files, {errors} errors, {warnings} warnings");
    if errors == 0 { Ok(()) } else { Err(Failure::new("the project is not tidy")) }
}

//! Every member takes the workspace's lints.

use super::Findings;

pub fn check(manifest: &str, text: &str, findings: &mut Findings) {
    if !inherits(text) {
        findings.error(manifest, 1, "the crate does not inherit the workspace's lints: [lints] workspace = true");
    }
}

fn inherits(text: &str) -> bool {
    let mut table = "";
    for line in text.lines().map(|line| line.split('#').next().unwrap_or("").trim()) {
        if line.starts_with('[') {
            table = line;
        }
        let statement: String = line.split_whitespace().collect();
        if (table == "[lints]" && statement == "workspace=true") || statement == "lints.workspace=true" {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> usize {
        let mut findings = Findings::default();
        check("a/Cargo.toml", text, &mut findings);
        findings.errors.len()
    }

    #[test]
    fn a_crate_without_the_workspaces_lints_is_found() {
        assert_eq!(errors("[package]\nname = \"a\"\n"), 1);
        assert_eq!(errors("[lints]\n# workspace = true\n"), 1);
        assert_eq!(errors("[lints]\n[dependencies]\nworkspace = true\n"), 1);
        assert_eq!(errors("[lints]\nworkspace = true # as all\n"), 0);
        assert_eq!(errors("lints.workspace = true\n[package]\n"), 0);
    }
}

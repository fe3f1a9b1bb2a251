//! Who may import whom, between the members of the workspace.

use super::Findings;
use crate::workspace::Package;

/// What each shipped member may import of ours. Nothing else of ours may be imported by it.
const SHIPPED: &[(&str, &[&str])] = &[
    ("tidewire-proto", &[]),
    ("tidewire-sys", &[]),
    ("tidewire", &["tidewire-proto", "tidewire-sys"]),
    // What measures servers shares nothing with what it measures.
    ("tidewire-load", &[]),
    ("tidewire-cli", &["tidewire", "tidewire-load"]),
    ("tidewire-node", &["tidewire"]),
];
/// What nobody may import.
const LEAVES: &[&str] = &["tidewire-cli", "tidewire-node", "tidewire-bench", "xtask"];
/// The simulated world of the tests.
const KIT: &str = "tidewire-kit";

pub fn check(packages: &[Package], findings: &mut Findings) {
    for package in packages {
        for import in &package.imports {
            if let Some(reason) = objection(package, &import.name, import.development) {
                findings.error(&package.manifest, 1, format_args!("{} imports {}: {reason}", package.name, import.name));
            }
        }
        let known = SHIPPED.iter().any(|(name, _)| *name == package.name);
        if !known && package.manifest.starts_with("crates/") {
            findings.error(&package.manifest, 1, "a shipped crate without a rule: say in xtask's edges.rs what it may import");
        }
    }
}

fn objection(package: &Package, import: &str, development: bool) -> Option<String> {
    if LEAVES.contains(&import) {
        return Some("nobody imports that".into());
    }
    let (name, allowed) = SHIPPED.iter().find(|(name, _)| *name == package.name)?;
    if allowed.contains(&import) || (development && import == KIT) {
        None
    } else if import == KIT {
        Some("only tests may, as a dev-dependency".into())
    } else if allowed.is_empty() {
        Some(format!("{name} imports nothing of ours"))
    } else {
        Some(format!("of ours, {name} imports only {}", allowed.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Import;

    fn errors(name: &str, manifest: &str, imports: &[(&str, bool)]) -> Vec<String> {
        let imports = imports.iter().map(|&(name, development)| Import { name: name.into(), development }).collect::<Vec<_>>();
        let package = Package { name: name.into(), manifest: manifest.into(), roots: Vec::new(), imports };
        let mut findings = Findings::default();
        check(&[package], &mut findings);
        findings.errors
    }

    #[test]
    fn the_edges_of_the_design_are_allowed() {
        let sides = [("tidewire-proto", false), ("tidewire-sys", false), ("tidewire-kit", true)];
        assert!(errors("tidewire", "crates/tidewire/Cargo.toml", &sides).is_empty());
        assert!(errors("tidewire-contract", "tests/contract/Cargo.toml", &[("tidewire-kit", false)]).is_empty());
        assert!(errors("tidewire-kit", "tests/kit/Cargo.toml", &[("tidewire-sys", false)]).is_empty());
    }

    #[test]
    fn every_other_edge_is_an_error() {
        let bad = [
            ("tidewire-proto", "tidewire-sys", false),
            ("tidewire-sys", "tidewire-proto", true),
            ("tidewire", "tidewire-kit", false),
            ("tidewire-node", "tidewire-sys", false),
            ("tidewire-contract", "tidewire-cli", false),
            ("xtask", "tidewire-bench", true),
            ("tidewire-load", "tidewire-proto", false),
            ("tidewire", "tidewire-load", true),
        ];
        for (package, import, development) in bad {
            let errors = errors(package, "somewhere/Cargo.toml", &[(import, development)]);
            assert_eq!(errors.len(), 1, "{package} imports {import}");
            assert!(errors[0].contains(import), "{errors:?}");
        }
    }

    #[test]
    fn a_new_shipped_crate_needs_a_rule() {
        assert_eq!(errors("tidewire-cluster", "crates/cluster/Cargo.toml", &[]).len(), 1);
    }
}

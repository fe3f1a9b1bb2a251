//! What cargo says about the workspace, and where its files are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::process;

/// The workspace as `cargo metadata` describes it.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// The members, by name.
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// The path of its Cargo.toml, relative to the workspace.
    pub manifest: String,
    /// The root files of its libraries and binaries, relative to the workspace.
    pub roots: Vec<String>,
    /// Its dependencies on other members.
    pub imports: Vec<Import>,
}

/// A dependency of one member on another.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    /// Whether only tests, examples and benchmarks see it.
    pub development: bool,
}

impl Workspace {
    /// Asks cargo about the workspace that this command belongs to.
    pub fn load() -> Result<Self> {
        let mut command = process::cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        // Set by `cargo run`: the command works from any folder.
        if let Some(xtask) = std::env::var_os("CARGO_MANIFEST_DIR") {
            command.arg("--manifest-path").arg(Path::new(&xtask).join("Cargo.toml"));
        }
        let text = process::output(&mut command)?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
        Self::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Value) -> Result<Self> {
        let root = PathBuf::from(string(metadata, "workspace_root")?);
        let mut packages = list(metadata, "packages")?
            .iter()
            .map(|package| Package::from_metadata(package, &root))
            .collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { target: PathBuf::from(string(metadata, "target_directory")?), root, packages })
    }

    /// Where a profile's artefacts are.
    pub fn profile_folder(&self, profile: &str) -> PathBuf {
        self.target.join(if profile == "dev" { "debug" } else { profile })
    }

    /// The path of a binary that was built in a profile.
    pub fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.profile_folder(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// The files of the project, relative to its root: those that git tracks, and new ones that it does not ignore.
    pub fn files(&self) -> Result<Vec<String>> {
        let listing = process::output(Command::new("git").current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ]))?;
        Ok(listing.split('\0').filter(|name| !name.is_empty() && self.root.join(name).is_file()).map(str::to_owned).collect())
    }

    /// A file's text; `None` when it is not text.
    pub fn text(&self, file: &str) -> Result<Option<String>> {
        let bytes = std::fs::read(self.root.join(file)).context(file)?;
        Ok(String::from_utf8(bytes).ok())
    }
}

impl Package {
    fn from_metadata(package: &Value, workspace: &Path) -> Result<Self> {
        let mut imports = Vec::new();
        for dependency in list(package, "dependencies")? {
            // Of the dependencies, only members of this workspace have a path.
            if dependency.get("path").is_some_and(Value::is_string) {
                let development = dependency.get("kind").and_then(Value::as_str) == Some("dev");
                imports.push(Import { name: string(dependency, "name")?.to_owned(), development });
            }
        }
        let mut roots = Vec::new();
        for target in list(package, "targets")? {
            let kinds = list(target, "kind")?;
            let shipped = |kind: &Value| matches!(kind.as_str(), Some("lib" | "rlib" | "cdylib" | "staticlib" | "bin"));
            if kinds.iter().any(shipped) {
                roots.push(relative(string(target, "src_path")?, workspace));
            }
        }
        Ok(Self {
            name: string(package, "name")?.to_owned(),
            manifest: relative(string(package, "manifest_path")?, workspace),
            roots,
            imports,
        })
    }
}

fn relative(path: &str, workspace: &Path) -> String {
    let path = Path::new(path);
    path.strip_prefix(workspace).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| Failure::new(format!("cargo metadata has no text {key:?}")))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).ok_or_else(|| Failure::new(format!("cargo metadata has no list {key:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_their_edges_and_their_roots_are_read() {
        let metadata = serde_json::json!({
            "workspace_root": "/here",
            "target_directory": "/there",
            "packages": [{
                "name": "a",
                "manifest_path": "/here/crates/a/Cargo.toml",
                "dependencies": [
                    {"name": "b", "path": "/here/crates/b", "kind": null},
                    {"name": "kit", "path": "/here/tests/kit", "kind": "dev"},
                    {"name": "http", "path": null, "kind": null},
                ],
                "targets": [
                    {"kind": ["lib"], "src_path": "/here/crates/a/src/lib.rs"},
                    {"kind": ["test"], "src_path": "/here/crates/a/tests/t.rs"},
                ],
            }],
        });
        let workspace = Workspace::from_metadata(&metadata).unwrap();
        let package = &workspace.packages[0];
        assert_eq!(package.manifest, "crates/a/Cargo.toml");
        assert_eq!(package.roots, ["crates/a/src/lib.rs"]);
        assert_eq!(
            package.imports,
            [Import { name: "b".into(), development: false }, Import { name: "kit".into(), development: true }]
        );
        assert_eq!(workspace.profile_folder("dev"), Path::new("/there/debug"));
    }

    #[test]
    fn metadata_of_another_shape_is_an_error() {
        assert!(Workspace::from_metadata(&serde_json::json!({"packages": []})).is_err());
    }
}

//! `cargo xtask node`: builds the Node-API addon and puts it where the npm package looks for it.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// How to build.
#[derive(Args)]
pub struct Options {
    /// The cargo profile
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds the addon and says where it is.
pub fn run(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let addon = build(workspace, &options.profile)?;
    println!("{}", addon.display());
    Ok(addon)
}

/// Builds the addon in a profile and gives its place in `node/`.
pub fn build(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    process::run(process::cargo().current_dir(&workspace.root).args(["build", "-p", "tidewire-node", "--profile", profile]))?;
    let library = format!("{}tidewire_node{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let built = workspace.profile_folder(profile).join(library);
    let platform = platform(std::env::consts::OS, std::env::consts::ARCH, abi())
        .ok_or_else(|| Failure::new("Node.js has no name for this platform"))?;
    let place = workspace.root.join("node").join(format!("tidewire.{platform}.node"));
    // Renamed into place: a running Node.js keeps the file that it has mapped.
    let beside = place.with_extension("node.new");
    std::fs::copy(&built, &beside).context(format_args!("copying {}", built.display()))?;
    std::fs::rename(&beside, &place).context(place.display())?;
    Ok(place)
}

/// The C library or compiler that tells apart binaries for one system and processor.
fn abi() -> &'static str {
    match () {
        () if cfg!(target_env = "musl") => "musl",
        () if cfg!(target_env = "msvc") => "msvc",
        () if cfg!(all(target_env = "gnu", target_abi = "eabihf")) => "gnueabihf",
        () if cfg!(target_env = "gnu") => "gnu",
        () => "",
    }
}

/// The platform's name in file names, as `process.platform` and `process.arch` of Node.js give it, with the ABI where there is
/// more than one.
fn platform(system: &str, processor: &str, abi: &str) -> Option<String> {
    let system = match system {
        "linux" | "freebsd" | "android" => system,
        "macos" => "darwin",
        "windows" => "win32",
        _ => return None,
    };
    let processor = match processor {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "x86" => "ia32",
        "powerpc64" => "ppc64",
        "arm" | "riscv64" | "s390x" => processor,
        _ => return None,
    };
    let abi = if matches!(system, "linux" | "win32") { abi } else { "" };
    let separator = if abi.is_empty() { "" } else { "-" };
    Some(format!("{system}-{processor}{separator}{abi}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_as_node_names_them() {
        let cases = [
            (("linux", "x86_64", "gnu"), Some("linux-x64-gnu")),
            (("linux", "x86_64", "musl"), Some("linux-x64-musl")),
            (("linux", "aarch64", "gnu"), Some("linux-arm64-gnu")),
            (("linux", "arm", "gnueabihf"), Some("linux-arm-gnueabihf")),
            (("macos", "aarch64", ""), Some("darwin-arm64")),
            (("windows", "x86_64", "msvc"), Some("win32-x64-msvc")),
            (("windows", "x86", "msvc"), Some("win32-ia32-msvc")),
            (("freebsd", "x86_64", ""), Some("freebsd-x64")),
            (("plan9", "x86_64", ""), None),
            (("linux", "m68k", "gnu"), None),
        ];
        for ((system, processor, abi), name) in cases {
            assert_eq!(platform(system, processor, abi).as_deref(), name);
        }
    }
}

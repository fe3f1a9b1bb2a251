//! `cargo xtask pack`: the npm packages as they are published, the library and this platform's addon. What goes into them is
//! decided by `node/scripts/pack.cjs`, which the package's tests use too.

use std::process::Command;

use crate::failure::Result;
use crate::node;
use crate::process;
use crate::workspace::Workspace;

/// Builds the addon, packs, and says where the tarballs are.
pub fn run(workspace: &Workspace, options: &node::Options) -> Result {
    node::run(workspace, options)?;
    let script = workspace.root.join("node/scripts/pack.cjs");
    process::run(Command::new("node").arg(script).arg(workspace.target.join("npm")))
}

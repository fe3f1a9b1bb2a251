"use strict";
// Finds the addon for this platform: beside this folder where it was built, else in the package for the platform, which npm
// installs as an optional dependency.

/** The platforms that have a package. */
const PLATFORMS = ["linux-x64-gnu", "linux-x64-musl", "linux-arm64-gnu", "linux-arm64-musl", "darwin-x64", "darwin-arm64"];

/**
 * The names that the platform may have, as napi-rs gives them. Of Linux's two, npm installs the one that fits; which one that is, Node.js
 * says only in a report that takes long to make.
 */
function names() {
  const { platform, arch } = process;
  return platform === "linux" ? [`linux-${arch}-gnu`, `linux-${arch}-musl`] : [`${platform}-${arch}`];
}

/** The one that fits. */
function fitting([gnu, musl]) {
  if (musl === undefined) return gnu;
  return process.report?.getReport()?.header?.glibcVersionRuntime ? gnu : musl;
}

/** What to do when the addon is nowhere. */
function missing(name) {
  const here = `Node.js ${process.versions.node} on ${name}`;
  const build = "build it from tidewire's repository with `cargo xtask node`";
  if (!PLATFORMS.includes(name)) return `there is none for ${here} (only for ${PLATFORMS.join(", ")}): ${build}`;
  return (
    `the package tidewire-${name} is not installed (${here}). npm leaves it out with --omit=optional, and when package-lock.json or ` +
    `node_modules come from another platform: run \`npm install tidewire-${name}\`, or remove both and install again, or ${build}`
  );
}

function load() {
  let broken;
  for (const name of names()) {
    for (const file of [`../tidewire.${name}.node`, `tidewire-${name}`]) {
      try {
        return require(file);
      } catch (cause) {
        // The file itself is missing, not something that it needs?
        const absent = cause.code === "MODULE_NOT_FOUND" && cause.message.includes(file.replace("..", ""));
        if (!absent) broken ??= cause;
      }
    }
  }
  const why = broken === undefined ? `is missing: ${missing(fitting(names()))}` : `is there, but does not load: ${broken.message}`;
  throw Object.assign(new Error(`tidewire: the native part ${why}`, { cause: broken }), { code: "ERR_TIDEWIRE_NATIVE" });
}

module.exports = load();

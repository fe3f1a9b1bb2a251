"use strict";
// Finds the addon for this platform.

const { join } = require("node:path");

/** The platform's name in file names, as napi-rs gives it. */
function platform() {
  const { platform, arch } = process;
  if (platform !== "linux") return `${platform}-${arch}`;
  const glibc = process.report?.getReport()?.header?.glibcVersionRuntime;
  return `linux-${arch}-${glibc ? "gnu" : "musl"}`;
}

const file = join(__dirname, "..", `tidewire.${platform()}.node`);
try {
  module.exports = require(file);
} catch (cause) {
  const missing = cause.code === "MODULE_NOT_FOUND" || /cannot open shared object/.test(cause.message);
  const advice = missing ? "it is not built: run `cargo xtask node` in the repository" : cause.message;
  throw new Error(`tidewire: the native part for ${platform()} cannot be loaded: ${advice}`, { cause });
}

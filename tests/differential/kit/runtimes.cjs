"use strict";
// The programs that run programs: Bun at the one version that is compared with, this Node.js, the newest, and Node.js 22, the
// first that has a WebSocket of its own.

const { spawnSync } = require("node:child_process");
const { existsSync } = require("node:fs");
const { dirname, join } = require("node:path");

function bun() {
  const { version } = require("bun/package.json");
  const home = dirname(require.resolve("bun/package.json"));
  const binary = join(home, "bin", "bun.exe");
  const works = () => spawnSync(binary, ["--version"], { encoding: "utf8" }).stdout?.trim() === version;
  // npm may be told to leave out install scripts; this one puts the binary in place.
  if (!works()) spawnSync(process.execPath, ["install.js"], { cwd: home, stdio: "inherit" });
  if (!works()) throw new Error(`bun ${version} does not run here: ${binary}`);
  return binary;
}

/** Types are stripped from 22.18 on; where no newer Node.js was installed, this one must do. */
function newestNode() {
  try {
    return join(dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`)), "bin", "node");
  } catch {
    return process.execPath;
  }
}

function node22() {
  const name = `node-22-${process.arch}`;
  const binary = join(__dirname, "../node_modules", name, "bin", "node");
  if (!existsSync(binary)) throw new Error(`Node.js 22 is not installed: npm ci in ${dirname(__dirname)}`);
  return binary;
}

module.exports = { runtimes: { bun: bun(), node: process.execPath, newestNode: newestNode(), node22: node22() } };

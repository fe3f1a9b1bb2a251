"use strict";
// The types: what compiles against bun-types compiles against ours, and what does not, does not.

const assert = require("node:assert");
const { execFile } = require("node:child_process");
const { readdirSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");

const examples = join(__dirname, "../../examples/seed");
const tsc = join(require.resolve("typescript/package.json"), "../bin/tsc");
const types = join(__dirname, "types");

/** What the compiler says. */
function compile(...flags) {
  return new Promise((resolve) => execFile(process.execPath, [tsc, ...flags], { cwd: types }, (_, stdout) => resolve(stdout)));
}

test("the seed's programs and all that both have compile against bun-types", async () => {
  assert.strictEqual(await compile("-p", "tsconfig.bun.json"), "");
});

test("they compile against ours, as do imports from a module and from CommonJS, with and without the DOM's types", async () => {
  assert.strictEqual(await compile("-p", "tsconfig.tidewire.json"), "");
  assert.strictEqual(await compile("-p", "tsconfig.tidewire.json", "--lib", "esnext,dom"), "");
});

test("the seed's programs, as they run, compile against both", async () => {
  const programs = readdirSync(examples).filter((file) => file.endsWith(".ts"));
  assert.ok(programs.length > 0);
  // Not strictly: in the documentation a value that may be null is a string.
  const flags = ["--ignoreConfig", "--noEmit", "--strict", "--strictNullChecks", "false", "--module", "nodenext", "--target", "esnext", "--lib", "esnext"];
  const files = programs.map((file) => join(examples, file));
  const compiled = (...more) => compile(...flags, "--skipLibCheck", "--moduleDetection", "force", ...more, ...files);
  assert.strictEqual(await compiled("--types", "bun-types"), "");
  assert.strictEqual(await compiled("--types", "node", "../../bun.d.ts"), "");
});

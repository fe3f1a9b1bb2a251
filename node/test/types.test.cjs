"use strict";
// The types: what compiles against bun-types compiles against ours, and what does not, does not.

const assert = require("node:assert");
const { execFile } = require("node:child_process");
const { join } = require("node:path");
const { test } = require("node:test");

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

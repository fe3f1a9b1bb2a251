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

test("all that both have compiles against bun-types", async () => {
  assert.strictEqual(await compile("-p", "tsconfig.bun.json"), "");
});

test("it compiles against ours, as do imports from a module and from CommonJS, with and without the DOM's types", async () => {
  assert.strictEqual(await compile("-p", "tsconfig.tidewire.json"), "");
  assert.strictEqual(await compile("-p", "tsconfig.tidewire.json", "--lib", "esnext,dom"), "");
});

/** In the documentation a query's parameter, which may be null, is a string. */
const LENIENT = ["contextual_data.ts"];

test("the seed's programs, as they run, compile against both", async () => {
  const programs = readdirSync(examples).filter((file) => file.endsWith(".ts"));
  const strict = programs.filter((file) => !LENIENT.includes(file));
  assert.ok(strict.length > 0 && strict.length < programs.length);
  const flags = ["--ignoreConfig", "--noEmit", "--strict", "--module", "nodenext", "--target", "esnext", "--lib", "esnext"];
  for (const types of [["bun-types"], ["node", "../../bun.d.ts"]]) {
    const compiled = (files, ...more) =>
      compile(...flags, "--skipLibCheck", "--moduleDetection", "force", ...more, "--types", ...types, ...files.map((file) => join(examples, file)));
    assert.strictEqual(await compiled(strict), "");
    assert.strictEqual(await compiled(LENIENT, "--strictNullChecks", "false"), "");
    assert.match(await compiled(LENIENT), /^(.*contextual_data.ts.*'string \| null' is not assignable to type 'string'.\n|  .*\n)+$/);
  }
});

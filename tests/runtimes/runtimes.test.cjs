"use strict";
// The package's own tests on the newest Node.js, a part of them on the oldest and one between, and one program on Deno and Bun.

const assert = require("node:assert");
const { spawn } = require("node:child_process");
const { existsSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");

const PACKAGE = join(__dirname, "../../node");
const MINUTES = 60_000;
/** What runs on every Node.js that is promised; the rest asks for tools that are newer than these. */
const SMOKE = ["contract", "cookies", "process", "request", "response", "routes", "seed", "bun"];

/** A runtime of this folder's packages: the first of these files that is there. */
function runtime(...files) {
  const found = files.map((file) => join(__dirname, "node_modules", file)).find((file) => existsSync(file));
  assert.ok(found, `none of ${files.join(", ")} is installed: npm ci in ${__dirname}`);
  return found;
}

const node = (version) => runtime(`node-${version}-x64/bin/node`, `node-${version}-arm64/bin/node`);
const deno = () => runtime("@deno/linux-x64-glibc/deno", "@deno/linux-arm64-glibc/deno");
const bun = () => runtime("@oven/bun-linux-x64-baseline/bin/bun", "@oven/bun-linux-aarch64/bin/bun");

/** Runs a program to its end; gives its output. */
function run(program, parameters, { cwd, timeout }) {
  return new Promise((resolve, reject) => {
    const { NODE_TEST_CONTEXT, ...env } = process.env; // else it would report to us
    const child = spawn(program, parameters, { cwd, env, timeout });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ended with ${signal ?? code}:\n${output}`));
    });
  });
}

const suite = (version, files) =>
  run(node(version), ["--expose-gc", "--test", ...files.map((file) => `test/${file}`)], { cwd: PACKAGE, timeout: 8 * MINUTES });

test("the whole suite passes on Node.js 26", async () => {
  const files = readdirSync(join(PACKAGE, "test")).filter((file) => file.endsWith(".test.cjs"));
  assert.match(await suite(26, files), /fail 0/);
});

for (const version of [18, 22]) {
  test(`what a server is made of works on Node.js ${version}`, async () => {
    assert.match(await suite(version, SMOKE.map((name) => `${name}.test.cjs`)), /fail 0/);
  });
}

const PAGES = ["caféAda", "no page", "POST body y"];
const MESSAGES = ["hello nobody", "sent", "to everybody", "1,2,3", "close 1000 bye 3", "closed 1000"];
const once = { cwd: __dirname, timeout: MINUTES };

test("one program says the same on Node.js, on Deno, and on Bun, whose own serve() it is there", async () => {
  const expected = `${[...PAGES, ...MESSAGES].join("\n")}\n`;
  assert.strictEqual(await run(node(26), ["program.mjs"], once), expected, "Node.js");
  assert.strictEqual(await run(deno(), ["run", "--allow-ffi", "--allow-read", "--allow-env", "--allow-net=127.0.0.1,localhost", "--node-modules-dir=manual", "--no-lock", "program.mjs"], once), expected, "Deno");
  assert.strictEqual(await run(bun(), ["program.mjs"], once), expected, "Bun");
  const own = 'const t = require("tidewire"); console.log(t.serve === Bun.serve, t.CookieMap === Bun.CookieMap, require("tidewire/bun").serve === Bun.serve)';
  assert.strictEqual(await run(bun(), ["-e", own], once), "true true true\n");
});

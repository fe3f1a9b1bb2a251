"use strict";
// Every scenario of a client on Node.js 22 with its own WebSocket and with ours: what the program is told, and in which order, is
// the same, but for what stands beside the scenario. What goes over the wire is compared with Bun's.

const assert = require("node:assert");
const { readdirSync } = require("node:fs");
const { join } = require("node:path");
const { describe, it } = require("node:test");
const { play } = require("./kit/stage.cjs");
const { excuse } = require("./kit/allowed.cjs");

const FOLDER = join(__dirname, "scenarios");
const OURS = "tidewire on it";

for (const file of readdirSync(FOLDER)) {
  const scenarios = Object.entries(require(join(FOLDER, file))).filter(([, { client, notNode }]) => client && !notNode);
  if (scenarios.length === 0) continue;
  describe(`${file.replace(".cjs", "")}, on Node.js 22`, { concurrency: 2 }, () => {
    for (const [name, scenario] of scenarios) it(name, () => compare(join(FOLDER, file), name, scenario));
  });
}

async function compare(file, name, scenario) {
  const told = async (runtime) => (await play(runtime, file, name, scenario))["the program"];
  const [node, ours] = await Promise.all([told("node"), told(OURS)]);
  assert.ok(node.length > 0, "a scenario in which the program sees nothing proves nothing");
  const traces = { node: { program: node }, [OURS]: { program: ours } };
  excuse(traces, scenario.fromNode);
  assert.deepStrictEqual(traces[OURS], traces.node, "tidewire's WebSocket (actual) differs from Node.js 22's own (expected)");
}

"use strict";
// A scenario on Bun and on Node.js with tidewire, as a test: what the program and its clients see is the same, but for what stands
// beside the scenario as an allowed difference, and then it is what stands there, on either side.

const assert = require("node:assert");
const { basename, join } = require("node:path");
const { describe, it } = require("node:test");
const { excuse } = require("./allowed.cjs");
const { play } = require("./stage.cjs");

const FOLDER = join(__dirname, "../scenarios");

/** The scenarios of a file, so many at a time. */
function suite(name, concurrency) {
  const file = join(FOLDER, name);
  describe(basename(file, ".cjs"), { concurrency }, () => {
    for (const [title, scenario] of Object.entries(require(file))) it(title, () => compare(file, title, scenario));
  });
}

async function compare(file, title, scenario) {
  const [bun, tidewire] = await Promise.all([play("bun", file, title, scenario), play("tidewire", file, title, scenario)]);
  assert.ok(
    Object.values(bun).some((entries) => entries.length > 0),
    "a scenario in which nobody sees anything proves nothing",
  );
  excuse({ bun, tidewire }, scenario.differs);
  assert.deepStrictEqual(tidewire, bun, "tidewire (actual) differs from Bun (expected)");
}

module.exports = { FOLDER, suite };

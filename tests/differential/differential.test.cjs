"use strict";
// Every scenario on Bun and on Node.js with tidewire: what the program and its clients see is the same, but for what stands
// beside the scenario as an allowed difference, and then it is what stands there, on either side.

const assert = require("node:assert");
const { readdirSync } = require("node:fs");
const { join } = require("node:path");
const { describe, it } = require("node:test");
const { play } = require("./kit/stage.cjs");
const { excuse } = require("./kit/allowed.cjs");

const FOLDER = join(__dirname, "scenarios");
/** How many scenarios run at a time: those that only wait for time, all of them. */
const AT_A_TIME = { "timeouts.cjs": 100 };

for (const file of readdirSync(FOLDER)) {
  const scenarios = require(join(FOLDER, file));
  describe(file.replace(".cjs", ""), { concurrency: AT_A_TIME[file] ?? 2 }, () => {
    for (const [name, scenario] of Object.entries(scenarios)) it(name, () => compare(join(FOLDER, file), name, scenario));
  });
}

async function compare(file, name, scenario) {
  const [bun, tidewire] = await Promise.all([play("bun", file, name, scenario), play("tidewire", file, name, scenario)]);
  assert.ok(
    Object.values(bun).some((entries) => entries.length > 0),
    "a scenario in which nobody sees anything proves nothing",
  );
  excuse({ bun, tidewire }, scenario.differs);
  assert.deepStrictEqual(tidewire, bun, "tidewire (actual) differs from Bun (expected)");
}

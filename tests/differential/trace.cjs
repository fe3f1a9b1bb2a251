"use strict";
// Shows what is seen of the scenarios whose names contain some words, once where both runtimes see the same:
// `node trace.cjs WORDS`.

const { readdirSync } = require("node:fs");
const { join } = require("node:path");
const { isDeepStrictEqual } = require("node:util");
const { play } = require("./kit/stage.cjs");

async function main([words = ""]) {
  const folder = join(__dirname, "scenarios");
  for (const file of readdirSync(folder)) {
    for (const [name, scenario] of Object.entries(require(join(folder, file)))) {
      if (`${file}: ${name}`.includes(words)) await show(join(folder, file), name, scenario);
    }
  }
}

async function show(file, name, scenario) {
  const run = (runtime) => play(runtime, file, name, scenario).catch((error) => error.message);
  const [bun, tidewire] = await Promise.all([run("bun"), run("tidewire")]);
  console.log(`\n${name}`);
  if (scenario.differs) console.log("allowed:", scenario.differs.map(({ because }) => because).join("; "));
  if (isDeepStrictEqual(bun, tidewire)) return console.log("both", bun);
  return console.log("bun", bun, "\ntidewire", tidewire);
}

main(process.argv.slice(2));

"use strict";
// Shows what is seen of the scenarios whose names contain some words, once where both runtimes see the same:
// `node trace.cjs WORDS`, or `node trace.cjs WORDS node` for what Node.js 22 sees with its own WebSocket and with ours.

const { readdirSync } = require("node:fs");
const { join } = require("node:path");
const { isDeepStrictEqual } = require("node:util");
const { play } = require("./kit/stage.cjs");

const SIDES = {
  bun: { theirs: "bun", ours: "tidewire", allowed: "differs" },
  node: { theirs: "node", ours: "tidewire on it", allowed: "fromNode" },
};

async function main([words = "", side = "bun"]) {
  const folder = join(__dirname, "scenarios");
  for (const file of readdirSync(folder)) {
    for (const [name, scenario] of Object.entries(require(join(folder, file)))) {
      if (side === "node" && !scenario.client) continue;
      if (`${file}: ${name}`.includes(words)) await show(join(folder, file), name, scenario, SIDES[side]);
    }
  }
}

async function show(file, name, scenario, { theirs, ours, allowed }) {
  const run = (runtime) => play(runtime, file, name, scenario).catch((error) => error.message);
  const [their, our] = await Promise.all([run(theirs), run(ours)]);
  console.log(`\n${name}`);
  if (scenario[allowed]) console.log("allowed:", scenario[allowed].map(({ because }) => because).join("; "));
  if (isDeepStrictEqual(their, our)) return console.log("both", their);
  return console.log(theirs, their, `\n${ours}`, our);
}

main(process.argv.slice(2));

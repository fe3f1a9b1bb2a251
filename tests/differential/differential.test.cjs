"use strict";
// Every scenario, but for those that wait for time.

const { readdirSync } = require("node:fs");
const { FOLDER, suite } = require("./kit/compare.cjs");

for (const file of readdirSync(FOLDER).filter((file) => file !== "timeouts.cjs")) suite(file, 2);

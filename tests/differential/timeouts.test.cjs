"use strict";
// The scenarios that wait for time: beside the others, and all at once.

const { suite } = require("./kit/compare.cjs");

suite("timeouts.cjs", 100);

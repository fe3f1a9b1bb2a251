"use strict";
// Everything again, as in a runtime that hides libuv: a doorbell thread has the worker turned.

process.env.TIDEWIRE_DRIVER = "doorbell";

const assert = require("node:assert");
const { readdirSync, readFileSync } = require("node:fs");
const { test } = require("node:test");
const { serve } = require("tidewire");

const threads = () => {
  const names = readdirSync("/proc/self/task").map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim();
    } catch {
      return ""; // it has ended meanwhile
    }
  });
  return names.filter((name) => "tidewire doorbell".startsWith(name) && name !== "").length;
};

test("a server has a thread of its own, which ends with it", { skip: process.platform !== "linux" }, async (t) => {
  const before = threads();
  const server = serve({ port: 0, fetch: () => new Response("here") });
  t.after(() => server.stop(true));
  // The thread names itself before it rings for the first time.
  assert.strictEqual(await (await fetch(server.url)).text(), "here");
  assert.strictEqual(threads(), before + 1);
  await server.stop(true);
  assert.strictEqual(threads(), before);
});

require("./contract.test.cjs");
require("./process.test.cjs");
require("./reload.test.cjs");
require("./runs.test.cjs");
require("./seed.test.cjs");
require("./streams.test.cjs");
require("./threads.test.cjs");

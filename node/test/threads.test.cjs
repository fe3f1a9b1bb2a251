"use strict";
// Servers in several worker threads that share a port, and so their topics. Each test runs a program of its own.

const assert = require("node:assert");
const { test } = require("node:test");
const { run } = require("./kit.cjs");

/** Threads that serve on one port, clients, and what is needed to wait for them. */
const PROGRAM = `
  const { once } = require("node:events");
  const { Worker } = require("node:worker_threads");
  const WebSocket = require("ws");
  const SOURCE = \`
    const { parentPort, workerData, threadId } = require("node:worker_threads");
    const { serve } = require("tidewire");
    const server = serve({
      port: workerData.port, hostname: "127.0.0.1", reusePort: true,
      fetch: (req, server) => void server.upgrade(req),
      websocket: {
        open(ws) { ws.subscribe("room"); ws.send("thread " + threadId); },
        message(ws, text) {
          if (text === "publish") ws.send("published " + ws.publish("room", "from " + threadId));
          else if (text === "all") server.publish("room", "to all from " + threadId);
          else if (text === "burst") for (let i = 0; i < 1000; i++) ws.publish("room", String(i));
          else if (text === "count") ws.send("count " + server.subscriberCount("room"));
          else if (text === "leave") ws.unsubscribe("room");
          else if (text === "stop") server.stop();
          else if (text === "force") server.stop(true);
          else if (text === "exit") process.exit(0);
          else if (text === "spin") { parentPort.postMessage("spins"); for (;;); }
          else if (text === "throw") throw new Error("in a thread");
        },
        close() { if (workerData.exitInClose) process.exit(0); },
      },
    });
    parentPort.on("message", (text) => {
      if (text === "count") parentPort.postMessage(server.subscriberCount("room"));
      else if (text === "all") server.publish("room", "to all from " + threadId);
    });
    parentPort.postMessage(server.port);\`;
  async function thread(port, more) {
    const worker = new Worker(SOURCE, { eval: true, workerData: { port, ...more } });
    worker.on("error", () => {});
    [worker.port] = await once(worker, "message");
    worker.ended = new Promise((resolve) => worker.once("exit", resolve));
    return worker;
  }
  const ask = async (worker, text) => { worker.postMessage(text); return (await once(worker, "message"))[0]; };
  /** A client of a thread: the kernel decides which thread it gets, so it may take some tries. */
  async function client(worker) {
    for (;;) {
      const client = new WebSocket("ws://127.0.0.1:" + worker.port);
      client.messages = [];
      client.on("error", () => {});
      client.on("message", (data) => { client.messages.push(String(data)); client.emit("changed"); });
      client.on("close", (code) => { client.closed = code; client.emit("changed"); });
      await until(client, () => client.messages.length > 0);
      if (client.messages.shift() === "thread " + worker.threadId) return client;
      client.terminate();
    }
  }
  async function until(client, holds) { while (!holds()) await once(client, "changed"); }
  async function take(client) { await until(client, () => client.messages.length > 0); return client.messages.shift(); }
  /** Asks until a thread counts so many: what ends elsewhere is seen a moment later. */
  async function counts(worker, expected) {
    let count;
    for (let i = 0; i < 2000 && count !== expected; i++) count = await ask(worker, "count");
    console.log("count", count);
  }`;

/** Runs the threads' program; its output as lines. */
async function threads(body) {
  const { code, signal, output } = await run(`${PROGRAM}\n(async () => { ${body}\nprocess.exit(); })();`);
  assert.deepStrictEqual([code, signal], [0, null], output);
  return output.trim().split("\n");
}

test("publish in one thread reaches the subscribers of all; counts are of all together", async () => {
  const lines = await threads(`
    const one = await thread(0), two = await thread(one.port), three = await thread(one.port);
    const [a, b, c] = [await client(one), await client(two), await client(three)];
    await counts(one, 3);
    a.send("publish");
    console.log(await take(a), await take(b), await take(c));
    c.send("all");
    console.log(await take(a), await take(b), await take(c));
    three.postMessage("all"); // from no handler
    console.log(await take(a), await take(b), await take(c));
    a.send("leave");
    await counts(three, 2);
    a.send("publish");
    console.log(await take(a), await take(b), await take(c));`);
  assert.deepStrictEqual(lines, [
    "count 3",
    "published 6 from 1 from 1",
    ...Array(2).fill(Array(3).fill("to all from 3").join(" ")),
    "count 2",
    "published 6 from 1 from 1",
  ]);
});

test("what one socket publishes keeps its order in every thread", async () => {
  const lines = await threads(`
    const one = await thread(0), two = await thread(one.port);
    const [a, b, c] = [await client(one), await client(two), await client(one)];
    for (let i = 0; i < 5; i++) a.send("burst");
    for (const client of [b, c]) {
      await until(client, () => client.messages.length === 5000);
      console.log(client.messages.every((text, at) => text === String(at % 1000)));
    }`);
  assert.deepStrictEqual(lines, ["true", "true"]);
});

test("a thread that exits, is terminated, or ends by an error takes its subscribers out of the counts", async () => {
  const lines = await threads(`
    const one = await thread(0);
    const a = await client(one);
    for (const how of ["exit", "terminate", "spin", "throw", "exitInClose"]) {
      const two = await thread(one.port, { exitInClose: how === "exitInClose" });
      const b = await client(two), c = await client(two);
      await counts(one, 3);
      if (how === "terminate") two.terminate();
      else if (how === "exitInClose") b.close();
      else {
        b.send(how);
        if (how === "spin") { await once(two, "message"); two.terminate(); }
      }
      await two.ended;
      await until(c, () => c.closed !== undefined);
      await counts(one, 1);
      const three = await thread(one.port); // it gets the place
      const d = await client(three);
      a.send("all");
      console.log(how, await take(a), await take(d));
      await three.terminate();
      await counts(one, 1);
    }`);
  const all = ["exit", "terminate", "spin", "throw", "exitInClose"];
  assert.deepStrictEqual(lines, all.flatMap((how) => ["count 3", "count 1", `${how} to all from 1 to all from 1`, "count 1"]));
});

test("stop in one thread stops that thread's server alone", async () => {
  const lines = await threads(`
    const one = await thread(0), two = await thread(one.port), three = await thread(one.port);
    const [a, b, c] = [await client(one), await client(two), await client(three)];
    b.send("stop");
    await until(b, () => b.closed !== undefined);
    c.send("force");
    await until(c, () => c.closed !== undefined);
    await counts(one, 1);
    a.send("publish");
    console.log(b.closed, c.closed, await take(a), a.closed);`);
  assert.deepStrictEqual(lines, ["count 1", "1001 1001 published 0 undefined"]);
});

test("threads that come and go under traffic lose nothing of the others", async () => {
  const lines = await threads(`
    const one = await thread(0);
    const [a, b] = [await client(one), await client(one)];
    let coming = true;
    const others = (async () => {
      for (let i = 0; i < 6; i++) {
        const two = await thread(one.port);
        const c = await client(two);
        c.send("burst");
        if (i % 2) c.send("exit"); else two.terminate();
        await two.ended;
      }
      coming = false;
    })();
    let rounds = 0;
    while (coming || rounds < 20) { a.send("burst"); rounds++; await new Promise((resolve) => setTimeout(resolve, 5)); }
    await others;
    const own = () => b.messages.length; 
    await counts(one, 2);
    a.send("all");
    await until(b, () => b.messages.at(-1) === "to all from 1");
    console.log(b.messages.length >= rounds * 1000, a.closed, b.closed);`);
  assert.deepStrictEqual(lines, ["count 2", "true undefined undefined"]);
});

test("process.exit() in a handler of the main thread, with other threads serving, ends the process", async () => {
  const { code, signal, output } = await run(`${PROGRAM}
    (async () => {
      const { serve } = require("tidewire");
      const server = serve({ port: 0, hostname: "127.0.0.1", reusePort: true, fetch: (req, server) => void server.upgrade(req),
        websocket: { open: (ws) => { ws.subscribe("room"); ws.send("thread 0"); }, message: () => process.exit(3) } });
      const two = await thread(server.port);
      const a = await client({ port: server.port, threadId: 0 });
      const b = await client(two);
      console.log(server.subscriberCount("room"));
      b.send("burst");
      a.send("exit");
    })();`);
  assert.deepStrictEqual([code, signal, output], [3, null, "2\n"]);
});

test("two servers of one thread share topics too, and a port that is not shared is taken", async () => {
  const { code, output } = await run(`
    const { serve } = require("tidewire");
    const fetch = () => {};
    const one = serve({ port: 0, reusePort: true, fetch });
    const two = serve({ port: one.port, reusePort: true, fetch });
    try { serve({ port: one.port, fetch }); } catch (error) { console.log(/in use/.test(error.message)); }
    one.stop(); two.stop();`);
  assert.deepStrictEqual([code, output], [0, "true\n"]);
});

"use strict";
// How a process with servers lives and ends. Each test runs programs of their own.

const assert = require("node:assert");
const { test } = require("node:test");
const { run } = require("./kit.cjs");

/** A server with a client beside it in the same process. */
const program = (websocket, rest = "") => `
  const { serve } = require("tidewire");
  const WebSocket = require("ws");
  const server = serve({ port: 0, fetch(req, server) { server.upgrade(req); }, websocket: ${websocket} });
  const client = new WebSocket("ws://127.0.0.1:" + server.port);
  ${rest}`;

test("require and import give the same serve", async () => {
  const same = await run('import("tidewire").then((m) => console.log(m.serve === require("tidewire").serve, typeof m.serve))');
  assert.deepStrictEqual([same.code, same.output], [0, "true function\n"]);
});

test("a stopped server, and one that is unref'd, let the process end; a running one does not", async () => {
  const stopped = await run('require("tidewire").serve({ port: 0, fetch() {} }).stop().then(() => console.log("stopped"))');
  assert.deepStrictEqual([stopped.code, stopped.output], [0, "stopped\n"]);
  const unref = await run('require("tidewire").serve({ port: 0, fetch() {} }).unref()');
  assert.deepStrictEqual([unref.code, unref.output], [0, ""]);
  const running = await run(`
    const server = require("tidewire").serve({ port: 0, fetch: () => new Response("alive") });
    server.unref(); server.ref();
    process.on("exit", () => console.log("end"));
    fetch("http://127.0.0.1:" + server.port).then(async (r) => { console.log(await r.text()); server.stop(true); })`);
  assert.deepStrictEqual([running.code, running.output], [0, "alive\nend\n"]);
});

test("process.exit() in any handler ends the process, and nothing is called after it", async () => {
  for (const handler of ["open", "message", "close"]) {
    const websocket = `{ open(ws) { console.log("open"); ${handler === "open" ? "process.exit(7);" : "ws.send('x');"} },
      message() { console.log("message"); ${handler === "message" ? "process.exit(7);" : ""} },
      close() { console.log("close"); ${handler === "close" ? "process.exit(7);" : ""} } }`;
    const client = 'client.on("message", () => { client.send("1"); client.send("2"); client.close(); });';
    const { code, signal, output } = await run(program(websocket, client));
    const lines = output.trim().split("\n");
    assert.deepStrictEqual([code, signal, lines.at(-1)], [7, null, handler], output);
    assert.strictEqual(lines.filter((line) => line === handler).length, 1, output);
  }
});

test("an exception without an error handler is the process's uncaught exception", async () => {
  const rest = `
    process.on("uncaughtException", (error) => { console.log("uncaught", error.message); client.close(); });
    client.on("open", () => client.send("x"));
    client.on("close", () => server.stop());`;
  const handled = await run(program('{ message() { throw new Error("mine"); } }', rest));
  assert.deepStrictEqual([handled.code, handled.output], [0, "uncaught mine\n"]);
  const fatal = await run(program('{ message() { throw new Error("mine"); } }', 'client.on("open", () => client.send("x"));'));
  assert.notStrictEqual(fatal.code, 0);
  assert.match(fatal.output, /Error: mine/);
});

test("a worker thread that ends with sockets open, or is terminated, harms nobody", async () => {
  const { code, signal, output } = await run(`
    const { Worker } = require("node:worker_threads");
    const WebSocket = require("ws");
    const source = \`
      const { parentPort } = require("node:worker_threads");
      const { serve } = require("tidewire");
      const server = serve({ port: 0, fetch(req, server) { server.upgrade(req); }, websocket: {
        open(ws) { ws.send("hi"); }, message(ws, m) { if (m === "exit") process.exit(0); ws.send(m); } } });
      parentPort.postMessage(server.port);\`;
    (async () => {
      for (const how of ["exit", "terminate", "exit", "terminate"]) {
        const worker = new Worker(source, { eval: true });
        const port = await new Promise((resolve) => worker.once("message", resolve));
        const clients = await Promise.all([1, 2, 3].map(() => new Promise((resolve) => {
          const client = new WebSocket("ws://127.0.0.1:" + port);
          client.once("message", () => resolve(client));
          client.on("error", () => {});
        })));
        const gone = Promise.all(clients.map((client) => new Promise((resolve) => client.once("close", resolve))));
        const ended = new Promise((resolve) => worker.once("exit", resolve));
        if (how === "exit") clients[0].send("exit"); else worker.terminate();
        await ended;
        await gone;
        console.log(how);
      }
    })();`);
  assert.deepStrictEqual([code, signal, output], [0, null, "exit\nterminate\nexit\nterminate\n"]);
});

test("closed sockets, their data and a stopped server's handlers are collected", async () => {
  const { code, output } = await run(
    `
    const { serve } = require("tidewire");
    const WebSocket = require("ws");
    const gone = { sockets: 0, data: 0, handlers: 0 };
    const registry = new FinalizationRegistry((what) => gone[what]++);
    const client = (port) => new Promise((resolve) => {
      const c = new WebSocket("ws://127.0.0.1:" + port);
      c.on("open", () => c.close());
      c.on("close", resolve);
    });
    const done = (what, count) => new Promise((resolve, reject) => {
      let rounds = 0;
      const look = () => {
        global.gc();
        if (gone[what] === count) return resolve();
        if (++rounds > 500) return reject(new Error(what + " " + gone[what]));
        setImmediate(look);
      };
      look();
    });
    async function once() {
      const server = serve({ port: 0, fetch(req, server) {
        const data = { large: new Array(1000).fill(1) };
        registry.register(data, "data");
        server.upgrade(req, { data });
      }, websocket: (() => {
        const handlers = { open(ws) { registry.register(ws, "sockets"); ws.subscribe("x"); } };
        registry.register(handlers, "handlers");
        return handlers;
      })() });
      for (let i = 0; i < 20; i++) await client(server.port);
      await done("sockets", 20);
      await done("data", 20);
      await server.stop();
    }
    once().then(() => done("handlers", 1)).then(() => console.log("collected"), (error) => console.log(error.message));`,
    "--expose-gc",
  );
  assert.deepStrictEqual([code, output], [0, "collected\n"]);
});

"use strict";
// Threads that come, serve on a shared port while others publish, and go in every way that a thread can, so many times:
// `node --expose-gc soak/threads.cjs [ROUNDS]`. Nobody else's sockets may notice, nothing may be left. And processes that exit inside
// each kind of handler.

const assert = require("node:assert");
const { execFile } = require("node:child_process");
const { once } = require("node:events");
const { readdirSync } = require("node:fs");
const { Worker } = require("node:worker_threads");
const WebSocket = require("ws");
const { serve } = require("tidewire");

const ROUNDS = Number(process.argv[2] ?? 200);
/** How a thread ends: by itself in one of its handlers, by an exception, by an endless loop that is cut off, or from outside. */
const WAYS = ["fetch", "open", "message", "ping", "close", "timer", "throw", "spin", "idle", "stop"];

const THREAD = `
  const { parentPort, workerData: { port, way } } = require("node:worker_threads");
  const { serve } = require("tidewire");
  const end = (place) => { if (place === way) process.exit(0); };
  const server = serve({
    port, hostname: "127.0.0.1", reusePort: true,
    fetch(req, server) {
      if (new URL(req.url).pathname === "/end") end("fetch");
      server.upgrade(req);
    },
    websocket: {
      open(ws) { ws.subscribe("room"); ws.send("thread"); },
      message(ws, text) {
        server.publish("room", "from a thread");
        if (text !== "end") return;
        end("message");
        if (way === "open") { server.reload({ websocket: { open() { process.exit(0); } } }); ws.send("next"); }
        if (way === "timer") setTimeout(() => process.exit(0));
        if (way === "throw") throw new Error("in a thread");
        if (way === "spin") { parentPort.postMessage("spins"); for (;;); }
        if (way === "close") ws.close();
        if (way === "stop") server.stop(true).then(() => parentPort.close());
      },
      ping() { end("ping"); },
      close() { end("close"); },
    },
  });
  parentPort.on("message", () => {});
  parentPort.postMessage(server.port);`;

/** A client, and which server the kernel has given it. */
async function client(port) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}`);
  ws.on("error", () => {});
  ws.gone = new Promise((resolve) => ws.once("close", resolve));
  const [first] = await Promise.race([once(ws, "message"), ws.gone.then(() => ["gone"])]);
  return Object.assign(ws, { at: String(first) });
}

/** A client of the thread, and those that the main one got meanwhile. */
async function clientOf(port, others) {
  for (;;) {
    const ws = await client(port);
    if (ws.at === "thread") return ws;
    others.push(ws);
  }
}

/** Has the thread end. */
async function finish(way, worker, ws, port, others) {
  if (way === "idle") return worker.terminate();
  if (way === "ping") return ws.ping();
  if (way === "fetch" || way === "open") {
    if (way === "open") ws.send("end");
    if (way === "open") await once(ws, "message", { signal: AbortSignal.timeout(30_000) });
    let gone = false;
    worker.ended.then(() => (gone = true));
    // Until the kernel gives one of them to the thread.
    while (!gone) {
      const other = new WebSocket(`ws://127.0.0.1:${port}/end`);
      other.on("error", () => {});
      others.push(other);
      other.gone = new Promise((resolve) => other.once("close", resolve));
      await Promise.race([once(other, "open").catch(() => {}), other.gone]);
    }
    return undefined;
  }
  ws.send("end");
  if (way === "spin") {
    await once(worker, "message");
    worker.terminate();
  }
  return undefined;
}

async function round(server, way) {
  const worker = new Worker(THREAD, { eval: true, workerData: { port: server.port, way } });
  worker.on("error", (error) => assert.strictEqual(error.message, "in a thread"));
  worker.ended = new Promise((resolve) => worker.once("exit", resolve));
  await once(worker, "message");
  const others = [];
  const mine = [await clientOf(server.port, others), await clientOf(server.port, others)];
  server.publish("room", "from the main one");
  mine[1].send("publish");
  await finish(way, worker, mine[0], server.port, others);
  server.publish("room", "while it ends");
  await worker.ended;
  await Promise.all(mine.map((ws) => ws.gone));
  for (const ws of others) ws.terminate();
  await Promise.all(others.map((ws) => ws.gone));
}

const descriptors = () => readdirSync("/proc/self/fd").length;

/** What is left, once it has been collected. */
async function left() {
  for (let i = 0; i < 20; i++) {
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { descriptors: descriptors(), megabytes: Math.round(process.memoryUsage().rss / 1e6) };
}

async function threads() {
  const server = serve({
    ...{ port: 0, hostname: "127.0.0.1", reusePort: true, fetch: (req, server) => void server.upgrade(req) },
    websocket: { open: (ws) => (ws.subscribe("room"), void ws.send("main")), message: (ws, text) => void ws.send(text) },
  });
  const witness = await client(server.port);
  for (const way of WAYS) await round(server, way);
  console.log("warm", await left());
  for (let i = 0; i < ROUNDS; i++) {
    await round(server, WAYS[i % WAYS.length]);
    if ((i + 1) % 50 === 0) console.log(`${i + 1} threads`, await left(), "subscribers", server.subscriberCount("room"));
  }
  assert.strictEqual(witness.readyState, WebSocket.OPEN, "somebody else's socket has ended");
  witness.close();
  await witness.gone;
  for (let i = 0; i < 1000 && server.subscriberCount("room") > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.strictEqual(server.subscriberCount("room"), 0);
  await server.stop();
}

/** A process that exits inside one of its handlers, asked by itself. */
const EXITING = (place) => `
  const { serve } = require("tidewire");
  const WebSocket = require("ws");
  const end = (here) => { if (here === ${JSON.stringify(place)}) process.exit(7); };
  const server = serve({
    port: 0, hostname: "127.0.0.1",
    fetch(req, server) { end("fetch"); if (req.url.endsWith("/error")) throw new Error(); if (server.upgrade(req)) end("upgraded"); },
    error() { end("failed"); return new Response(); },
    websocket: {
      open(ws) { end("open"); ws.send("x"); },
      message(ws, text) { end("message"); if (text === "throw") throw new Error(); ws.cork(() => end("cork")); },
      ping() { end("ping"); }, pong() { end("pong"); }, drain() { end("drain"); }, close() { end("close"); }, error() { end("error"); },
    },
  });
  if (${JSON.stringify(place)} === "failed") fetch(server.url + "error").catch(() => {});
  const ws = new WebSocket("ws://127.0.0.1:" + server.port);
  ws.on("error", () => {});
  ws.on("open", () => { ws.ping(); ws.pong(); ws.send("x"); ws.send("throw"); setTimeout(() => ws.close(), 20); });`;

async function processes() {
  const places = ["fetch", "upgraded", "failed", "open", "message", "cork", "ping", "pong", "error", "close"];
  for (let i = 0; i < ROUNDS; i++) {
    const place = places[i % places.length];
    const code = await new Promise((resolve) => {
      execFile(process.execPath, ["-e", EXITING(place)], { cwd: __dirname, timeout: 30_000 }, (error) => resolve(error?.signal ?? error?.code ?? 0));
    });
    assert.strictEqual(code, 7, `a process that exits in ${place}`);
  }
  console.log(`${ROUNDS} processes have exited inside their handlers`);
}

threads().then(processes);

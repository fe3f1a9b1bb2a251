"use strict";
// What is over can be collected: handlers after a reload, servers and everything of theirs after a stop, requests and streams
// once they are answered or broken off. Each test is a program of its own, run with --expose-gc.

const assert = require("node:assert");
const { test } = require("node:test");
const { run } = require("./kit.cjs");

const PROGRAM = `
  const { once } = require("node:events");
  const { serve } = require("tidewire");
  const WebSocket = require("ws");
  const gone = {};
  const registry = new FinalizationRegistry((what) => { gone[what] = (gone[what] ?? 0) + 1; });
  const watch = (what, object) => (registry.register(object, what), object);
  /** Collects until so many are gone. What never goes makes the program say so. */
  async function collected(expected) {
    for (let round = 0; round < 1000; round++) {
      global.gc();
      await new Promise((resolve) => setImmediate(resolve));
      if (Object.entries(expected).every(([what, count]) => gone[what] === count)) return console.log("collected");
    }
    console.log("kept", JSON.stringify(gone), "of", JSON.stringify(expected));
  }
  async function client(server) {
    const client = new WebSocket("ws://127.0.0.1:" + server.port);
    client.on("error", () => {});
    await once(client, "open");
    return client;
  }
  const closed = (client) => client.readyState === 3 ? undefined : once(client, "close");
  /** Handlers that may be watched, with something large that only they hold. */
  function options(name) {
    const large = watch(name + " scope", new Array(1000).fill(0));
    const fetch = watch(name + " fetch", (req, server) => void server.upgrade(req, { data: watch("data", { large: [] }) }) ?? large[0]);
    const error = watch(name + " error", () => new Response(String(large)));
    const websocket = watch(name + " websocket", { open: (ws) => { watch("sockets", ws); ws.subscribe("room"); }, message: (ws, text) => void ws.send(text + large.length) });
    return { port: 0, fetch, error, websocket };
  }`;

async function program(body) {
  const { code, output } = await run(`${PROGRAM}\n(async () => { ${body} })();`, "--expose-gc");
  assert.deepStrictEqual([code, output.trim().split("\n").filter((line) => line !== "collected")], [0, []], output);
}

test("a reload lets go of the handlers before it, while sockets stay open", async () => {
  await program(`
    const server = serve(options("old"));
    const a = await client(server);
    server.reload(options("new"));
    a.send("x");
    await once(a, "message");
    await collected({ "old scope": 1, "old fetch": 1, "old error": 1, "old websocket": 1 });
    a.send("still here");
    await once(a, "message");
    for (let i = 0; i < 50; i++) server.reload(options("next"));
    await collected({ "next scope": 49, "next fetch": 49, "new scope": 1 });
    a.close();
    await closed(a);
    await collected({ sockets: 1, data: 1 });
    await server.stop();`);
});

test("a stop, graceful or not, lets go of the server with its sockets, their data and its handlers", async () => {
  for (const force of [false, true]) {
    await program(`
      await (async () => {
        const server = watch("server", serve(options("own")));
        const clients = await Promise.all([1, 2, 3].map(() => client(server)));
        await Promise.all([server.stop(${force}), ...clients.map(closed)]);
      })();
      await collected({ server: 1, sockets: 3, data: 3, "own scope": 1, "own fetch": 1, "own error": 1, "own websocket": 1 });`);
  }
});

test("a socket that is held after its end holds its data and nothing else", async () => {
  await program(`
    let held;
    await (async () => {
      const given = options("own");
      const { open } = given.websocket;
      given.websocket.open = (ws) => { open(ws); held = ws; };
      const server = watch("server", serve(given));
      const a = await client(server);
      a.close();
      await closed(a);
      await server.stop();
    })();
    await collected({ server: 1, "own scope": 1, "own websocket": 1 });
    if (held.send("x") !== 0 || held.data.large.length !== 0) console.log("wrong");`);
});

test("requests and responses go when they are over, however they ended", async () => {
  await program(`
    let never = 0;
    const server = serve({ port: 0, async fetch(req) {
      watch("requests", req);
      watch("signals", req.signal);
      const { pathname } = new URL(req.url);
      if (pathname === "/read") await req.text();
      if (pathname === "/unread") watch("bodies", req.body);
      if (pathname === "/throws") throw new Error("mine");
      if (pathname === "/never") return new Promise(() => void never++);
      if (pathname === "/stream") return watch("responses", new Response(watch("bodies", new ReadableStream({ start: (c) => c.enqueue("x") }))));
      return watch("responses", new Response("x".repeat(100)));
    }, error: () => new Response("failed") });
    const url = (path) => "http://127.0.0.1:" + server.port + path;
    for (let i = 0; i < 5; i++) {
      for (const path of ["/read", "/unread", "/throws"]) await (await fetch(url(path), { method: "POST", body: "b".repeat(50) })).text();
      for (const path of ["/never", "/stream"]) {
        const abort = new AbortController();
        const response = fetch(url(path), { signal: abort.signal }).catch(() => {});
        if (path === "/stream") await response;
        else while (never === i) await new Promise(setImmediate);
        abort.abort();
        await response;
      }
      await (await fetch(url("/plain"))).text();
    }
    await collected({ requests: 30, signals: 30, bodies: 10, responses: 20 });
    server.stop(true);`);
});

test("requests that are never answered go with their peers, and a server goes while some are left", async () => {
  await program(`
    const net = require("node:net");
    await (async () => {
      let asked = 0;
      const never = (req) => (watch("requests", req), asked++, new Promise(() => {}));
      const server = watch("server", serve({ port: 0, idleTimeout: 0, fetch: never }));
      const peers = [];
      async function peer(request) {
        const before = asked;
        const socket = net.connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
        socket.on("error", () => {});
        socket.write(request);
        while (asked === before) await new Promise(setImmediate);
        peers.push(socket);
      }
      for (let i = 0; i < 3; i++) {
        await peer("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
        await peer("POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 9\\r\\n\\r\\none");
      }
      if (server.pendingRequests !== 6) console.log("pending", server.pendingRequests);
      peers[0].resetAndDestroy(), peers[1].resetAndDestroy(), peers[2].end(), peers[3].end();
      while (server.pendingRequests !== 2) await new Promise(setImmediate);
      await server.stop(true);
    })();
    await collected({ server: 1, requests: 6 });`);
});

test("messages go while others of the same turn are still handled", async () => {
  await program(`
    const [peers, count, length] = [20, 5, 12000];
    const used = [];
    let done;
    const all = new Promise((resolve) => (done = resolve));
    const server = serve({ port: 0, fetch: (req, server) => void server.upgrade(req), websocket: {
      message() {
        if (used.length === 0 || used.length === peers * count - 1) global.gc();
        used.push(process.memoryUsage().heapUsed);
        if (used.length === peers * count) done();
      },
    } });
    const clients = await Promise.all(Array.from({ length: peers }, () => client(server)));
    // All of them write before the server reads.
    for (const { _socket } of clients) _socket.cork();
    for (const one of clients) for (let i = 0; i < count; i++) one.send("x".repeat(length));
    for (const { _socket } of clients) _socket.uncork();
    await all;
    const kept = (used.at(-1) - used[0]) / length;
    console.log(kept < (peers * count) / 2 ? "collected" : kept + " are kept");
    server.stop(true);`);
});

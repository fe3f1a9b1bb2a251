"use strict";
// A soak: connections opened and closed, a million by default and 200 at a time, in every way that they end. Memory must stay
// flat and no descriptor may be left.
//
//   node soak/connections.cjs [count]
//
// The clients are a process of their own. Each connection subscribes, gets a message, and then is closed by the client,
// by the server, by both, or cut off by either. Not part of the test run: a million take some ten minutes.

const assert = require("node:assert");
const { fork } = require("node:child_process");
const { on, once } = require("node:events");
const { readdirSync, readFileSync } = require("node:fs");
const net = require("node:net");

const TOGETHER = 200;
const WAYS = ["client", "server", "both", "client cuts", "server cuts"];
/** So much more may be resident at most in the second half than in the first: V8 itself goes up and down by more. */
const SLACK = 8 * 1024 * 1024;

const HANDSHAKE =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/** A masked text frame of one digit, and a masked empty Close (their keys are zero). */
const text = (digit) => Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x30 + digit]);
const CLOSE = Buffer.from([0x88, 0x80, 0, 0, 0, 0]);

/** One connection, ended in one way; resolves when it is gone. */
function connection(port, way) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    let greeted = false;
    socket.on("error", (error) => (error.code === "ECONNRESET" || error.code === "EPIPE" ? undefined : reject(error)));
    socket.on("close", resolve);
    socket.write(HANDSHAKE);
    socket.on("data", (data) => {
      // The server's Close is answered, or it would wait for that.
      if (greeted && WAYS[way] === "server" && data.includes(0x88)) socket.write(CLOSE);
      if (greeted || !data.includes("hello")) return;
      greeted = true;
      if (WAYS[way] === "client cuts") return socket.resetAndDestroy?.() ?? socket.destroy();
      if (WAYS[way] !== "client") socket.write(text(way));
      if (WAYS[way] === "client" || WAYS[way] === "both") socket.write(CLOSE);
    });
  });
}

async function clients([port, count]) {
  let begun = 0;
  const one = async () => {
    while (begun < count) {
      const number = begun++;
      await connection(port, number % WAYS.length);
      if (number % 1000 === 999) process.send(number + 1);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
  process.send("done", () => process.exit());
}

const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
const descriptors = () => readdirSync("/proc/self/fd").length;

async function settled() {
  for (let i = 0; i < 5; i++) {
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function main(count) {
  const { serve } = require("..");
  let [opened, closed] = [0, 0];
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (req, server) => void server.upgrade(req, { data: { number: opened, list: [1, 2, 3] } }),
    websocket: {
      open(ws) {
        opened++;
        ws.subscribe("all");
        ws.subscribe(`room ${opened % 50}`);
        ws.send("hello");
        if (opened % 100 === 0) server.publish("all", "news");
      },
      message(ws, digit) {
        if (WAYS[digit] === "server cuts") ws.terminate();
        else ws.close(1000, "bye");
      },
      close: () => void closed++,
    },
  });
  const before = descriptors();
  const child = fork(__filename, ["clients", server.port, count]);
  const gone = once(child, "exit");
  const sizes = [];
  console.log("connections,resident MB,descriptors");
  for await (const [message] of on(child, "message")) {
    if (message === "done") break;
    if (message % Math.max(1000, Math.floor(count / 10 / 1000) * 1000) !== 0) continue;
    await settled();
    sizes.push(resident());
    console.log(`${message},${(sizes.at(-1) / 1e6).toFixed(1)},${descriptors()}`);
  }
  await gone;
  while (closed < opened || server.pendingWebSockets > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await settled();
  console.log(`${opened} opened, ${closed} closed, ${(resident() / 1e6).toFixed(1)} MB resident, ${descriptors()} descriptors`);
  assert.deepStrictEqual([opened, closed, server.subscriberCount("all")], [count, count, 0]);
  assert.strictEqual(descriptors(), before);
  const half = Math.ceil(sizes.length / 2);
  const [first, second] = [sizes.slice(0, half), sizes.slice(half)].map((some) => Math.max(...some));
  assert.ok(second <= first + SLACK, `${second - first} bytes more than in the first half`);
  await server.stop();
}

if (process.argv[2] === "clients") clients(process.argv.slice(3).map(Number));
else if (global.gc === undefined) fork(__filename, process.argv.slice(2), { execArgv: ["--expose-gc"] }).on("exit", (code) => process.exit(code ?? 1));
else main(Number(process.argv[2] ?? 1_000_000)).then(() => process.exit(), (error) => (console.error(error), process.exit(1)));

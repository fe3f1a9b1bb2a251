"use strict";
// What an idle connection costs: resident bytes of the server's process for each, after 2,000 that are not counted.
//
//   node soak/idle.cjs [count] [program of Bun's]
//
// Measures tidewire and ws (a development dependency), and Bun.serve where its program is given. Not part of the test run.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const net = require("node:net");

const UNCOUNTED = 2000;
const HANDSHAKE =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** The server's program: says its port, then its resident bytes whenever it is asked. */
function serve(kind) {
  const options = {
    port: 0,
    hostname: "127.0.0.1",
    fetch: (req, server) => void server.upgrade(req),
    websocket: { message() {}, idleTimeout: 0 },
  };
  if (kind === "ws") {
    const server = new (require("ws").WebSocketServer)({ port: 0, host: "127.0.0.1" }, () => console.log(server.address().port));
    server.on("connection", (ws) => ws.on("message", () => {}));
  } else if (kind === "bun") console.log(globalThis.Bun.serve(options).port);
  else console.log(require("..").serve(options).port);
  const collect = global.gc ?? (() => globalThis.Bun.gc(true));
  process.stdin.on("data", async () => {
    for (let i = 0; i < 6; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    console.log(Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024);
  });
}

async function measure(kind, program, count) {
  const flags = kind === "bun" ? [] : ["--expose-gc"];
  const child = spawn(program, [...flags, __filename, "serve", kind], { stdio: ["pipe", "pipe", "inherit"] });
  const answer = async () => Number((await once(child.stdout, "data"))[0]);
  const port = await answer();
  const ask = () => (child.stdin.write("x"), answer());
  const clients = [];
  const open = async (more) => {
    for (const end = clients.length + more; clients.length < end; ) {
      const batch = Array.from({ length: 100 }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
      clients.push(...batch);
      await Promise.all(batch.map((client) => (client.write(HANDSHAKE), once(client, "data"))));
    }
  };
  await open(UNCOUNTED);
  const before = await ask();
  await open(count);
  console.log(`${kind}: ${Math.round(((await ask()) - before) / count)} bytes for each of ${count} idle connections`);
  child.kill();
  for (const client of clients) client.destroy();
}

async function main(count, bun) {
  await measure("tidewire", process.execPath, count);
  await measure("ws", process.execPath, count);
  if (bun !== undefined) await measure("bun", bun, count);
}

if (process.argv[2] === "serve") serve(process.argv[3]);
else main(Number(process.argv[2] ?? 10_000), process.argv[3]);

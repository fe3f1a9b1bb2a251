"use strict";
// The program's side of a scenario, as a process of Bun's, of Node's with tidewire, or of Node's own: `host.cjs RUNTIME FILE
// NAME [URL]`. What the program notes goes out as lines of JSON, what the driver wants done comes in as such.

const { writeSync } = require("node:fs");

const [runtime, file, name, url] = process.argv.slice(2);
const bun = globalThis.Bun;
const own = { ...bun, WebSocket: globalThis.WebSocket };
const { serve, CookieMap, WebSocket } = bun || runtime === "node" ? own : require("../../../node/lib/index.cjs");

// Synchronous, so that what was noted before an exit is heard.
const tell = (message) => writeSync(1, `${JSON.stringify(message)}\n`);
const note = (...words) => tell({ note: words.map(show).join(" ") });

/** A value in words that are the same on every runtime. Of errors only that they are: class and text are each runtime's own. */
function show(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return "[an error]";
  if (Buffer.isBuffer(value)) return `Buffer(${value.toString("hex")})`;
  if (ArrayBuffer.isView(value))
    return `${value.constructor.name}(${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")})`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${Buffer.from(value).toString("hex")})`;
  if (value === undefined || typeof value === "function") return `[${typeof value}]`;
  return JSON.stringify(value, (_, inner) => (inner === undefined ? "[undefined]" : inner)) ?? String(value);
}

/** What a call gives, or the error that it throws. */
function attempt(call) {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

process.on("uncaughtException", (error) => note("uncaught", error?.message ?? error));
process.on("unhandledRejection", (error) => note("unhandled", error?.message ?? error));

const scenario = require(file)[name];
const site = { note, attempt, show, CookieMap, serve, runtime: bun ? "bun" : "tidewire" };

async function obey(line) {
  const { id, what, given } = JSON.parse(line);
  // A turn of the loop later, what was under way has happened.
  if (what === "quiet") return setImmediate(() => setImmediate(() => tell({ id })));
  const result = await attempt(() => site.commands[what](...given));
  return tell({ id, result: show(result) });
}

function listen() {
  let pending = "";
  process.stdin.setEncoding("utf8").on("data", (data) => {
    const lines = (pending + data).split("\n");
    pending = lines.pop();
    for (const line of lines) obey(line);
  });
  process.stdin.on("end", () => process.exit(0));
}

function begin() {
  if (scenario.client) {
    site.WebSocket = WebSocket;
    site.commands = scenario.client({ ...site, url }) ?? {};
    return tell({ ready: true });
  }
  const { commands = {}, ...options } = scenario.serve(site);
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (req, server) => (server.upgrade(req) ? undefined : new Response("no upgrade", { status: 400 })),
    ...options,
  });
  Object.assign(site, { server, commands });
  return tell({ ready: true, port: server.port });
}

listen();
begin();

"use strict";
// The options of serve(): what is wrong is named, with what was expected; what is null was not given.

const assert = require("node:assert");
const { EventEmitter, once } = require("node:events");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { raw, run, HANDSHAKE, PATIENCE } = require("./kit.cjs");

const fetch = () => new Response();

test("every wrong option is a TypeError with its name, what was expected and what was given", () => {
  const bytes = "a number, 0 or more";
  const count = "a number from 0 to 4294967295";
  const cases = {
    port: [[-1, 1.5, 65536, "abc", " ", {}, 10n, Symbol("p")], "a whole number from 0 to 65535"],
    hostname: [[5, {}], "a string"],
    unix: [[5, ""], "the path of a socket"],
    fetch: [[5, {}], "a function"],
    error: [[5], "a function"],
    development: [["yes", 1], "true or false"],
    reusePort: [[1, "x"], "true or false"],
    ipv6Only: [[0], "true or false"],
    idleTimeout: [[-1, "5", NaN], count],
    maxRequestBodySize: [[-1, NaN], "a number from 0 to 9007199254740991"],
    id: [[5], "a string"],
    websocket: [[5, () => {}], "an object of handlers and limits"],
    "websocket.open": [[5], "a function"],
    "websocket.message": [["x"], "a function"],
    "websocket.drain": [[{}], "a function"],
    "websocket.close": [[true], "a function"],
    "websocket.ping": [[5], "a function"],
    "websocket.pong": [[5], "a function"],
    "websocket.error": [[5], "a function"],
    "websocket.maxPayloadLength": [[-1, "1"], bytes],
    "websocket.backpressureLimit": [[-1, "1"], bytes],
    "websocket.idleTimeout": [[-1, Infinity, "60"], count],
    "websocket.maxFragments": [[0], "a number from 1 to 4294967295"],
    "websocket.sendPings": [[0], "true or false"],
    "websocket.publishToSelf": [["x"], "true or false"],
    "websocket.closeOnBackpressureLimit": [[1], "true or false"],
    "websocket.perMessageDeflate": [[5], "a boolean or an object {compress, decompress}"],
  };
  for (const [name, [values, expected]] of Object.entries(cases)) {
    for (const value of values) {
      const [outer, inner] = name.split(".");
      const options = { port: 0, fetch, [outer]: inner === undefined ? value : { [inner]: value } };
      if (outer === "unix") delete options.port;
      const given = typeof value === "string" ? JSON.stringify(value) : String(value);
      const isRight = ({ constructor, code, message }) => constructor === TypeError && code === "ERR_INVALID_ARG_TYPE" && message.startsWith(`serve: ${name} must be ${expected}`) && message.endsWith(`not ${given}`);
      assert.throws(() => serve(options), isRight, `${name}: ${given}`);
    }
  }
  for (const argument of [undefined, null, 5, "x"]) assert.throws(() => serve(argument), /serve: its argument must be an object of options/);
});

test("what is null was not given, and sizes past what the engine counts are its largest", async () => {
  const names = ["hostname", "unix", "error", "development", "reusePort", "idleTimeout", "maxRequestBodySize", "id", "tls", "websocket"];
  for (const name of names) await serve({ port: 0, fetch, [name]: null }).stop(true);
  for (const name of ["open", "message", "error", "sendPings", "perMessageDeflate", "idleTimeout"]) {
    await serve({ port: 0, fetch, websocket: { [name]: null } }).stop(true);
  }
  await serve({ port: 0, fetch: null, routes: { "/": new Response() }, websocket: { maxPayloadLength: 2 ** 40, backpressureLimit: Infinity } }).stop(true);
  const server = serve({ port: 0, fetch, id: "mine", development: { hmr: true } });
  assert.deepStrictEqual([server.id, server.development], ["mine", true]);
  await server.stop(true);
});

test("a backpressureLimit of 0 is none", async (t) => {
  const numbers = {};
  for (const backpressureLimit of [0, 1]) {
    const sent = new EventEmitter();
    const open = (ws) => {
      const chunk = Buffer.alloc(1 << 20);
      sent.emit("numbers", Array.from({ length: 40 }, () => ws.send(chunk)));
    };
    const server = serve({ port: 0, fetch: (req, server) => void server.upgrade(req), websocket: { backpressureLimit, open } });
    const socket = await raw(server); // it reads nothing
    t.after(() => (socket.destroy(), server.stop(true)));
    socket.write(HANDSHAKE);
    [numbers[backpressureLimit]] = await once(sent, "numbers", { signal: AbortSignal.timeout(PATIENCE) });
  }
  assert.deepStrictEqual([numbers[0].at(-1), numbers[0].includes(0), numbers[1].at(-1)], [-1, false, 0]);
});

test("what is empty was not given, as a variable of the environment that is there without a value", async () => {
  const program = (port) => `const { serve } = require("tidewire");
    try { const s = serve({ port: ${port}, hostname: "", fetch() {} }); console.log(s.port, s.hostname); s.stop(true); } catch (error) { console.log(error.message); }`;
  const held = serve({ port: 0, fetch });
  const free = held.port;
  await held.stop(true);
  for (const [port, env] of [['""', { PORT: String(free) }], ["undefined", { TIDEWIRE_PORT: "", PORT: String(free) }]]) {
    const { output } = await run(`Object.assign(process.env, ${JSON.stringify(env)}); ${program(port)}`);
    assert.strictEqual(output, `${free} 0.0.0.0\n`);
  }
});

test("what the system refuses has its code, as with Node.js itself", () => {
  const server = serve({ port: 0, hostname: "127.0.0.1", fetch });
  const taken = { code: "EADDRINUSE", syscall: "listen", message: /Failed to start server\. Is 127\.0\.0\.1:\d+ in use\?/ };
  assert.throws(() => serve({ port: server.port, hostname: "127.0.0.1", fetch }), taken);
  server.stop(true);
  assert.throws(() => serve({ unix: "/nowhere/at/all", fetch }), { code: "ENOENT", syscall: "listen", message: /cannot listen on unix:\/nowhere\/at\/all/ });
});

test("names that nobody reads and somebody should are warned of, once", async () => {
  const { output } = await run(`
    const { serve } = require("tidewire");
    const websocket = { onmessage() {}, OnOpen() {}, maxPayload: 5, compression: 1, data: {}, mine: 1, close() {}, onclose() {} };
    for (let i = 0; i < 2; i++) serve({ port: 0, fetch() {}, websocket, host: "127.0.0.1", websockets: {}, mine: 1, static: {} }).stop(true);`);
  const warned = output.split("\n").filter((line) => line.includes("TIDEWIRE_OPTION")).map((line) => line.replace(/^.*serve: /, ""));
  assert.deepStrictEqual(warned, [
    "nothing reads the option host; did you mean hostname?",
    ...[["onmessage", "message"], ["OnOpen", "open"], ["maxPayload", "maxPayloadLength"], ["compression", "perMessageDeflate"]].map(
      ([name, instead]) => `nothing reads the option ${name} of websocket; did you mean ${instead}?`,
    ),
  ]);
});

test("without handlers for WebSockets a request is not upgraded, and the error says what to give", async (t) => {
  const errors = [];
  const server = serve({
    port: 0,
    fetch: (req, server) => (server.upgrade(req) ? undefined : new Response()),
    error: (error) => (errors.push(error), new Response("failed", { status: 500 })),
  });
  t.after(() => server.stop(true));
  const upgrade = async () => {
    const socket = await raw(server);
    socket.write(HANDSHAKE);
    const [data] = await once(socket, "data", { signal: AbortSignal.timeout(PATIENCE) });
    socket.destroy();
    return String(data).slice(9, 12);
  };
  assert.strictEqual(await upgrade(), "500");
  assert.match(errors[0].message, /upgrade: this server has no handlers for WebSockets; give serve a `websocket:/);
  server.reload({ websocket: {} });
  assert.strictEqual(await upgrade(), "101");
  server.reload({ fetch: (req, server) => (server.upgrade(req, null) ? undefined : new Response()) });
  assert.strictEqual(await upgrade(), "101");
  server.reload({ fetch: (req, server) => (server.upgrade(req, { headers: "x" }) ? undefined : new Response()) });
  assert.strictEqual(await upgrade(), "500");
  assert.match(errors[1].message, /^upgrade: headers must be a Headers, or what one can be made of: /);
});

"use strict";
// The options of serve(): what is wrong is named, with what was expected; what is null was not given.

const assert = require("node:assert");
const { EventEmitter, once } = require("node:events");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { raw, HANDSHAKE, PATIENCE } = require("./kit.cjs");

const fetch = () => new Response();

test("every wrong option is a TypeError with its name, what was expected and what was given", () => {
  const bytes = "a number from 0 to Infinity";
  const count = "a number from 0 to 4294967295";
  const cases = {
    port: [[-1, 1.5, 65536, "abc", "", {}, 10n, Symbol("p")], "a whole number from 0 to 65535"],
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
      const isRight = ({ constructor, message }) => constructor === TypeError && message.startsWith(`serve: ${name} must be ${expected}`) && message.endsWith(`not ${given}`);
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

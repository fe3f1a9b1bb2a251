"use strict";
// Limits of the application: payloads, and what is wrong about options.

const { text, binary, more } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const limited = (maxPayloadLength, ...writes) => ({
  serve: (site) => ({ websocket: { ...witness(site), maxPayloadLength } }),
  writes,
  until: "end",
  reworded: true,
});

/** What serve answers to options. */
const options = (...tried) => ({
  serve: ({ note, attempt, serve }) => {
    for (const given of tried) {
      const server = attempt(() => serve({ port: 0, fetch: () => new Response(), ...given }));
      note(Object.keys(given)[0], JSON.stringify(given), server instanceof Error ? "refused" : "accepted");
      if (!(server instanceof Error)) server.stop(true);
    }
    return {};
  },
  async drive({ program }) {
    await program.until(() => program.entries.length === tried.length, "all of them");
  },
});

module.exports = {
  "a message as long as is allowed": { ...limited(16, text("x".repeat(16))), until: "101" },
  "a message that is one byte too long": limited(16, text("x".repeat(17))),
  "a message that is far too long": limited(16, binary("", { wide: 8, length: 1n << 40n })),
  "fragments that are too long together": limited(16, text("x".repeat(10), { fin: false }), more("x".repeat(10))),
  "a fragment that says how long it will be": limited(16, text("x", { fin: false }), more("", { wide: 2, length: 1000 })),
  "too long for one, and not for the next": {
    serve: (site) => ({ websocket: { ...witness(site), maxPayloadLength: 1024 } }),
    reworded: true,
    async drive({ open, program }) {
      const [a, b] = [await open(), await open()];
      a.write(text("x".repeat(1025)));
      await a.sees("end");
      b.write(text("fits"));
      await program.sees("message fits");
    },
  },
  "websocket is missing or empty": options({ websocket: undefined }, { websocket: {} }),
  "handlers that are no functions": options(
    { websocket: { message: 1 } },
    { websocket: { open: "x" } },
    { websocket: { close: {} } },
  ),
  "limits of a wrong type": options(
    { websocket: { message() {}, maxPayloadLength: "1" } },
    { websocket: { message() {}, idleTimeout: "1" } },
    { websocket: { message() {}, backpressureLimit: "1" } },
    { websocket: { message() {}, sendPings: 1 } },
  ),
  "fetch is no function": options({ fetch: 1 }, { fetch: "x" }, { fetch: null }),
  "idle timeouts": {
    ...options(
      { websocket: { message() {}, idleTimeout: 0 } },
      { websocket: { message() {}, idleTimeout: 960 } },
      { websocket: { message() {}, idleTimeout: 961 } },
    ),
    differs: [
      {
        because: "idleTimeout beyond 960 s accepted",
        bun: ['websocket {"websocket":{"idleTimeout":961}} refused'],
        tidewire: ['websocket {"websocket":{"idleTimeout":961}} accepted'],
      },
    ],
  },
  "ports": options({ port: 70_000 }, { port: -1 }, { port: "0" }, { port: 0 }),
};

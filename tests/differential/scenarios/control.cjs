"use strict";
// Pings and pongs: who answers them, and what the handlers see.

const { text, ping, pong } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

module.exports = {
  "a ping is answered with its payload": {
    serve: () => ({ websocket: { message() {} } }),
    writes: [ping("payload")],
    until: "pong payload",
  },
  "an empty ping": { serve: (site) => ({ websocket: witness(site) }), writes: [ping("")], until: "pong" },
  "each of several pings is answered": {
    serve: () => ({ websocket: {} }),
    writes: [ping("1"), ping("2"), ping("3")],
    until: "pong 3",
  },
  "a ping handler does not replace the answer": {
    serve: ({ note }) => ({ websocket: { ping: (ws, data) => note("ping", data, ws.send("handled")) } }),
    writes: [ping("x")],
    until: "text handled",
  },
  "a pong that nobody asked for": { serve: (site) => ({ websocket: witness(site) }), writes: [pong("unasked")], noted: "pong" },
  "ping and pong handlers see the data in binaryType": {
    serve: ({ note }) => ({
      websocket: {
        open: (ws) => (ws.binaryType = "uint8array"),
        ping: (ws, data) => note("ping", data.constructor.name, data),
        pong: (ws, data) => note("pong", data.constructor.name, data),
      },
    }),
    writes: [ping("a"), pong("b")],
    noted: "pong",
  },
  "control handlers with arraybuffer": {
    serve: ({ note }) => ({
      websocket: {
        open: (ws) => (ws.binaryType = "arraybuffer"),
        ping: (ws, data) => note("ping", data.constructor.name, data),
        pong: (ws, data) => note("pong", data.constructor.name, data),
      },
    }),
    writes: [ping("a"), pong("b")],
    noted: "pong",
  },
  "ping() and pong() and their numbers": {
    serve: ({ note, attempt }) => ({
      websocket: {
        open(ws) {
          note(ws.ping(), ws.ping(""), ws.ping("text"), ws.ping(new Uint8Array([1, 2])), ws.ping(new Uint8Array([1, 2]).buffer));
          note(ws.pong(), ws.pong(""), ws.pong("text"), ws.pong(Buffer.from("buffer")), ws.pong("é"));
          note(
            ws.ping("x".repeat(125)),
            attempt(() => ws.ping("x".repeat(126))),
            attempt(() => ws.pong("é".repeat(63))),
          );
          note(
            ws.ping(undefined),
            ws.ping(null),
            attempt(() => ws.ping(1)),
            attempt(() => ws.ping({})),
          );
          ws.send("done");
        },
      },
    }),
    until: "text done",
  },
  "the client's answer to ping()": {
    serve: ({ note }) => ({ websocket: { open: (ws) => ws.ping("are you there"), pong: (ws, data) => note("pong", data) } }),
    async drive({ open, program }) {
      const peer = await open();
      await peer.sees("ping are you there");
      peer.write(pong("are you there"));
      await program.sees("pong");
    },
  },
  "a handler for pings sends, publishes and closes": {
    serve: ({ note }) => ({
      websocket: {
        ping(ws) {
          ws.subscribe("room");
          note(ws.send("from a ping"));
          ws.close(4000, "pinged");
        },
        message: () => note("never"),
        close: (ws, code, reason) => note("close", code, reason),
      },
    }),
    writes: [ping("x"), text("after")],
    until: "end",
  },
};

"use strict";
// A peer that does not read: what send and publish answer, what arrives in the end, and who is cut off.
//
// How much a kernel takes is not the runtime's doing, so programs send until they are told to wait, and note what they are told.

const { text } = require("../kit/wire.cjs");

const CHUNK = Buffer.alloc(256 * 1024, 7);
const LIMIT = 1024 * 1024;

/** Sends chunks until the answer is not positive; gives how many went, and that answer. */
function fill(ws) {
  for (let sent = 0; ; sent += 1) {
    const answer = ws.send(CHUNK);
    if (answer !== CHUNK.length) return { sent, answer };
  }
}

/** A client that reads nothing until it is told to, and its program. */
const stalling = (message, more = {}, then = async () => {}) => ({
  serve: (site) => ({
    websocket: {
      message: (ws, data) => message(ws, site, data),
      close: (ws, code, reason) => site.note("close", code, reason),
      ...(typeof more === "function" ? more(site) : more),
    },
  }),
  async drive(stage) {
    const peer = await stage.open();
    peer.stall();
    peer.write(text("go"));
    await stage.program.sees("filled");
    await then(peer, stage);
  },
  counted: true,
});

/** Reads everything up to a text that says that it was the last. */
async function reads(peer) {
  peer.flow();
  await peer.sees("text last");
}

module.exports = {
  "-1 is queued, arrives, and drain follows once": stalling(
    (ws, { note }) => {
      const { answer } = fill(ws);
      note("filled", answer, ws.getBufferedAmount() > 0);
    },
    ({ note }) => ({
      backpressureLimit: 16 * LIMIT,
      drain(ws) {
        note("drain", ws.getBufferedAmount());
        ws.send("last");
      },
    }),
    reads,
  ),
  "behind backpressure every send is queued": stalling(
    (ws, { note }) => {
      fill(ws);
      note("filled", ws.send("text"), ws.send(""), ws.send(new Uint8Array(3)), ws.ping("p"), ws.pong("p"));
    },
    { backpressureLimit: 16 * LIMIT, drain: (ws) => ws.send("last") },
    reads,
  ),
  "over the limit a send is dropped": stalling(
    (ws, { note }) => {
      fill(ws);
      while (ws.send(CHUNK) === -1);
      note("filled", ws.send("dropped"), ws.send(CHUNK), ws.ping("x"), ws.readyState);
    },
    { backpressureLimit: LIMIT, drain: (ws) => ws.send("last") },
    reads,
  ),
  "one message larger than the limit still goes": stalling(
    (ws, { note }) => {
      const answer = ws.send(Buffer.alloc(8 * LIMIT, 1));
      note("filled", answer, ws.send("dropped"));
    },
    { backpressureLimit: LIMIT, drain: (ws) => ws.getBufferedAmount() > 0 || ws.send("last") },
    reads,
  ),
  "closeOnBackpressureLimit cuts off": stalling(
    (ws, { note }) => {
      fill(ws);
      while (ws.readyState === 1 && ws.send(CHUNK) !== 0);
      note("filled", ws.send("gone"));
    },
    { backpressureLimit: LIMIT, closeOnBackpressureLimit: true },
    async (peer, { program }) => {
      await program.sees("close");
      peer.destroy();
    },
  ),
  "close behind backpressure: what was queued arrives first": stalling(
    (ws, { note }) => {
      fill(ws);
      ws.send("last");
      ws.close(4000, "full");
      note("filled", ws.readyState, ws.send("late"));
    },
    { backpressureLimit: 16 * LIMIT },
    async (peer) => {
      await reads(peer);
      await peer.sees("close");
    },
  ),
  "terminate behind backpressure": stalling(
    (ws, { note }) => {
      fill(ws);
      ws.terminate();
      note("filled", ws.readyState, ws.getBufferedAmount());
    },
    { backpressureLimit: 16 * LIMIT },
    async (peer) => peer.destroy(),
  ),
  "drain sends without a stall": stalling(
    (ws, { note }) => note("filled", fill(ws).answer),
    ({ note }) => ({
      backpressureLimit: 16 * LIMIT,
      drain(ws) {
        note("drain", ws.send("one"), ws.send("last"));
      },
    }),
    reads,
  ),
  "publish tells of the worst subscriber": {
    serve: ({ note }) => {
      let before;
      return {
        websocket: {
          backpressureLimit: LIMIT,
          open: (ws) => ws.subscribe("room"),
          message(ws, data) {
            const answer = ws.publish("room", data === "small" ? "x" : CHUNK);
            if (answer !== before) note("publish", (before = answer));
            ws.send("published");
          },
        },
      };
    },
    counted: true,
    async drive({ open, program }) {
      const [a, slow, fast] = [await open(), await open(), await open()];
      slow.stall();
      // One at a time, so that the one who reads has read when the next comes.
      for (let sent = 1; program.count("publish 0") === 0; sent += 1) {
        a.write(text("large"));
        await a.sees("text published", sent);
        await fast.sees("binary of", sent);
      }
      a.write(text("small"));
      await fast.sees("text x");
      slow.destroy();
    },
  },
};

"use strict";
// Data of every kind, in both directions.

const { text, binary } = require("../kit/wire.cjs");

/** A program that sends in each of these ways when a socket opens, notes what each answers, and ends with a text. */
const sending = (...calls) => ({
  serve: ({ note, attempt }) => ({
    websocket: {
      open(ws) {
        for (const call of calls) note(attempt(() => call(ws)));
        ws.send("done");
      },
    },
  }),
  until: "text done",
});

const bytes = () => Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]);
const shared = () => {
  const memory = new SharedArrayBuffer(4);
  new Uint8Array(memory).set([1, 2, 3, 4]);
  return memory;
};

/** A program that is sent a text and a binary message, and notes what it got. */
const receiving = (binaryType) => ({
  serve: ({ note, attempt }) => ({
    websocket: {
      open(ws) {
        note(
          "set",
          attempt(() => (ws.binaryType = binaryType)),
        );
        note("binaryType", ws.binaryType);
      },
      async message(ws, data) {
        const blob = data instanceof Blob;
        note("message", data?.constructor?.name, blob ? new Uint8Array(await data.arrayBuffer()) : data);
      },
      ping: (ws, data) => note("ping", data?.constructor?.name, data),
    },
  }),
  async drive({ open, program }) {
    const peer = await open();
    peer.write(text("text"), binary([1, 2, 3]));
    await program.sees("message", 2);
  },
});

module.exports = {
  "an empty send answers 0 and arrives": sending(
    (ws) => ws.send(""),
    (ws) => ws.send(new Uint8Array(0)),
  ),
  "echo": {
    serve: () => ({ websocket: { message: (ws, data) => void ws.send(data) } }),
    writes: [text("hello"), binary([1, 2, 3]), text(""), binary("")],
    until: "binary",
  },
  "strings": sending(
    (ws) => ws.send("ascii"),
    (ws) => ws.send("é"),
    (ws) => ws.send("漢字"),
    (ws) => ws.send("😀"),
    (ws) => ws.send("\ud800"),
  ),
  "long strings": sending(
    (ws) => ws.send("x".repeat(125)),
    (ws) => ws.send("x".repeat(126)),
    (ws) => ws.send("é".repeat(40_000)),
    (ws) => ws.send("x".repeat(65_536)),
  ),
  "every kind of bytes": sending(
    (ws) => ws.send(bytes()),
    (ws) => ws.send(bytes().buffer),
    (ws) => ws.send(Buffer.from("buffer")),
    (ws) => ws.send(shared()),
    (ws) => ws.send(new Uint8Array(shared())),
    (ws) => ws.send(new DataView(bytes().buffer)),
    (ws) => ws.send(new Uint16Array([1, 2])),
    (ws) => ws.send(new Float64Array([1])),
    (ws) => ws.send(new BigInt64Array([1n])),
  ),
  "views with offsets": sending(
    (ws) => ws.send(bytes().subarray(2, 5)),
    (ws) => ws.send(new DataView(bytes().buffer, 3, 2)),
    (ws) => ws.send(new Uint16Array(bytes().buffer, 2, 2)),
    (ws) => ws.send(Buffer.from("a buffer of the pool").subarray(2, 8)),
  ),
  "sendText and sendBinary": sending(
    (ws) => ws.sendText("text"),
    (ws) => ws.sendBinary(bytes()),
    (ws) => ws.sendBinary(bytes().buffer),
    (ws) => ws.sendText(""),
    (ws) => ws.sendBinary(new Uint8Array(0)),
    (ws) => ws.sendText(bytes()),
    (ws) => ws.sendBinary("text"),
  ),
  "what cannot be sent": sending(
    (ws) => ws.send(),
    (ws) => ws.send(undefined),
    (ws) => ws.send(null),
    (ws) => ws.send(1),
    (ws) => ws.send(true),
    (ws) => ws.send({}),
    (ws) => ws.send([1, 2]),
    (ws) => ws.send(Symbol("x")),
  ),
  "a compress flag of a wrong type": sending(
    (ws) => ws.send("x", 1),
    (ws) => ws.send("x", "yes"),
    (ws) => ws.send("x", null),
    (ws) => ws.send("x", undefined),
    (ws) => ws.send("x", {}),
  ),
  "a String object": sending((ws) => ws.send(new String("boxed"))),
  "a detached buffer": sending((ws) => {
    const { buffer } = bytes();
    structuredClone(buffer, { transfer: [buffer] });
    return ws.send(buffer);
  }),
  "received as a Buffer": receiving("nodebuffer"),
  "received as an ArrayBuffer": receiving("arraybuffer"),
  "received as a Uint8Array": receiving("uint8array"),
  "a binaryType that there is not": receiving("fragments"),
  "a received message is its buffer's only content": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          note(data.byteOffset, data.buffer.byteLength, data.length);
          ws.send(data.buffer);
        },
      },
    }),
    writes: [binary("secret"), binary("hi")],
    until: "binary 6869",
  },
  "messages of every length's form": {
    serve: () => ({ websocket: { message: (ws, data) => ws.send(data) } }),
    writes: [
      text("x".repeat(125)),
      text("x".repeat(126)),
      binary(Buffer.alloc(65_535, 1)),
      binary(Buffer.alloc(65_536, 2)),
      text("last"),
    ],
    until: "text last",
  },
  "text that is not ASCII, received": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          note(data.length, data);
          ws.send(data);
        },
      },
    }),
    writes: [text("é"), text("漢字"), text("😀"), text("\u0000\uffff")],
    until: "text \u0000",
  },
};

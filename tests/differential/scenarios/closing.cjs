"use strict";
// The end of a connection: codes and reasons of every kind, from either side, and what a socket answers afterwards.

const { text, close, frame } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const REFUSED = "invalid close codes refused";

/** The client closes with these bytes. */
const closedBy = (...bytes) => ({
  serve: (site) => ({ websocket: witness(site) }),
  writes: bytes,
  until: "end",
});

/** The client closes with bytes that are an error. */
const failing = (...bytes) => ({ ...closedBy(...bytes), reworded: true });

/** The server closes with these arguments. */
const closes = (...given) => ({
  serve: ({ note, attempt, ...site }) => ({
    websocket: {
      ...witness({ note, ...site }),
      message(ws) {
        note(
          "closes",
          attempt(() => ws.close(...given)),
          ws.readyState,
        );
        if (ws.readyState === 1) ws.send("still open");
      },
    },
  }),
  async drive({ open }) {
    const peer = await open();
    peer.write(text("go"));
    await peer.until(() => peer.count("close") + peer.count("text still open") > 0, "a close, or that there is none");
  },
});

/** The server closes with a code that may not be sent: it is refused, and the socket stays open. Bun sends some of them. */
const refused = (code, sent) => ({
  ...closes(code, "why"),
  differs: [
    { because: REFUSED, bun: [`close ${code} why`, "closes [undefined] 3"], tidewire: ["closes [an error] 1", "close 1000 "] },
    { because: REFUSED, bun: [sent], tidewire: ["text still open", "close 1000"] },
  ],
});

module.exports = {
  "an empty Close": closedBy(close()),
  "1000 with a reason": closedBy(close(1000, "bye")),
  "a reason that is not ASCII": closedBy(close(1000, "schönes Ende 😀")),
  "1001": closedBy(close(1001)),
  "1011": closedBy(close(1011, "broken")),
  "3000": closedBy(close(3000)),
  "4999 with the longest reason": closedBy(close(4999, "x".repeat(123))),
  "1005 on the wire": failing(close(1005)),
  "1006 on the wire": failing(close(1006)),
  "1015 on the wire": failing(close(1015)),
  "1004 on the wire": failing(close(1004)),
  "0 on the wire": failing(close(0)),
  "999 on the wire": failing(close(999)),
  "1016 on the wire": failing(close(1016)),
  "2999 on the wire": failing(close(2999)),
  "5000 on the wire": failing(close(5000)),
  "65535 on the wire": failing(close(65535)),
  "a Close of one byte": failing(frame(8, [3])),
  "a Close of 126 bytes": failing(close(1000, "x".repeat(124))),
  "a reason that is no UTF-8": failing(close(1000, Buffer.from([0xff, 0xfe]))),
  "messages behind a Close are ignored": closedBy(text("before"), close(1000, "bye"), text("after"), close(1001)),
  "the connection ends without a Close": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("last"));
      peer.finish();
      await program.sees("close");
      await peer.sees("end");
    },
  },
  "the connection is reset": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("last"));
      await program.sees("message");
      peer.reset();
      await program.sees("close");
    },
  },
  "close()": closes(),
  "close(1000, reason)": closes(1000, "bye"),
  "close with a code of its own": closes(4321, "mine"),
  "close(1001)": closes(1001, "going"),
  "close(1011)": closes(1011, "broken"),
  "close(3000)": closes(3000),
  "close(4999)": closes(4999, "x".repeat(123)),
  "close with an empty reason": closes(1000, ""),
  "close with a reason that is not ASCII": closes(1000, "é😀"),
  "close with undefined": closes(undefined, undefined),
  "close with a reason alone": closes(undefined, "bye"),
  ...Object.fromEntries(
    Object.entries({
      0: "empty",
      999: "999 why",
      1004: "1004 why",
      1005: "empty",
      1006: "empty",
      1015: "1015 why",
      2999: "2999 why",
      5000: "5000 why",
    }).map(([code, sent]) => [`close(${code})`, refused(Number(code), `close ${sent}`)]),
  ),
  "a reason of a wrong type": {
    serve: ({ note, attempt }) => ({
      websocket: {
        message(ws) {
          attempt(() => ws.close(1000, { toString: () => "boxed" }));
          note("state", ws.readyState);
          ws.close(4000);
        },
      },
    }),
    writes: [text("go")],
    until: "close",
    differs: [
      { because: "close(reason) of a wrong type throws", bun: ["state 3"], tidewire: ["state 1"] },
      { because: "close(reason) of a wrong type throws", bun: ["close 1000 boxed"], tidewire: ["close 4000"] },
    ],
  },
  "terminate": {
    serve: ({ note, ...site }) => ({
      websocket: {
        ...witness({ note, ...site }),
        message(ws) {
          note("terminates", ws.terminate(), ws.readyState);
        },
      },
    }),
    async drive({ open }) {
      const peer = await open();
      peer.write(text("go"));
      await peer.until(() => peer.entries.length > 1, "the end");
    },
  },
  "what was sent before terminate arrives": {
    serve: ({ note }) => ({
      websocket: {
        message(ws) {
          note(ws.send("sent"));
          ws.terminate();
        },
        close: (ws, code, reason) => note("close", code, reason),
      },
    }),
    writes: [text("go")],
    until: "end",
  },
  "what a socket answers after its end": {
    serve: ({ note, attempt }) => ({
      websocket: {
        open: (ws) => ws.subscribe("topic"),
        message(ws) {
          ws.close();
          note(ws.readyState, ws.send("x"), ws.sendText("x"), ws.sendBinary(new Uint8Array(1)), ws.ping(), ws.pong());
          note(ws.publish("topic", "x"), ws.publishText("topic", "x"), ws.publishBinary("topic", new Uint8Array(1)));
          note(ws.subscribe("other"), ws.unsubscribe("topic"), ws.isSubscribed("topic"), ws.subscriptions);
          note(ws.close(), ws.terminate(), ws.getBufferedAmount(), ws.binaryType, ws.data);
          note("address", ws.remoteAddress);
          note(
            attempt(() => ws.close(4000, "again")),
            attempt(() => ws.cork(() => "corked")),
          );
        },
      },
    }),
    writes: [text("go")],
    until: "end",
    differs: [{ because: "a superset of both is welcome", bun: ["address [undefined]"], tidewire: ["address 127.0.0.1"] }],
  },
  "what a socket answers inside its close handler": {
    serve: ({ note }) => ({
      websocket: {
        open: (ws) => ws.subscribe("topic"),
        close(ws, code, reason) {
          note("close", code, reason, ws.readyState, ws.send("x"), ws.ping(), ws.isSubscribed("topic"), ws.subscriptions);
          note(ws.subscribe("other"), ws.unsubscribe("topic"), ws.publish("topic", "x"), ws.getBufferedAmount());
        },
      },
    }),
    writes: [close(1000)],
    until: "end",
  },
};

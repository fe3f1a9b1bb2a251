"use strict";
// Frames that are legal in unusual ways, and frames that are not: how the connection ends and what the application is told.

const { frame, text, binary, more, ping, pong, close } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const LENGTHS = "limits on fragments and non-minimal lengths";

/** A client writes these bytes at once and the connection goes on, or ends as it must. */
const gets = (...writes) => ({ serve: (site) => ({ websocket: witness(site) }), writes });

/** A failure of the peer: the Close has a reason of our own words, and the close handler gets the same. */
const failing = (...writes) => ({ ...gets(...writes), until: "end", reworded: true });

const part = { fin: false };

module.exports = {
  "a message in three fragments": gets(text("one", part), more(" two", part), more(" three")),
  "a ping between fragments": gets(text("one", part), ping("between"), more(" two")),
  "a pong between fragments": gets(binary([1], part), pong("between"), more([2])),
  "empty fragments": gets(text("", part), more("", part), more("x", part), more("")),
  "a message of empty fragments": gets(binary("", part), more("")),
  "a character split between fragments": gets(text(Buffer.from([0xe6, 0xbc]), part), more(Buffer.from([0xa2]))),
  "a close between fragments": { ...gets(text("one", part), close(1000, "enough")), until: "end" },
  "an empty message of each kind": gets(text(""), binary("")),
  "a masking key of zero": gets(text("plain", { key: [0, 0, 0, 0] })),
  "many frames in one write": gets(...Array.from({ length: 50 }, (_, i) => text(`${i}`))),
  "a frame in single bytes": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ open, program }) {
      const peer = await open();
      await peer.trickle(text("slow"), binary(Buffer.alloc(130, 7)));
      await program.sees("message Buffer");
    },
  },
  "an unmasked frame": failing(text("bare", { mask: false })),
  "an unmasked frame behind a message": failing(text("fine"), text("bare", { mask: false })),
  "RSV1 without an extension": failing(text("x", { rsv: 4 })),
  "RSV2": failing(text("x", { rsv: 2 })),
  "RSV3 on a ping": failing(ping("x", { rsv: 1 })),
  "opcode 3": failing(frame(3, "x")),
  "opcode 7": failing(frame(7)),
  "opcode 11": failing(frame(11, "x")),
  "opcode 15": failing(frame(15)),
  "a continuation of nothing": failing(more("x")),
  "a new message inside another": failing(text("one", part), text("two")),
  "a fragmented ping": failing(ping("x", part)),
  "a ping of 126 bytes": failing(ping("x".repeat(126))),
  "a ping of 125 bytes": gets(ping("x".repeat(125))),
  "text that is no UTF-8": failing(text(Buffer.from([0xff]))),
  "text that ends inside a character": failing(text(Buffer.from([0xe6, 0xbc]))),
  "a surrogate in text": failing(text(Buffer.from([0xed, 0xa0, 0x80]))),
  "an overlong form in text": failing(text(Buffer.from([0xc0, 0xaf]))),
  "fragments that are no UTF-8 together": failing(text(Buffer.from([0xe6]), part), more("x")),
  "a length of 2^63": {
    ...failing(binary("", { wide: 8, length: 1n << 63n })),
    differs: [{ because: LENGTHS, bun: ["close 1009 (a reason)"], tidewire: ["close 1002 (a reason)"] }],
  },
  "a length that takes too many bytes": {
    ...gets(),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("x", { wide: 2 }));
      await program.until(() => program.count("message") + program.count("close") > 0, "a message, or the end");
    },
    differs: [
      { because: LENGTHS, bun: ["message x", "close 1000 "], tidewire: ["close 1006 (a reason)"] },
      { because: LENGTHS, bun: ["close 1000"], tidewire: ["close 1002 (a reason)"] },
    ],
    reworded: true,
  },
  "a failure ends only its own connection": {
    serve: ({ note }) => ({
      fetch: (req, server) => void server.upgrade(req, { data: new URL(req.url).pathname }),
      websocket: {
        message(ws, data) {
          note(ws.data, data);
          ws.send(data);
        },
        close: (ws, code) => note(ws.data, "close", code),
      },
    }),
    reworded: true,
    async drive({ open }) {
      const [good, bad] = [await open({ path: "/good" }), await open({ path: "/bad" })];
      bad.write(frame(3));
      await bad.sees("end");
      good.write(text("still here"));
      await good.sees("text");
    },
  },
};

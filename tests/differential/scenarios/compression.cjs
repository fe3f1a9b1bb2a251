"use strict";
// permessage-deflate: what is agreed on for which offer, and what travels compressed.

const { text, packed, frame, more } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

/** A handshake with this offer, whose answer is traced with all of its headers, and an echo. */
const offers = (offer, perMessageDeflate = true, differs) => ({
  serve: () => ({ websocket: { perMessageDeflate, message: (ws, data) => ws.send(data, true) } }),
  async drive({ open }) {
    const peer = await open({ headers: { "Sec-WebSocket-Extensions": offer }, traced: true });
    peer.write(text(LONG));
    await peer.sees("text");
  },
  ...(differs && { differs }),
});

/** A connection with compression agreed on, and what is written on it. */
const agreed = (serve, writes, more = {}) => ({
  serve,
  async drive({ open, program }) {
    const peer = await open({ headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } });
    peer.write(...writes);
    if (more.until) await peer.sees(more.until);
    if (more.noted) await program.sees(more.noted);
  },
  ...(more.reworded && { reworded: true }),
});

const WINDOWS = "all window sizes negotiated";
const BOTH = ["client_no_context_takeover", "server_no_context_takeover"];

/** The answer to a handshake, with the extension and these parameters of it, or without. */
function answered(...parameters) {
  const extension =
    parameters.length > 0 ? `sec-websocket-extensions: ${["permessage-deflate", ...parameters.sort()].join("; ")}; ` : "";
  return `101 {connection: Upgrade; sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=; ${extension}upgrade: websocket}`;
}

const witnessing = (limits) => (site) => ({ websocket: { perMessageDeflate: true, ...witness(site), ...limits } });
const LONG = "a message that repeats itself, ".repeat(20);

module.exports = {
  "switched off": offers("permessage-deflate", false),
  "true": offers("permessage-deflate"),
  "an empty object": offers("permessage-deflate", {}),
  "no offer": { ...offers("x-unknown") },
  "an offer with client_max_window_bits": offers("permessage-deflate; client_max_window_bits"),
  "an offer with client_max_window_bits=10": offers("permessage-deflate; client_max_window_bits=10", true, [
    {
      because: WINDOWS,
      bun: [answered(...BOTH)],
      tidewire: [answered(...BOTH, "client_max_window_bits=10")],
    },
  ]),
  "an offer with server_max_window_bits=10": offers("permessage-deflate; server_max_window_bits=10", true, [
    {
      because: WINDOWS,
      bun: [answered(), "text of 620 bytes aa096b805892"],
      tidewire: [answered(...BOTH, "server_max_window_bits=10"), "text compressed of 620 bytes aa096b805892"],
    },
  ]),
  "an offer with server_max_window_bits=15": offers("permessage-deflate; server_max_window_bits=15"),
  "an offer with both no_context_takeover": offers("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
  "a browser's offer": offers("permessage-deflate; client_max_window_bits"),
  "two offers": offers("permessage-deflate; server_max_window_bits=9, permessage-deflate", true, [
    {
      because: WINDOWS,
      bun: [answered(...BOTH)],
      tidewire: [answered(...BOTH, "server_max_window_bits=9")],
    },
  ]),
  "an unknown parameter": offers("permessage-deflate; mine"),
  "an unknown parameter, then a plain offer": offers("permessage-deflate; mine, permessage-deflate"),
  "a parameter twice": offers("permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
  "window bits that are too large": offers("permessage-deflate; server_max_window_bits=16"),
  "window bits that are too small": offers("permessage-deflate; server_max_window_bits=7"),
  "window bits that are no number": offers("permessage-deflate; server_max_window_bits=x"),
  "an unknown extension first": offers("x-mine; a=1, permessage-deflate"),
  "x-webkit-deflate-frame": offers("x-webkit-deflate-frame"),
  "dedicated compressors": offers("permessage-deflate", { compress: "dedicated", decompress: "dedicated" }),
  "a dedicated compressor of 16 KB": offers("permessage-deflate", { compress: "16KB", decompress: "shared" }),
  "compression in one direction": offers("permessage-deflate", { compress: "shared", decompress: false }),
  "decompression alone": offers("permessage-deflate", { compress: "disable", decompress: "shared" }),
  "a compressed message is received": agreed(witnessing(), [packed("hello"), packed(LONG), text("plain")], {
    noted: "message plain",
  }),
  "a compressed message in fragments": agreed(
    witnessing(),
    [frame(1, packedBytes(LONG).subarray(0, 10), { rsv: 4, fin: false }), more(packedBytes(LONG).subarray(10))],
    { noted: "message" },
  ),
  "an empty compressed message": agreed(witnessing(), [text(Buffer.from([0]), { rsv: 4 })], { noted: "message" }),
  "garbage that says it is compressed": agreed(witnessing(), [text("garbage!", { rsv: 4 })], { until: "end", reworded: true }),
  "RSV1 on a continuation": agreed(witnessing(), [text("x", { fin: false }), more("y", { rsv: 4 })], {
    until: "end",
    reworded: true,
  }),
  "RSV1 on a ping": agreed(witnessing(), [frame(9, "x", { rsv: 4 })], { until: "end", reworded: true }),
  "compressed text that is no UTF-8": agreed(witnessing(), [packed(Buffer.from([0xff, 0xfe]))], { until: "end", reworded: true }),
  "inflated past maxPayloadLength": agreed(witnessing({ maxPayloadLength: 1024 }), [packed("x".repeat(100_000))], {
    until: "end",
    reworded: true,
  }),
  "send compresses when it is told to": agreed(
    ({ note }) => ({
      websocket: {
        perMessageDeflate: true,
        message(ws) {
          note(ws.send(LONG), ws.send(LONG, true), ws.send(LONG, false), ws.send("", true));
          note(ws.sendText(LONG, true), ws.sendBinary(Buffer.from(LONG), true));
          ws.send("done");
        },
      },
    }),
    [text("go")],
    { until: "text done" },
  ),
  "send(data, true) without an agreement": {
    serve: ({ note }) => ({ websocket: { perMessageDeflate: true, open: (ws) => note(ws.send(LONG, true), ws.send("done")) } }),
    until: "text done",
  },
  "publish compresses when it is told to": {
    serve: (site) => ({
      websocket: {
        perMessageDeflate: true,
        open: (ws) => ws.subscribe("room"),
        message(ws) {
          site.note(ws.publish("room", LONG), ws.publish("room", LONG, true), ws.publish("room", LONG, false));
          site.note(
            site.server.publish("room", LONG),
            site.server.publish("room", LONG, true),
            site.server.publish("room", LONG, false),
          );
          site.server.publish("room", "done", false);
        },
      },
    }),
    async drive({ open }) {
      const offer = { headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } };
      const [a, b, plain] = [await open(offer), await open(offer), await open()];
      a.write(text("go"));
      for (const peer of [a, b, plain]) await peer.until(() => peer.entries.some((entry) => entry === "text done"), "done");
    },
  },
};

function packedBytes(data) {
  return require("node:zlib").deflateRawSync(data, { finishFlush: 2 }).subarray(0, -4);
}

"use strict";
// The other direction: programs that use the class WebSocket, against a server whose every byte the driver writes.

const { text, binary, more, ping, pong, close, frame, packed } = require("../kit/wire.cjs");

const bare = { mask: false };
const SCRIPTS = "codes 1000 and 3000-4999 in close() of a client";
const SAID = "on a failure the wire carries a Close with a reason";
const FAILS = "a server's failure has its code in the close event: 1002, 1007, 1009";
const UNOPENED = "what could not be opened has a close event, behind the error, and is CLOSED in both";
const EXTENSIONS = "headers and the like are Bun's additions";

/** Notes all that happens to a socket, in its words. */
function watch({ note }, ws) {
  ws.addEventListener("open", () => note("open", ws.readyState, ws.protocol, ws.extensions));
  ws.addEventListener("message", ({ data }) => note("message", data));
  ws.addEventListener("error", () => note("error", ws.readyState));
  ws.addEventListener("close", ({ code, reason, wasClean }) => note("close", code, reason, wasClean, ws.readyState));
  return ws;
}

const connecting =
  (...more) =>
  (site) =>
    void watch(site, new site.WebSocket(site.url, ...more));

/** A server that answers the handshake with these headers, and then writes this. */
const served = ({ headers = {}, client = connecting(), glued = [], writes = [], until = "close", ...rest }) => ({
  client,
  async drive({ accepted, program }) {
    const peer = await accepted();
    await peer.sees("GET");
    peer.switches(headers, ...glued);
    if (writes.length > 0) {
      await program.sees("open");
      peer.write(...writes);
    }
    // Node.js 22 ends a server that fails without a Close.
    if (until) await peer.until(() => peer.count(until) + peer.count("end") > 0, until);
    peer.finish();
    await program.sees("close");
  },
  ...rest,
});

/** A program whose connection was not opened: Node.js 22 says nothing behind the error. */
const unopened = ({ runtime, program }) => program.sees(runtime === "node" ? "error" : "close");

/** An answer to the handshake that is refused. */
const refusing = (answer) => ({
  client: connecting(),
  async drive(stage) {
    const peer = await stage.accepted();
    await peer.sees("GET");
    answer(peer);
    await unopened(stage);
  },
  reworded: true,
  fromNode: [{ because: UNOPENED, node: ["error 0"], "tidewire on it": ["error 3", "close 1006 (a reason)"] }],
});

/** A failure of the server's, with the code that the contract promises: Bun says 1006 in the event, and the code on the wire. */
const failing = (code, ...writes) =>
  served({
    writes,
    reworded: true,
    differs: [
      { because: FAILS, bun: ["close 1006 (a reason)"], tidewire: [`close ${code} (a reason)`] },
      { because: SAID, bun: [`close ${code}`], tidewire: [`close ${code} (a reason)`] },
    ],
    fromNode: [
      { because: "what has failed is CLOSED when its error is told", node: ["error 1"], "tidewire on it": ["error 3"] },
      { because: FAILS, node: ["close 1006 (a reason)"], "tidewire on it": [`close ${code} (a reason)`] },
    ],
  });

const refused = (headers) =>
  refusing((peer) => {
    peer.switches(headers);
    peer.finish();
  });

/** Calls of a socket that is open, which then closes. */
const calling = (call) =>
  served({
    client(site) {
      const ws = watch(site, new site.WebSocket(site.url));
      ws.addEventListener("open", () => {
        call(ws, site);
        ws.close(1000);
      });
    },
  });

/** The server leaves an open connection in this way. */
const leaving = (leave) => ({
  client: connecting(),
  async drive({ accepted, program }) {
    const peer = await accepted();
    await peer.sees("GET");
    peer.switches();
    await program.sees("open");
    leave(peer);
    await program.sees("close");
  },
});

module.exports = {
  "a plain handshake": served({ writes: [close(1000, "", bare)] }),
  "frames glued to the 101 come after open": served({ glued: [text("early", bare), close(1000, "", bare)] }),
  "messages of every kind": served({
    client(site) {
      const ws = watch(site, new site.WebSocket(site.url));
      ws.binaryType = "arraybuffer";
    },
    writes: [text("é", bare), binary([1, 2], bare), text("", bare), binary("", bare), close(1000, "", bare)],
  }),
  "a message in fragments with a ping between": served({
    writes: [text("one", { ...bare, fin: false }), ping("p", bare), more(" two", bare), close(1000, "", bare)],
  }),
  "a pong that nobody asked for": served({ writes: [pong("x", bare), text("after", bare), close(1000, "", bare)] }),
  "a Close with a code and a reason": served({ writes: [close(4000, "why", bare)] }),
  "an empty Close": served({ writes: [close(undefined, "", bare)] }),
  "what follows a Close is ignored": served({ writes: [close(1000, "", bare), text("late", bare)] }),
  "send of every kind": calling((ws, { note }) => {
    note(ws.send("text"), ws.send(new Uint8Array([1, 2, 3]).subarray(1)), ws.send(new Uint8Array([4]).buffer), ws.send(""));
  }),
  "close with a code and a reason": {
    client(site) {
      const ws = watch(site, new site.WebSocket(site.url));
      ws.addEventListener("open", () => {
        ws.close(4321, "mine");
        site.note("closing", ws.readyState);
      });
    },
    async drive({ accepted, program }) {
      const peer = await accepted();
      await peer.sees("GET");
      peer.switches();
      await peer.sees("close");
      peer.write(close(4321, "mine", bare));
      peer.finish();
      await program.sees("close");
    },
  },
  "codes and reasons that close refuses": calling((ws, { note, attempt }) => {
    for (const given of [[999], [2999], [5000], [3000, "x".repeat(124)]])
      note(
        given[0],
        attempt(() => ws.close(...given)),
        ws.readyState,
      );
  }),
  "1001 in close": {
    ...calling((ws, { note, attempt }) =>
      note(
        attempt(() => ws.close(1001)),
        ws.readyState,
      ),
    ),
    differs: [
      { because: SCRIPTS, bun: ["[undefined] 2"], tidewire: ["[an error] 1"] },
      { because: SCRIPTS, bun: ["close 1001"], tidewire: ["close 1000"] },
    ],
  },
  "a subprotocol that was offered": served({
    client: connecting(["one", "two"]),
    headers: { "Sec-WebSocket-Protocol": "two" },
    writes: [close(1000, "", bare)],
  }),
  "headers of the program": served({
    notNode: EXTENSIONS,
    client: connecting({ headers: { "X-Mine": "1", Authorization: "Bearer x" } }),
    writes: [close(1000, "", bare)],
  }),
  "compression that the server agrees on": served({
    headers: { "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover" },
    writes: [packed("hello hello hello", bare), close(1000, "", bare)],
  }),
  "a masked frame": failing(1002, text("masked")),
  "text that is no UTF-8": failing(1007, text(Buffer.from([0xff]), bare)),
  "RSV1 without an extension": failing(1002, text("x", { ...bare, rsv: 4 })),
  "an opcode that there is not": failing(1002, frame(3, "x", bare)),
  "a fragmented ping": failing(1002, ping("x", { ...bare, fin: false })),
  "a server that ends without a Close": leaving((peer) => peer.finish()),
  "a server that resets": leaving((peer) => peer.reset()),
  "an answer that is no 101": refusing((peer) => peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")),
  "a wrong Sec-WebSocket-Accept": refused({ "Sec-WebSocket-Accept": "wrong" }),
  "no Upgrade in the answer": refused({ Upgrade: null }),
  "a subprotocol that was not offered": refused({ "Sec-WebSocket-Protocol": "mine" }),
  "an extension that was not offered": refused({ "Sec-WebSocket-Extensions": "x-mine" }),
  "urls that are none": {
    client({ WebSocket, note, attempt }) {
      for (const url of ["", "nonsense", "ftp://example.test", "ws://example.test/#fragment"]) {
        const made = attempt(() => new WebSocket(url));
        note(url, made instanceof Error ? made.name : "made");
        if (!(made instanceof Error)) made.close();
      }
    },
    async drive({ program }) {
      await program.until(() => program.entries.length === 4, "all of them");
    },
  },
};

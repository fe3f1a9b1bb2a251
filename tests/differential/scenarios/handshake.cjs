"use strict";
// The opening handshake: what is upgraded and what is not, and the answer's headers.

const { handshake } = require("../kit/peer.cjs");
const { text } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const TOKENS = "Upgrade and Connection are matched as token lists";
const SMUGGLED = "a rejected upgrade ends the connection, so that what follows is not served as a request";
const SWITCHED = "101 {connection: Upgrade; sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=; upgrade: websocket}";

/** A program that notes what upgrade answers. */
const upgrading = (options) => (site) => ({
  fetch(req, server) {
    const answer = site.attempt(() => server.upgrade(req, options));
    site.note("upgrade", answer);
    if (answer !== true) return new Response("refused", { status: 400 });
  },
  websocket: witness(site),
});

/** A handshake with these headers, whose answer is traced with all of its headers. */
const asks = (headers, options, differs) => ({
  serve: upgrading(options),
  async drive({ open }) {
    await open({ headers, traced: true });
  },
  differs,
});

module.exports = {
  "a plain handshake": asks({}),
  "Connection is a list of tokens in any case": asks({ Connection: "keep-alive, UPGRADE", Upgrade: "WebSocket" }),
  "Upgrade names several protocols": asks({ Upgrade: "foo, websocket" }),
  "no Upgrade header": asks({ Upgrade: null }),
  "an Upgrade to something else": asks({ Upgrade: "h2c" }),
  "no Connection header": asks({ Connection: null }, undefined, [
    { because: TOKENS, bun: ["open", "upgrade true", "close 1000 "], tidewire: ["upgrade false"] },
    { because: TOKENS, bun: [SWITCHED, "close 1000"], tidewire: ["400 {content-type: text/plain;charset=utf-8} refused"] },
  ]),
  "a rejected upgrade with a request behind it": {
    serve: upgrading(),
    async drive({ dial }) {
      const peer = await dial();
      peer.write(handshake("/first", { "Sec-WebSocket-Key": "short" }), handshake("/second"));
      await peer.until(() => peer.count("101") + peer.count("end") > 0, "an upgrade, or an end");
    },
    differs: [
      { because: SMUGGLED, bun: ["upgrade false", "open", "upgrade true", "close 1000 "], tidewire: ["upgrade false"] },
      { because: SMUGGLED, bun: ["101", "close 1000", "end"], tidewire: ["end"] },
    ],
  },
  "no key": asks({ "Sec-WebSocket-Key": null }),
  "an empty key": asks({ "Sec-WebSocket-Key": "" }),
  "a key that is too short": asks({ "Sec-WebSocket-Key": "c2hvcnQ=" }),
  "a key that is no base64": asks({ "Sec-WebSocket-Key": "????????????????????????" }),
  "no version": asks({ "Sec-WebSocket-Version": null }),
  "another version": asks({ "Sec-WebSocket-Version": "8" }),
  "one subprotocol offered, none chosen": asks({ "Sec-WebSocket-Protocol": "chat" }),
  "several subprotocols offered, none chosen": asks({ "Sec-WebSocket-Protocol": "a, b, c" }),
  "a subprotocol chosen": asks({ "Sec-WebSocket-Protocol": "a, b" }, { headers: { "Sec-WebSocket-Protocol": "b" } }),
  "a subprotocol chosen that was not offered": asks({}, { headers: { "Sec-WebSocket-Protocol": "mine" } }),
  "an empty choice of subprotocol": asks({ "Sec-WebSocket-Protocol": "a, b" }, { headers: { "Sec-WebSocket-Protocol": "" } }),
  "headers of the application": asks({}, { headers: { "X-One": "1", "Set-Cookie": "SessionId=7" } }),
  "headers as a list, one of them twice": asks(
    {},
    {
      headers: [
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-Two", "2"],
      ],
    },
  ),
  "headers that are not the application's": asks(
    {},
    {
      headers: {
        "Content-Length": "5",
        "Transfer-Encoding": "chunked",
        "Sec-WebSocket-Accept": "mine",
        Upgrade: "x",
        Connection: "close",
      },
    },
  ),
  "an offer of an extension that is not switched on": asks({ "Sec-WebSocket-Extensions": "permessage-deflate" }),
  "POST is not upgraded": {
    serve: upgrading(),
    async drive({ dial }) {
      const peer = await dial();
      peer.write(handshake().toString().replace("GET", "POST"));
      await peer.sees("");
    },
  },
  "data is attached, and the request stays readable": {
    serve: ({ note }) => ({
      async fetch(req, server) {
        note(server.upgrade(req, { data: { name: new URL(req.url).searchParams.get("name") } }));
        await null;
        note(req.method, new URL(req.url).pathname, req.headers.get("X-Mine"), req.headers.get("host"));
      },
      websocket: { open: (ws) => ws.send(JSON.stringify(ws.data)) },
    }),
    async drive({ open, program }) {
      const peer = await open({ path: "/path?name=Ada", headers: { "X-Mine": "1" } });
      await peer.sees("text");
      await program.sees("GET");
    },
  },
  "without data": {
    serve: ({ note }) => ({
      websocket: { open: (ws) => note(ws.data, ws.readyState, ws.remoteAddress, ws.binaryType, ws.subscriptions) },
    }),
    noted: "",
  },
  "the head comes in single bytes": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ dial, program }) {
      const peer = await dial();
      await peer.trickle(handshake());
      await peer.sees("101");
      await peer.trickle(text("hi"));
      await program.sees("message");
    },
  },
  "frames that come with the request follow open": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ open, program }) {
      await open({ glued: [text("a"), text("b")] });
      await program.sees("message b");
    },
  },
  "half a frame comes with the request": {
    serve: (site) => ({ websocket: witness(site) }),
    async drive({ open, program }) {
      const bytes = text("halved");
      const peer = await open({ glued: [bytes.subarray(0, 7)] });
      peer.write(bytes.subarray(7));
      await program.sees("message");
    },
  },
};

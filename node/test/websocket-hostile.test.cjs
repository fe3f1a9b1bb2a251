"use strict";
// The client's rows of the list of hostile inputs that are an application's doing: row 7, what is given to close and send, and
// row 8, what would break a line of the handshake.

const assert = require("node:assert/strict");
const net = require("node:net");
const { once } = require("node:events");
const { test } = require("node:test");

const { serve, WebSocket } = require("..");

const dom = (name) => (error) => error instanceof DOMException && error.name === name;

/** Bytes whose memory is somebody else's now. */
function detached(View = Uint8Array) {
  const bytes = new View(new Uint8Array([1, 2, 3, 4]).buffer);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  assert.equal(bytes.buffer.byteLength, 0);
  return bytes;
}

/** What a server is told by a client that does this once it is open. */
async function heard(act) {
  const log = [];
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => void server.upgrade(request),
    websocket: {
      message: (_ws, data) => void log.push(typeof data === "string" ? data : [...data]),
      close: (_ws, code, reason) => void log.push(`close ${code} ${reason}`),
    },
  });
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/`);
  const closed = once(ws, "close");
  await once(ws, "open");
  act(ws);
  await closed;
  await server.stop(true);
  return log;
}

test("row 07: a reason that is no text throws, one that can be made text is that text, and no byte is another's", async () => {
  const seen = await heard((ws) => {
    const bad = { toString: () => assert.fail("no text") };
    assert.throws(() => ws.close(1000, Symbol("a")), TypeError);
    assert.throws(() => ws.close(Symbol("a")), TypeError);
    assert.throws(() => ws.close(1n), TypeError);
    assert.throws(() => ws.close(1000, bad), assert.AssertionError);
    assert.throws(() => ws.close(1000, Object.create(null)), TypeError);
    assert.throws(() => ws.close(1000, detached()), TypeError, "it cannot be made text");
    assert.throws(() => ws.close(1000, new Uint8Array(200)), dom("SyntaxError"), "as text it is 399 bytes");
    assert.throws(() => ws.close(1000, "é".repeat(62)), dom("SyntaxError"));
    assert.equal(ws.readyState, WebSocket.OPEN);
    assert.throws(() => ws.send(Symbol("a")), TypeError);
    assert.throws(() => ws.send(bad), assert.AssertionError);
    for (const View of [Uint8Array, Uint16Array, DataView]) ws.send(detached(View));
    ws.send(detached().buffer);
    ws.send("still here");
    ws.close(3000, new Uint8Array([7, 8]));
  });
  assert.deepEqual(seen, [[], [], [], [], "still here", "close 3000 7,8"]);
  assert.deepEqual(await heard((ws) => ws.close(3000, "é".repeat(61))), [`close 3000 ${"é".repeat(61)}`]);
  assert.deepEqual(await heard((ws) => ws.close(3000, "\ud800")), ["close 3000 \ufffd"], "a lone surrogate is no text");
});

test("row 08: what would break a line of the handshake throws, and nobody is connected to", async () => {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `ws://127.0.0.1:${server.address().port}/`;
  for (const bad of ["\r", "\n", "\0", "\r\nX-Theirs: yes", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "\u010a", "\u560a"]) {
    const text = `a${bad}b`;
    const refused = (expected, ...given) => assert.throws(() => new WebSocket(...given), expected, JSON.stringify(text));
    refused(TypeError, url, { headers: { x: text } });
    refused(TypeError, url, { headers: { x: ["fine", text] } });
    refused(TypeError, url, { headers: { Host: text } });
    refused(TypeError, url, { headers: [[text, "x"]] });
    refused(TypeError, url, { headers: { [text]: "x" } });
    refused(dom("SyntaxError"), url, text);
    refused(dom("SyntaxError"), url, { protocols: ["fine", text] });
    refused(TypeError, url, { proxy: { url: "http://127.0.0.1:1", headers: { x: text } } });
    refused(TypeError, url, { proxy: { url: "http://127.0.0.1:1", headers: { [text]: "x" } } });
  }
  // Proof that connections are counted; and that a URL has no such bytes: its parser leaves them out or encodes them.
  const ws = new WebSocket(`${url}a\r\nX-Theirs: yes\0z`);
  assert.equal(ws.url, `${url}aX-Theirs:%20yes%00z`);
  await once(ws, "close");
  assert.equal(connections, 1);
  server.close();
});

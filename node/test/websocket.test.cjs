"use strict";
// The client, against servers of raw bytes, and our own. What is numbered is in the contract.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const net = require("node:net");
const { test } = require("node:test");

const { serve, WebSocket, CloseEvent, ErrorEvent, MessageEvent } = require("..");

const NOWHERE = "ws://127.0.0.1:1/";

/** Collects what a WebSocket tells, until it has closed. */
function told(ws) {
  const log = [];
  for (const type of ["open", "message", "ping", "pong", "error", "close"]) {
    ws.addEventListener(type, (event) => log.push(event));
  }
  return new Promise((resolve) => ws.addEventListener("close", () => resolve(log)));
}

const brief = ({ type, data, code, reason, wasClean, error }) =>
  ({ message: () => `message ${data}`, error: () => `error ${error.code}`, close: () => `close ${code} ${reason} ${wasClean}` })[type]?.() ??
  type;

/** A server of raw bytes: gives each connection, with the key and the head of its request, to `meet`. */
async function raw(meet) {
  const server = net.createServer((socket) => {
    let head = "";
    socket.on("error", () => {});
    socket.setEncoding("latin1");
    socket.on("data", function listener(data) {
      head += data;
      if (!head.endsWith("\r\n\r\n")) return;
      socket.off("data", listener);
      meet(socket, /^Sec-WebSocket-Key: (.*)\r$/im.exec(head)[1], head);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `ws://127.0.0.1:${server.address().port}/`, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(resolve)), close: () => server.close() };
}

const accept = (key) => crypto.createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const good = (key, more = "") =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(key)}\r\n${more}\r\n`;
const write = (socket, ...parts) => socket.write(Buffer.concat(parts.map((part) => Buffer.from(part, "latin1"))));

/** What is told of a server that answers so, and then perhaps ends. */
async function against(answer, { end = false, options } = {}) {
  const server = await raw((socket, key) => {
    write(socket, ...[answer(key)].flat());
    if (end) socket.end();
  });
  try {
    return (await told(new WebSocket(server.url, options))).map(brief);
  } finally {
    server.close();
  }
}

function echo(websocket = {}) {
  return serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no", { status: 400 })),
    websocket: { message: (ws, data) => void ws.send(data), ...websocket },
  });
}

const at = (server) => `ws://127.0.0.1:${server.port}/`;

const dom = (name) => (error) => error instanceof DOMException && error.name === name;

test("a URL is what the standard says", async () => {
  for (const url of ["", "x", "ftp://a", "ws://127.0.0.1:1/#f", "ws://127.0.0.1:1/#", "ws://127.0.0.1:99999"]) {
    assert.throws(() => new WebSocket(url), dom("SyntaxError"), url);
  }
  assert.throws(() => new WebSocket(), TypeError);
  assert.throws(() => WebSocket(NOWHERE), TypeError);
  const shown = {
    "http://127.0.0.1:1/a": "ws://127.0.0.1:1/a",
    "https://127.0.0.1:1": "wss://127.0.0.1:1/",
    "ws:127.0.0.1:1": "ws://127.0.0.1:1/",
    "ws://127.0.0.1:1/a b?x=ü": "ws://127.0.0.1:1/a%20b?x=%C3%BC",
    "WS://127.0.0.1:1": "ws://127.0.0.1:1/",
  };
  for (const [given, expected] of Object.entries(shown)) {
    const ws = new WebSocket(given);
    assert.equal(ws.url, expected);
    assert.deepEqual((await told(ws)).map((event) => event.type), ["error", "close"]);
  }
  const ws = new WebSocket(new URL("ws://127.0.0.1:1/u"));
  assert.equal(ws.url, "ws://127.0.0.1:1/u");
  await told(ws);
});

test("29: subprotocols that cannot be, or are given twice, throw", async () => {
  for (const protocols of [["a", "a"], ["A", "a"], "", [""], "a b", ["a,b"], "ü", { protocols: ["a", "a"] }]) {
    assert.throws(() => new WebSocket(NOWHERE, protocols), dom("SyntaxError"), JSON.stringify(protocols));
  }
  for (const protocols of ["a", ["a", "b"], new Set(["a"]), undefined, {}, { protocol: "a" }]) {
    await told(new WebSocket(NOWHERE, protocols));
  }
});

test("34: headers that cannot be sent throw; the handshake's own are not to be replaced, Host is", async () => {
  for (const headers of [{ a: "b\r\nc" }, { a: "b\0c" }, { "a b": "c" }, { a: "\u0100" }]) {
    assert.throws(() => new WebSocket(NOWHERE, { headers }), TypeError, JSON.stringify(headers));
  }
  let seen;
  const server = await raw((socket, key, head) => {
    seen = head.toLowerCase();
    write(socket, good(key), "\x88\x02\x03\xe8");
  });
  const headers = { Host: "example.com", Connection: "close", Upgrade: "h2c", "Sec-WebSocket-Version": "8", "x-list": ["1", "2"], "x-number": 3 };
  await told(new WebSocket(server.url, { headers }));
  server.close();
  assert.match(seen, /\r\nhost: example.com\r\n/);
  assert.match(seen, /\r\nconnection: upgrade\r\n/);
  assert.match(seen, /\r\nupgrade: websocket\r\n/);
  assert.match(seen, /\r\nsec-websocket-version: 13\r\n/);
  assert.match(seen, /\r\nx-list: 1\r\nx-list: 2\r\n/);
  assert.match(seen, /\r\nx-number: 3\r\n/);
  assert.match(seen, /\r\nsec-websocket-extensions: permessage-deflate/);
});

test("options that are not what they must be are named", () => {
  assert.throws(() => new WebSocket(NOWHERE, { tls: 5 }), /WebSocket: tls must be an object/);
  assert.throws(() => new WebSocket(NOWHERE, { tls: { ca: 5 } }), /WebSocket: tls\.ca must be PEM or DER/);
  assert.throws(() => new WebSocket(NOWHERE, { tls: { ca: "nothing" } }), /WebSocket: tls\.ca is no PEM/);
  assert.throws(() => new WebSocket(NOWHERE, { tls: { cert: "-----BEGIN x" } }), /tls\.cert and tls\.key belong together/);
  assert.throws(() => new WebSocket(NOWHERE, { proxy: "nonsense" }), /proxy must be the URL of a proxy/);
  assert.throws(() => new WebSocket(NOWHERE, { proxy: "ftp://a" }), /scheme of proxy must be http or https/);
  assert.throws(() => new WebSocket(NOWHERE, { headers: 5 }), /headers must be an object/);
});

test("constants, the shape of the class, attributes", async () => {
  assert.deepEqual([WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED], [0, 1, 2, 3]);
  assert.equal(WebSocket.length, 1);
  const ws = new WebSocket(NOWHERE);
  assert.equal(String(ws), "[object WebSocket]");
  assert.ok(ws instanceof EventTarget);
  assert.equal(ws.CLOSING, 2);
  assert.equal(ws.readyState, 0);
  assert.deepEqual([ws.protocol, ws.extensions, ws.bufferedAmount], ["", "", 0]);
  assert.equal(ws.binaryType, "nodebuffer");
  ws.binaryType = "nonsense";
  assert.equal(ws.binaryType, "nodebuffer");
  ws.onmessage = 5;
  assert.equal(ws.onmessage, null);
  const object = { handleEvent() {} };
  ws.onmessage = object;
  assert.equal(ws.onmessage, object);
  await told(ws);
});

test("handlers and listeners are called in the order of their registration", async () => {
  const ws = new WebSocket(NOWHERE);
  const order = [];
  ws.addEventListener("close", () => order.push("first"));
  ws.onclose = () => order.push("replaced");
  ws.addEventListener("close", () => order.push("third"));
  ws.onclose = function (event) {
    assert.equal(this, ws);
    assert.equal(event.target, ws);
    order.push("second");
  };
  ws.onerror = () => order.push("never");
  ws.onerror = null;
  await told(ws);
  assert.deepEqual(order, ["first", "second", "third"]);
});

test("31: a refused connection is an error with a code, then close 1006", async () => {
  const ws = new WebSocket(NOWHERE);
  const [error, close] = await told(ws);
  assert.ok(error instanceof ErrorEvent);
  assert.equal(error.error.code, "ECONNREFUSED");
  assert.equal(error.code, "ECONNREFUSED");
  assert.match(error.message, /^WebSocket connection to 'ws:\/\/127\.0\.0\.1:1\/' failed: /);
  assert.ok(close instanceof CloseEvent);
  assert.deepEqual([close.code, close.reason, close.wasClean], [1006, "", false]);
  assert.equal(ws.readyState, 3);
});

test("31: close while connecting: an error, then close 1006, not inside the call", async () => {
  const ws = new WebSocket(NOWHERE);
  const log = [];
  ws.onerror = () => log.push(`error ${ws.readyState}`);
  ws.onclose = (event) => log.push(`close ${event.code} ${ws.readyState}`);
  const over = told(ws);
  ws.close();
  assert.equal(ws.readyState, 2);
  assert.deepEqual(log, []);
  await over;
  assert.deepEqual(log, ["error 3", "close 1006 3"]);
});

test("29: what an answer must have is verified", async () => {
  const bad = {
    "another status": () => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a wrong accept": (key) => good(key).replace(accept(key), accept("other")),
    "no Upgrade": (key) => good(key).replace("Upgrade: websocket\r\n", ""),
    "no Connection": (key) => good(key).replace("Connection: Upgrade\r\n", ""),
    "a subprotocol that nobody asked for": (key) => good(key, "Sec-WebSocket-Protocol: other\r\n"),
    "an extension that nobody asked for": (key) => good(key, "Sec-WebSocket-Extensions: foo\r\n"),
    "an extension twice": (key) => good(key, "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n"),
    "no HTTP": () => "nonsense nonsense\r\n\r\n",
  };
  for (const [name, answer] of Object.entries(bad)) {
    const log = await against(answer);
    assert.equal(log.length, 2, `${name}: ${log}`);
    assert.match(log[0], /^error ERR_/, name);
    assert.equal(log[1], "close 1006  false", name);
  }
  assert.deepEqual(await against((key) => good(key, "Sec-WebSocket-Protocol: one\r\n") + "\x88\x02\x03\xe8", { options: ["one", "two"] }), [
    "open",
    "close 1000  true",
  ]);
});

test("32: frames glued to the answer come after open, in order, each in a task of its own", async () => {
  const server = await raw((socket, key) => write(socket, good(key), "\x81\x01a\x81\x01b\x88\x05\x0f\xa0bye"));
  const ws = new WebSocket(server.url);
  const log = [];
  for (const type of ["open", "message", "close"]) {
    ws.addEventListener(type, (event) => {
      log.push(brief(event));
      queueMicrotask(() => log.push(`after ${type}`));
      process.nextTick(() => log.push(`tick ${type}`));
    });
  }
  await told(ws);
  await new Promise(setImmediate);
  server.close();
  assert.deepEqual(log, [
    "open", "tick open", "after open",
    "message a", "tick message", "after message",
    "message b", "tick message", "after message",
    "close 4000 bye true", "tick close", "after close",
  ]);
});

test("33: what a server may not send fails the connection, and the close event says why", async () => {
  const cases = [
    ["a masked frame", "\x81\x81\0\0\0\0a", "WS_ERR_PROTOCOL", 1002],
    ["bad UTF-8", "\x81\x01\xff", "WS_ERR_INVALID_UTF8", 1007],
    ["a reserved bit", "\xb1\x01a", "WS_ERR_PROTOCOL", 1002],
    ["an invalid code", "\x88\x02\x03\xed", "WS_ERR_PROTOCOL", 1002],
    ["too much", "\x82\x7f\0\0\0\x01\0\0\0\0", "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1009],
  ];
  for (const [name, frames, error, code] of cases) {
    const log = await against((key) => [good(key), frames]);
    assert.deepEqual(log.slice(0, 2), ["open", `error ${error}`], name);
    assert.match(log[2], new RegExp(`^close ${code} .+ false$`), name);
  }
});

test("an end without a closing handshake is 1006, an empty Close 1005", async () => {
  assert.deepEqual(await against((key) => good(key), { end: true }), ["open", "close 1006  false"]);
  assert.deepEqual(await against((key) => good(key) + "\x88\x00"), ["open", "close 1005  true"]);
});

test("30: codes and reasons of close are checked in every state", async () => {
  const server = echo();
  const ws = new WebSocket(at(server));
  const check = () => {
    for (const code of [0, 999, 1001, 1005, 1006, 1015, 2999, 5000, "x", NaN, null]) {
      assert.throws(() => ws.close(code), dom("InvalidAccessError"), String(code));
    }
    assert.throws(() => ws.close(1000, "x".repeat(124)), dom("SyntaxError"));
    assert.throws(() => ws.close(1000, "ü".repeat(62)), dom("SyntaxError"));
  };
  const over = told(ws);
  check();
  assert.throws(() => ws.send("early"), dom("InvalidStateError"));
  assert.throws(() => ws.ping(), dom("InvalidStateError"));
  await new Promise((resolve) => ws.addEventListener("open", resolve));
  check();
  ws.close(3000, "ü".repeat(61));
  assert.equal(ws.readyState, 2);
  check();
  ws.close(); // again: nothing
  ws.send("lost");
  assert.equal(ws.bufferedAmount, 4);
  assert.equal(brief((await over).at(-1)), `close 3000 ${"ü".repeat(61)} true`); // the server's answer
  check();
  ws.send("lost");
  ws.ping();
  ws.terminate();
  assert.equal(ws.bufferedAmount, 8);
  await server.stop(true);
});

test("a server sees the code, the reason, or that there is none", async () => {
  const seen = [];
  const server = echo({ close: (ws, code, reason) => void seen.push([code, reason]) });
  for (const close of [(ws) => ws.close(), (ws) => ws.close(4001, "grund ü"), (ws) => ws.close(undefined, "why"), (ws) => ws.close(1000)]) {
    const ws = new WebSocket(at(server));
    ws.onopen = () => close(ws);
    await told(ws);
  }
  await server.stop(true);
  assert.deepEqual(seen, [[1005, ""], [4001, "grund ü"], [1000, "why"], [1000, ""]]);
});

test("messages go both ways in every form", async () => {
  const server = echo();
  const ws = new WebSocket(at(server));
  const got = [];
  ws.onmessage = (event) => got.push(event);
  await new Promise((resolve) => (ws.onopen = resolve));
  const arrived = async () => {
    const before = got.length;
    while (got.length === before) await new Promise(setImmediate);
    return got.at(-1).data;
  };
  for (const text of ["", "text", "ü\u{1F600}", "x".repeat(100_000)]) {
    ws.send(text);
    assert.equal(await arrived(), text);
  }
  ws.send(5);
  assert.equal(await arrived(), "5");
  ws.send("a\ud800b");
  assert.equal(await arrived(), "a\ufffdb");
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
  for (const data of [bytes, bytes.buffer, Buffer.from(bytes), new DataView(bytes.buffer, 0, 300), new Blob([bytes]), bytes.subarray(0, 10), new Uint16Array(bytes.buffer, 2, 4)]) {
    ws.send(data);
    const expected = Buffer.from(data instanceof Blob ? bytes : ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : data);
    const received = await arrived();
    assert.ok(Buffer.isBuffer(received));
    assert.deepEqual(received, expected);
    assert.equal(received.buffer.byteLength, received.length);
  }
  ws.binaryType = "arraybuffer";
  ws.send(bytes);
  assert.ok((await arrived()) instanceof ArrayBuffer);
  ws.binaryType = "blob";
  ws.send(bytes);
  const blob = await arrived();
  assert.ok(blob instanceof Blob);
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
  assert.ok(got[0] instanceof MessageEvent);
  assert.equal(got[0].origin, `ws://127.0.0.1:${server.port}`);
  ws.close();
  await told(ws);
  await server.stop(true);
});

test("a Blob keeps its place among what is sent, and before the Close", async () => {
  const got = [];
  const server = echo({ message: (ws, data) => void got.push(String(data)) });
  const ws = new WebSocket(at(server));
  ws.onopen = () => {
    ws.send("one");
    ws.send(new Blob(["two"]));
    ws.send("three");
    assert.equal(ws.bufferedAmount >= 8, true);
    ws.close();
  };
  await told(ws);
  await server.stop(true);
  assert.deepEqual(got, ["one", "two", "three"]);
});

test("after close() nothing is delivered any more", async () => {
  const server = await raw((socket, key) => {
    write(socket, good(key), "\x81\x01a\x81\x01b");
    socket.once("data", () => write(socket, "\x81\x01c\x88\x02\x03\xe8"));
  });
  const ws = new WebSocket(server.url);
  const log = [];
  ws.onmessage = (event) => {
    log.push(event.data);
    ws.close();
  };
  await told(ws);
  server.close();
  assert.deepEqual(log, ["a"]);
});

test("pings and pongs, both ways", async () => {
  const seen = [];
  const server = echo({
    open: (ws) => void ws.ping("hello"),
    ping: (ws, data) => void seen.push(`ping ${data}`),
    pong: (ws, data) => void seen.push(`pong ${data}`),
  });
  const ws = new WebSocket(at(server));
  ws.addEventListener("ping", (event) => {
    seen.push(`client ping ${event.data}`);
    ws.ping("mine");
  });
  ws.addEventListener("pong", (event) => {
    seen.push(`client pong ${event.data}`);
    ws.close();
  });
  await told(ws);
  await server.stop(true);
  assert.deepEqual(seen.sort(), ["client ping hello", "client pong mine", "ping mine", "pong hello"]);
});

test("a paused client reads nothing until it is resumed", async () => {
  const server = echo({ open: (ws) => void ws.send("waits") });
  const ws = new WebSocket(at(server));
  assert.equal(ws.pause(), true);
  assert.equal(ws.isPaused, true);
  const log = [];
  ws.onmessage = (event) => log.push(event.data);
  await new Promise((resolve) => (ws.onopen = resolve));
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  assert.deepEqual(log, []);
  assert.equal(ws.resume(), true);
  assert.equal(ws.isPaused, false);
  while (log.length === 0) await new Promise(setImmediate);
  ws.close();
  await told(ws);
  assert.equal(ws.pause(), false);
  await server.stop(true);
});

test("terminate is 1006, later", async () => {
  const server = echo();
  const ws = new WebSocket(at(server));
  await new Promise((resolve) => (ws.onopen = resolve));
  const over = told(ws);
  ws.terminate();
  assert.equal(ws.readyState, 2);
  assert.deepEqual((await over).map(brief), ["close 1006  false"]);
  await server.stop(true);
});

test("compression is offered, agreed on and used", async () => {
  const server = echo({ perMessageDeflate: true, message: (ws, data) => void ws.send(data, true) });
  const ws = new WebSocket(at(server));
  const text = JSON.stringify(Array.from({ length: 200 }, (_, i) => ({ name: `user ${i}` })));
  const data = await new Promise((resolve) => {
    ws.onopen = () => ws.send(text);
    ws.onmessage = (event) => resolve(event.data);
  });
  assert.equal(data, text);
  assert.match(ws.extensions, /^permessage-deflate/);
  ws.close();
  await told(ws);
  const plain = new WebSocket(at(server), { perMessageDeflate: false });
  await new Promise((resolve) => (plain.onopen = resolve));
  assert.equal(plain.extensions, "");
  plain.close();
  await told(plain);
  await server.stop(true);
});

test("names and passwords in a URL are sent as Authorization", async () => {
  let authorization;
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, server) {
      authorization = request.headers.get("authorization");
      return server.upgrade(request) ? undefined : new Response();
    },
    websocket: { open: (ws) => ws.close() },
  });
  await told(new WebSocket(`ws://me:se%20cret@127.0.0.1:${server.port}/`));
  await server.stop(true);
  assert.equal(authorization, `Basic ${Buffer.from("me:se cret").toString("base64")}`);
});

test("a unix socket, as ws+unix:", async () => {
  const path = require("node:path").join(require("node:fs").mkdtempSync(require("node:path").join(require("node:os").tmpdir(), "tidewire-")), "socket");
  let url;
  const server = serve({
    unix: path,
    fetch(request, server) {
      url = request.url;
      return server.upgrade(request) ? undefined : new Response();
    },
    websocket: { open: (ws) => ws.close(4000, "unix") },
  });
  const log = await told(new WebSocket(`ws+unix:${path}:/chat?x=1`));
  await server.stop(true);
  assert.equal(brief(log.at(-1)), "close 4000 unix true");
  assert.match(url, /\/chat\?x=1$/);
});

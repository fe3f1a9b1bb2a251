"use strict";
// Runs: short messages that come in one read cross into JavaScript in one call, and short replies go back without one. Nothing of that
// may show: each test writes many messages at once.

const assert = require("node:assert");
const { once } = require("node:events");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, frame, HANDSHAKE, raw, run, take } = require("./kit.cjs");

function site(t, websocket, options = {}) {
  const server = serve({
    port: 0,
    fetch: (req, server) => (server.upgrade(req) ? undefined : new Response("no", { status: 400 })),
    websocket,
    ...options,
  });
  t.after(() => server.stop(true));
  return server;
}

const binary = (bytes) => Buffer.concat([Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);

/** Sends frames in one write, behind a handshake, and gives the connection. */
async function write(server, ...frames) {
  const socket = await raw(server);
  socket.write(HANDSHAKE);
  await once(socket, "data");
  socket.write(Buffer.concat(frames));
  return socket;
}

/** Waits until `list` has so many entries. */
async function filled(list, count) {
  while (list.length < count) await new Promise((resolve) => setImmediate(resolve));
}

const numbers = (count) => Array.from({ length: count }, (_, index) => `${index}`);

test("a pause holds back the rest of a run, and a resume gives it in order", async (t) => {
  const seen = [];
  const server = site(t, {
    message(ws, data) {
      seen.push(data);
      if (seen.length % 3 !== 0) return;
      ws.pause();
      setImmediate(() => {
        assert.strictEqual(seen.length % 3, 0, "nothing came meanwhile");
        ws.resume();
      });
    },
  });
  const socket = await write(server, ...numbers(40).map(frame));
  await filled(seen, 40);
  assert.deepStrictEqual(seen, numbers(40));
  socket.destroy();
});

test("a microtask may end a socket between the messages of a run", async (t) => {
  for (const [end, code] of [[(ws) => ws.close(4001), 4001], [(ws) => ws.terminate(), 1006]]) {
    const seen = [];
    const server = site(t, {
      message(ws, data) {
        seen.push(data);
        if (data === "1") queueMicrotask(() => end(ws));
      },
      close: (ws, code) => seen.push(code),
    });
    const socket = await write(server, ...numbers(5).map(frame));
    await filled(seen, 3);
    assert.deepStrictEqual(seen, ["0", "1", code]);
    socket.destroy();
  }
});

test("what others do to a socket in the middle of its run counts at once", async (t) => {
  const seen = [];
  const sockets = [];
  const server = site(t, {
    open: (ws) => sockets.push(ws),
    message(ws, data) {
      seen.push(data);
      if (data === "2") sockets.find((other) => other !== ws).close(4002);
    },
    close: (ws, code) => seen.push(code),
  });
  const other = await connect(server);
  const socket = await write(server, ...numbers(5).map(frame));
  await filled(seen, 6);
  assert.deepStrictEqual(seen, ["0", "1", "2", 4002, "3", "4"]);
  other.terminate();
  socket.destroy();
});

test("replies keep their place among publishes, pings and long messages", async (t) => {
  const server = site(t, {
    publishToSelf: true,
    open: (ws) => ws.subscribe("room"),
    message(ws, data) {
      ws.send(`${data} short`);
      ws.publish("room", `${data} published`);
      ws.send(Buffer.from(`${data} bytes`));
      ws.send(`${data} é`);
      ws.send(`${data} ${"long ".repeat(20)}`);
      server.publish("room", `${data} by the server`);
      ws.sendText(`${data} last`);
    },
  });
  const client = await connect(server);
  client._socket.write(Buffer.concat(numbers(20).map(frame)));
  const expected = numbers(20).flatMap((data) => [
    `${data} short`,
    `${data} published`,
    Buffer.from(`${data} bytes`),
    `${data} é`,
    `${data} ${"long ".repeat(20)}`,
    `${data} by the server`,
    `${data} last`,
  ]);
  assert.deepStrictEqual(await take(client, expected.length), expected);
  client.terminate();
});

test("send answers what it answers outside a run", async (t) => {
  const seen = [];
  let huge = 0;
  const server = site(t, {
    message(ws, data) {
      if (data === "fill") {
        while (ws.send("x".repeat(1 << 20)) > 0) huge += 1;
      }
      seen.push([data, ws.send(""), ws.send("four"), ws.send("é"), ws.send(new Uint8Array(5)), ws.send(7), ws.readyState]);
    },
  });
  const socket = await write(server, ...["a", "b", "fill", "c"].map(frame));
  socket.pause();
  await filled(seen, 4);
  const [open, stalled] = [[0, 4, 2, 5, 1, 1], [-1, -1, -1, -1, -1, 1]];
  assert.deepStrictEqual(seen, [["a", ...open], ["b", ...open], ["fill", ...stalled], ["c", ...stalled]]);
  assert.ok(huge < 1000);
  socket.destroy();
});

test("each message of bytes has memory of its own, of whatever length and type", async (t) => {
  for (const type of ["nodebuffer", "arraybuffer", "uint8array"]) {
    const seen = [];
    const server = site(t, {
      open: (ws) => (ws.binaryType = type),
      message: (ws, data) => seen.push(data),
    });
    const sent = [0, 1, 63, 64, 65, 100, 125].map((length, index) => Buffer.alloc(length, index + 1));
    const socket = await write(server, ...sent.flatMap((bytes) => [binary(bytes), frame("between")]));
    await filled(seen, 2 * sent.length);
    const [bytes, texts] = [seen.filter((data) => typeof data !== "string"), seen.filter((data) => typeof data === "string")];
    assert.strictEqual(texts.length, sent.length);
    for (const [index, data] of bytes.entries()) {
      const memory = data instanceof ArrayBuffer ? data : data.buffer;
      assert.strictEqual(memory.byteLength, sent[index].length);
      assert.deepStrictEqual(Buffer.from(memory), sent[index]);
    }
    socket.destroy();
  }
});

test("a reload in the middle of a run counts for the next message", async (t) => {
  const seen = [];
  const websocket = (name) => ({
    message(ws, data) {
      seen.push(`${name} ${data}`);
      if (data === "1") server.reload({ fetch: () => new Response(), websocket: websocket("new") });
    },
  });
  const server = site(t, websocket("old"));
  const socket = await write(server, ...numbers(4).map(frame));
  await filled(seen, 4);
  assert.deepStrictEqual(seen, ["old 0", "old 1", "new 2", "new 3"]);
  socket.destroy();
});

test("what a tick between two messages throws is uncaught, and the run goes on", async () => {
  const { code, output } = await run(`
    const { serve } = require(".");
    const net = require("node:net");
    process.on("uncaughtException", (error) => console.log("uncaught", error.message));
    const server = serve({
      port: 0,
      fetch: (req, server) => void server.upgrade(req),
      websocket: {
        message(ws, data) {
          console.log(data);
          process.nextTick(() => { throw new Error("tick " + data); });
          process.nextTick(() => console.log("after", data));
          if (data === "2") setImmediate(() => process.exit(7));
        },
      },
    });
    const socket = net.connect(server.port, "127.0.0.1", () => socket.write(${JSON.stringify(HANDSHAKE)}));
    socket.once("data", () => socket.write(Buffer.from("818100000000308181000000003181810000000032", "hex")));
  `);
  const lines = output.trim().split("\n");
  const each = (data) => [data, `uncaught tick ${data}`, `after ${data}`];
  assert.deepStrictEqual([code, lines.sort()], [7, ["0", "1", "2"].flatMap(each).sort()], output);
  assert.deepStrictEqual(lines.filter((line) => line.length === 1), ["0", "1", "2"]);
});

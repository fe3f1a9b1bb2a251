"use strict";
// Blobs, sent and received. Reading one takes time on Node.js; the order of what its socket sends stays.

const assert = require("node:assert");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, take, until } = require("./kit.cjs");

function site(t, websocket) {
  const server = serve({ port: 0, fetch: (req, server) => void server.upgrade(req), websocket });
  t.after(() => server.stop(true));
  return server;
}

const big = () => new Blob(["x".repeat(1_000_000), "y"]);

test("a Blob is sent with its length as the answer, and what is sent after it comes after it", async (t) => {
  const numbers = [];
  const server = site(t, {
    open(ws) {
      ws.subscribe("room");
      const bytes = Buffer.from("bytes");
      numbers.push(ws.send("before"), ws.send(big()), ws.send("text é"), ws.send(bytes), ws.sendBinary(new Blob(["second"])));
      bytes.fill(0);
      numbers.push(ws.sendText("third", true), ws.send(""), ws.send(new Blob([])), ws.publish("room", "to nobody else"));
    },
  });
  const client = await connect(server);
  const messages = await take(client, 8);
  assert.deepStrictEqual(messages.map((message) => `${typeof message} ${message.length}`), [
    ...["string 6", "object 1000001", "string 6", "object 5", "object 6", "string 5", "string 0", "object 0"],
  ]);
  assert.strictEqual(messages[3].toString(), "bytes");
  assert.deepStrictEqual(numbers, [6, 1000001, 7, 5, 6, 5, 0, 0, 14]);
});

test("publish, server.publish, ping and pong take Blobs, in the order of their sender", async (t) => {
  const errors = [];
  const server = site(t, {
    open: (ws) => void ws.subscribe("room"),
    message(ws, message) {
      if (message !== "go") return;
      ws.publish("room", new Blob(["from a socket"]));
      ws.publish("room", "after it");
      assert.strictEqual(ws.ping(new Blob(["ping"])), 4);
      assert.strictEqual(ws.pong(new Blob(["pong"])), 4);
      assert.throws(() => ws.ping(new Blob(["x".repeat(126)])), RangeError);
      assert.throws(() => ws.pong("x".repeat(126)), RangeError);
      assert.throws(() => ws.sendText(new Blob([])), TypeError);
      ws.send("end");
    },
    error: (error) => errors.push(error),
  });
  const [one, two] = [await connect(server), await connect(server)];
  const control = [];
  one.on("ping", (data) => control.push(`ping ${data}`));
  one.on("pong", (data) => control.push(`pong ${data}`));
  one.send("go");
  assert.deepStrictEqual((await take(two, 2)).map(String), ["from a socket", "after it"]);
  assert.deepStrictEqual(await take(one, 1), ["end"]);
  assert.deepStrictEqual([control, errors], [["ping ping", "pong pong"], []]);
  assert.strictEqual(server.publish("room", new Blob(["from the server"])), 15);
  assert.strictEqual(server.publish("room", "then this"), 9);
  assert.deepStrictEqual((await take(two, 2)).map(String), ["from the server", "then this"]);
});

test("close waits for the Blobs before it; what is sent after it is dropped", async (t) => {
  const events = [];
  const server = site(t, {
    open(ws) {
      ws.send(big());
      ws.close(4000, "done");
      assert.throws(() => ws.close(1006), RangeError);
      events.push(ws.readyState, ws.send("late"), ws.send(new Blob(["late"])));
    },
    close: (ws, code, reason) => events.push(ws.readyState, code, reason),
  });
  const client = await connect(server);
  await until(client, () => client.closed);
  assert.deepStrictEqual([client.messages.length, client.closed], [1, { code: 4000, reason: "done" }]);
  assert.deepStrictEqual(events, [2, 0, 0, 3, 4000, "done"]);
});

test("a socket that is cut off while its Blob is read sends nothing more and keeps nothing", async (t) => {
  const numbers = [];
  const server = site(t, {
    open(ws) {
      ws.send("first");
      ws.send(big());
    },
    message(ws) {
      ws.send(big());
      ws.terminate();
      numbers.push(ws.send("x"), ws.send(new Blob(["x"])), ws.readyState);
    },
  });
  const client = await connect(server);
  await take(client, 2);
  client.send("go");
  await until(client, () => client.closed);
  assert.deepStrictEqual([client.messages, client.closed.code, numbers], [[], 1006, [0, 0, 3]]);
});

test("while more than 16 MB wait behind a Blob, sends are dropped", async (t) => {
  const numbers = [];
  const chunk = Buffer.alloc(8 * 1024 * 1024);
  const server = site(t, {
    backpressureLimit: 64 * 1024 * 1024,
    open(ws) {
      for (const data of [new Blob(["x"]), chunk, chunk, chunk, "y"]) numbers.push(ws.send(data));
    },
  });
  const client = await connect(server);
  await take(client, 3);
  assert.deepStrictEqual(numbers, [1, chunk.length, chunk.length, 0, 0]);
});

test("binaryType: a message comes in the form that the socket asks for", async (t) => {
  const forms = { nodebuffer: Buffer, uint8array: Uint8Array, arraybuffer: ArrayBuffer, blob: Blob };
  const seen = [];
  const server = site(t, {
    open: (ws) => assert.strictEqual(ws.binaryType, "nodebuffer"),
    message(ws, message) {
      if (typeof message === "string") return void (ws.binaryType = message);
      seen.push(message.constructor === forms[ws.binaryType]);
      ws.send(message);
    },
  });
  const client = await connect(server);
  for (const form of Object.keys(forms)) {
    for (const size of [0, 3, 100, 100_000]) {
      client.send(form);
      client.send(Buffer.alloc(size, 7));
      const [message] = await take(client, 1);
      assert.ok(message.equals(Buffer.alloc(size, 7)), `${form} ${size}`);
    }
  }
  assert.deepStrictEqual(seen, Array(16).fill(true));
});

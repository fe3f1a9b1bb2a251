"use strict";
// permessage-deflate: what is agreed on, what travels, and what the calls answer.

const assert = require("node:assert");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, take } = require("./kit.cjs");

const TEXT = "the same words again and again, ".repeat(100);

function site(t, websocket) {
  const server = serve({ port: 0, fetch: (req, server) => void server.upgrade(req), websocket });
  t.after(() => server.stop(true));
  return server;
}

/** How many bytes a client reads for one message of a server that `act` makes it send. */
async function cost(client, act) {
  const before = client._socket.bytesRead;
  act();
  const [message] = await take(client, 1);
  return { message, bytes: client._socket.bytesRead - before };
}

test("perMessageDeflate is agreed on as it was asked for", async (t) => {
  const alone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  const cases = [
    [undefined, ""],
    [false, ""],
    [null, ""],
    [{}, ""],
    [{ compress: "disable", decompress: false }, ""],
    [true, alone],
    [{ compress: true, decompress: "shared" }, alone],
    [{ compress: "dedicated", decompress: "dedicated" }, "permessage-deflate"],
    [{ compress: "3KB", decompress: "dedicated" }, "permessage-deflate; server_max_window_bits=9"],
    [{ compress: "64KB", decompress: "256KB" }, "permessage-deflate; server_max_window_bits=13"],
  ];
  for (const [perMessageDeflate, agreed] of cases) {
    const server = site(t, { perMessageDeflate });
    let answer;
    const client = await connect(server, "/", {
      perMessageDeflate: { threshold: 0 },
      finishRequest(request) {
        request.on("upgrade", (response) => (answer = response.headers["sec-websocket-extensions"] ?? ""));
        request.end();
      },
    });
    assert.strictEqual(answer, agreed, JSON.stringify(perMessageDeflate));
    client.close();
  }
});

test("what is asked to be compressed travels so, and the numbers are those of the payload", async (t) => {
  for (const perMessageDeflate of [true, { compress: "dedicated", decompress: "dedicated" }, { compress: "4KB", decompress: "8KB" }]) {
    let ws;
    const numbers = [];
    const server = site(t, { perMessageDeflate, open: (opened) => void (ws = opened) });
    const client = await connect(server, "/", { perMessageDeflate: { threshold: 0 } });
    ws.subscribe("room");
    const calls = {
      plain: () => numbers.push(ws.send(TEXT), ws.send(Buffer.from(TEXT), false)),
      compressed: () => numbers.push(ws.send(TEXT, true)),
      sendText: () => numbers.push(ws.sendText(TEXT, true)),
      sendBinary: () => numbers.push(ws.sendBinary(Buffer.from(TEXT), true)),
      server: () => numbers.push(server.publish("room", TEXT)),
    };
    assert.ok((await cost(client, calls.plain)).bytes > TEXT.length);
    assert.strictEqual(String((await take(client, 1))[0]), TEXT);
    for (const name of ["compressed", "sendText", "sendBinary", "server"]) {
      const { message, bytes } = await cost(client, calls[name]);
      assert.strictEqual(String(message), TEXT);
      assert.ok(bytes < 400, `${name} took ${bytes} bytes`);
    }
    assert.ok((await cost(client, () => server.publish("room", TEXT, false))).bytes > TEXT.length);
    assert.deepStrictEqual(new Set(numbers), new Set([TEXT.length]));
  }
});

test("a socket's publish is compressed on demand, and compressed messages of peers are read", async (t) => {
  const received = [];
  const server = site(t, {
    perMessageDeflate: true,
    open: (ws) => void ws.subscribe("room"),
    message(ws, message) {
      received.push(message === TEXT);
      const publish = { text: "publishText", binary: "publishBinary" };
      received.push(ws.publish("room", TEXT, true), ws[publish.text]("room", TEXT, true));
      received.push(ws[publish.binary]("room", Buffer.from(TEXT), true), ws.publish("room", TEXT));
    },
  });
  const [one, two] = [await connect(server, "/", { perMessageDeflate: { threshold: 0 } }), await connect(server)];
  const before = two._socket.bytesRead;
  one.send(TEXT);
  for (const message of await take(two, 4)) assert.strictEqual(String(message), TEXT);
  const bytes = two._socket.bytesRead - before;
  assert.ok(bytes > TEXT.length && bytes < TEXT.length + 600, `${bytes}`);
  assert.deepStrictEqual(received, [true, ...Array(4).fill(TEXT.length)]);
});

test("a wrong option or argument is named", async (t) => {
  const wrong = (perMessageDeflate) => () => serve({ port: 0, fetch() {}, websocket: { perMessageDeflate } });
  assert.throws(wrong(5), /websocket\.perMessageDeflate must be a boolean or an object/);
  assert.throws(wrong({ compress: "5KB" }), /websocket\.perMessageDeflate\.compress must be a boolean or one of .*"?3KB.* not "5KB"/);
  assert.throws(wrong({ decompress: 1 }), /websocket\.perMessageDeflate\.decompress must be/);
  const server = site(t, {
    open(ws) {
      assert.throws(() => ws.send("x", 1), /send expects its compress to be true or false/);
      assert.throws(() => ws.publish("t", "x", "yes"), /publish expects its compress to be true or false/);
      ws.send("open");
    },
  });
  assert.deepStrictEqual(await take(await connect(server), 1), ["open"]);
});

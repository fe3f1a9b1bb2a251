"use strict";
// Behaviours of the contract, by their numbers, as far as this face goes.

const assert = require("node:assert");
const { once } = require("node:events");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, frame, HANDSHAKE, raw, take, until } = require("./kit.cjs");

/** A server that upgrades everything; stopped when the test is over. */
function site(t, websocket, fetch = (req, server) => (server.upgrade(req) ? undefined : new Response("no", { status: 400 }))) {
  const server = serve({ port: 0, fetch, websocket });
  t.after(() => server.stop(true));
  return server;
}

test("4: upgrade works after awaits, of timers too, and from error()", async (t) => {
  const server = serve({
    port: 0,
    async fetch(req, server) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (new URL(req.url).pathname === "/error") throw Object.assign(new Error("later"), { req });
      server.upgrade(req);
    },
    error(error) {
      server.upgrade(error.req);
    },
    websocket: { message: (ws, message) => void ws.send(message) },
  });
  t.after(() => server.stop(true));
  for (const path of ["/", "/error"]) {
    const client = await connect(server, path);
    client.send("x");
    assert.deepStrictEqual(await take(client, 1), ["x"]);
  }
});

test("5: the request's url and headers stay readable after the upgrade", async (t) => {
  const seen = [];
  const server = site(t, {}, (req, server) => {
    server.upgrade(req);
    seen.push(new URL(req.url).pathname, req.headers.get("x-mine"), req.method, req instanceof Request);
  });
  await connect(server, "/path", { headers: { "x-mine": "1" } });
  assert.deepStrictEqual(seen, ["/path", "1", "GET", true]);
});

test("6: a getter that re-enters upgrade wins, and the outer answers false", async (t) => {
  const answers = [];
  let opens = 0;
  const server = site(t, { open: (ws) => void (opens++, ws.send(ws.data)) }, (req, server) => {
    const outer = server.upgrade(req, {
      get data() {
        answers.push(server.upgrade(req, { data: "inner" }));
        return "outer";
      },
    });
    answers.push(outer);
  });
  const client = await connect(server);
  assert.deepStrictEqual(await take(client, 1), ["inner"]);
  assert.deepStrictEqual([answers, opens], [[true, false], 1]);
});

test("7: a chosen subprotocol is sent once, and the caller's Headers stay as they were", async (t) => {
  const headers = new Headers({ "Sec-WebSocket-Protocol": "two, one" });
  const server = site(t, {}, (req, server) => void server.upgrade(req, { headers }));
  const client = await connect(server, "/", ["one", "two"]);
  assert.strictEqual(client.protocol, "two");
  assert.strictEqual(headers.get("sec-websocket-protocol"), "two, one");
});

test("8: frames that come with the request are delivered after open, in order", async (t) => {
  const events = [];
  const server = site(t, {
    open: () => events.push("open"),
    message(ws, message) {
      events.push(message);
      if (message === "c") ws.close();
    },
  });
  const socket = await raw(server);
  socket.write(Buffer.concat([Buffer.from(HANDSHAKE), frame("a"), frame("b"), frame("c"), frame("never")]));
  socket.resume();
  socket.end();
  await once(socket, "close");
  assert.deepStrictEqual(events, ["open", "a", "b", "c"]);
});

test("10: open runs inside upgrade, close inside close; ticks run between the messages of one read", async (t) => {
  const events = [];
  const done = Promise.withResolvers?.() ?? {};
  done.promise ??= new Promise((resolve) => (done.resolve = resolve));
  const server = site(
    t,
    {
      open: () => events.push("open"),
      message(ws, message) {
        events.push(`m${message}`);
        process.nextTick(() => events.push(`tick${message}`));
        Promise.resolve().then(() => events.push(`micro${message}`));
        if (message !== "3") return;
        events.push("closing");
        ws.close(1000, "enough");
        events.push("closed");
        setImmediate(done.resolve);
      },
      close: (ws, code, reason) => events.push(`close ${code} ${reason} ${ws.readyState}`),
    },
    (req, server) => {
      events.push("before");
      server.upgrade(req);
      events.push("after");
    },
  );
  const socket = await raw(server);
  socket.resume();
  socket.write(HANDSHAKE);
  await once(socket, "data");
  socket.write(Buffer.concat([frame("1"), frame("2"), frame("3")]));
  await done.promise;
  assert.deepStrictEqual(events.slice(0, 3), ["before", "open", "after"]);
  assert.deepStrictEqual(events.slice(3), [
    ..."m1 tick1 micro1 m2 tick2 micro2 m3 closing".split(" "),
    ...["close 1000 enough 3", "closed", "tick3", "micro3"],
  ]);
  socket.destroy();
});

test("12, 13: what backpressure holds back arrives; drain comes once; the buffered amount falls", async (t) => {
  const result = { drains: 0, numbers: [] };
  const chunk = Buffer.alloc(256 * 1024, 1);
  const server = site(t, {
    open(ws) {
      let number;
      do {
        number = ws.send(chunk);
        result.numbers.push(number);
      } while (number > 0);
      result.buffered = ws.getBufferedAmount();
    },
    drain(ws) {
      result.drains++;
      result.after = ws.getBufferedAmount();
      ws.send("drained");
    },
  });
  const client = await connect(server);
  await until(client, () => client.messages.at(-1) === "drained");
  assert.strictEqual(result.numbers.at(-1), -1);
  assert.ok(result.numbers.slice(0, -1).every((number) => number === chunk.length));
  assert.ok(result.buffered > 0);
  assert.deepStrictEqual([result.drains, result.after], [1, 0]);
  assert.strictEqual(client.messages.length, result.numbers.length + 1);
});

test("16: a code that may not be sent, a long reason and a long ping throw, and nothing is sent", async (t) => {
  const thrown = [];
  const server = site(t, {
    open(ws) {
      for (const call of [() => ws.close(1005), () => ws.close(1000, "x".repeat(124)), () => ws.ping(Buffer.alloc(126))]) {
        assert.throws(call, (error) => thrown.push(error.constructor.name) > 0);
      }
      assert.throws(() => ws.send(Promise.resolve("x")), /await it first/);
      assert.throws(() => ws.subscribe(""), TypeError);
      assert.throws(() => ws.cork(), TypeError);
      ws.send("still open");
    },
  });
  const client = await connect(server);
  assert.deepStrictEqual(await take(client, 1), ["still open"]);
  assert.deepStrictEqual(thrown, ["RangeError", "RangeError", "RangeError"]);
});

test("hardening 7: a reason of a wrong type, a detached buffer among them, throws, and nothing is sent", async (t) => {
  const detached = new ArrayBuffer(4);
  structuredClone(detached, { transfer: [detached] });
  const view = new Uint8Array(4);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  const wrong = [null, 5, 5n, true, {}, [], Symbol("s"), () => {}, Buffer.from("reason"), new String("reason"), detached, view];
  const server = site(t, {
    open(ws) {
      for (const reason of wrong) assert.throws(() => ws.close(1000, reason), /^TypeError: close expects a string as its reason$/);
      for (const code of [null, "1000", {}, 1000n, detached]) assert.throws(() => ws.close(code), /^TypeError: close expects a number as its code$/);
      assert.strictEqual(ws.readyState, 1);
      ws.send("still open");
      ws.close(1000, "reason");
    },
  });
  const client = await connect(server);
  await until(client, () => client.closed);
  assert.deepStrictEqual([client.messages, client.closed], [["still open"], { code: 1000, reason: "reason" }]);
});

// The contract's table writes error(ws, err); the documentation says nothing of it, so Bun decides, which calls error(error, ws) and
// declares it so in bun-types. Differential tests compare it: "an error handler is told of the others".
test("18: a throwing handler goes to error(error, ws) and hurts no other socket", async (t) => {
  const errors = [];
  const server = site(t, {
    async message(ws, message) {
      if (message === "async") await null;
      if (message !== "fine") throw new Error(message);
      ws.send("fine");
    },
    error: (error, ws) => errors.push([error.message, ws.readyState]),
  });
  const [bad, good] = [await connect(server), await connect(server)];
  bad.send("sync");
  bad.send("async");
  bad.send("fine");
  good.send("fine");
  assert.deepStrictEqual([await take(bad, 1), await take(good, 1)], [["fine"], ["fine"]]);
  assert.deepStrictEqual(errors, [["sync", 1], ["async", 1]]);
});

test("19, 20: publish leaves out the sender, says 0 for nobody, and loses nothing to an unsubscribe", async (t) => {
  const numbers = [];
  const server = site(t, {
    open(ws) {
      ws.subscribe("room");
    },
    message(ws, message) {
      numbers.push(ws.publish("room", "to the others"), ws.publish("nowhere", "x"), server.publish("room", ""));
      if (message === "bye") {
        server.publish("room", "last");
        ws.unsubscribe("room");
        server.publish("room", "after");
        numbers.push(ws.isSubscribed("room"), ws.publish("room", "from outside"));
      }
    },
  });
  const [one, two] = [await connect(server), await connect(server)];
  one.send("bye");
  assert.deepStrictEqual(await take(one, 2), ["", "last"]);
  assert.deepStrictEqual(await take(two, 5), ["to the others", "", "last", "after", "from outside"]);
  assert.deepStrictEqual(numbers, [13, 0, 0, false, 12]);
});

test("a binary message is its buffer's only content", async (t) => {
  const seen = [];
  const server = site(t, {
    message(ws, message) {
      seen.push([message.byteOffset, message.buffer.byteLength, message.length]);
      ws.send(message.buffer);
    },
  });
  const client = await connect(server);
  client.send(Buffer.from("secret of a neighbour"));
  client.send(Buffer.from("hi"));
  assert.deepStrictEqual((await take(client, 2)).map(String), ["secret of a neighbour", "hi"]);
  assert.deepStrictEqual(seen, [[0, 21, 21], [0, 2, 2]]);
});

test("what is sent from a timer or after an await leaves at once", async (t) => {
  const server = site(t, {
    async message(ws) {
      await null;
      ws.send("after an await");
      setTimeout(() => ws.send("from a timer"), 1);
    },
  });
  const client = await connect(server);
  client.send("go");
  assert.deepStrictEqual(await take(client, 2), ["after an await", "from a timer"]);
});

test("after the end every call is harmless", async (t) => {
  let ws;
  const server = site(t, { open: (opened) => void (ws = opened) });
  const client = await connect(server);
  const harmless = () => {
    assert.deepStrictEqual([ws.send("x"), ws.publish("t", "x"), ws.ping(), ws.getBufferedAmount()], [0, 0, 0, 0]);
    assert.deepStrictEqual([ws.subscribe("t"), ws.unsubscribe("t"), ws.isSubscribed("t")], [false, false, false]);
    assert.deepStrictEqual([ws.subscriptions, ws.readyState, ws.close(), ws.terminate()], [[], 3, undefined, undefined]);
    assert.strictEqual(ws.cork(() => 7), 7);
  };
  ws.terminate();
  harmless();
  await until(client, () => client.closed);
  await server.stop();
  harmless();
});

test("bodies are read, and responses of every kind arrive", async (t) => {
  const server = site(t, {}, async (req) => {
    if (req.method === "POST") return Response.json({ got: await req.json() });
    return new Response(req.headers.get("accept-language"), { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] });
  });
  const posted = await fetch(server.url, { method: "POST", body: JSON.stringify([1, 2]) });
  assert.deepStrictEqual(await posted.json(), { got: [1, 2] });
  const got = await fetch(server.url, { headers: { "accept-language": "de" } });
  assert.deepStrictEqual([got.status, await got.text()], [201, "de"]);
  assert.strictEqual(got.headers.get("set-cookie"), "a=1, b=2");
});

test("a wrong option is named, with what was expected", () => {
  const cases = [
    [{}, /fetch must be a function/],
    [{ fetch() {}, port: 70000 }, /port must be a whole number from 0 to 65535, not 70000/],
    [{ fetch() {}, websocket: { message: 1 } }, /websocket.message must be a function, not 1/],
    [{ fetch() {}, websocket: { idleTimeout: "60" } }, /websocket.idleTimeout must be a number/],
    [{ fetch() {}, unix: "./x.sock", port: 1 }, /unix excludes port/],
  ];
  for (const [options, message] of cases) assert.throws(() => serve(options), message);
});

test("a taken port is a clear error", async (t) => {
  const server = site(t, {});
  assert.throws(() => serve({ port: server.port, fetch() {} }), /Is 0\.0\.0\.0:\d+ in use\?/);
});

test("27: disposing of a server stops it by force", { skip: Symbol.dispose === undefined && "this Node.js has no Symbol.dispose" }, async (t) => {
  for (const symbol of [Symbol.dispose, Symbol.asyncDispose]) {
    let closed;
    const server = site(t, { close: (ws, code) => void (closed = code) });
    const client = await connect(server);
    await server[symbol]();
    await until(client, () => client.closed);
    assert.deepStrictEqual([closed, client.closed.code], [1001, 1001]);
    await assert.rejects(fetch(`http://127.0.0.1:${server.port}/`));
  }
});

"use strict";
// reload(): other handlers and limits for a server that runs, and for the sockets that are open. And pause() and resume().

const assert = require("node:assert");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, take, until } = require("./kit.cjs");

function site(t, options) {
  const fetch = (req, server) => (server.upgrade(req) ? undefined : new Response("old"));
  const server = serve({ port: 0, fetch, websocket: {}, ...options });
  t.after(() => server.stop(true));
  return server;
}

const answer = async (server) => (await fetch(server.url)).text();

test("open sockets get the new handlers and limits; what is not given stays", async (t) => {
  const server = site(t, { websocket: { message: (ws, message) => void ws.send(`old ${message}`) } });
  const client = await connect(server);
  const echo = async (text) => {
    client.send(text);
    return (await take(client, 1))[0];
  };
  assert.strictEqual(await echo("1"), "old 1");
  assert.strictEqual(server.reload({}), server);
  assert.deepStrictEqual([await echo("2"), await answer(server)], ["old 2", "old"]);
  server.reload({ fetch: () => new Response("new") });
  assert.deepStrictEqual([await echo("3"), await answer(server)], ["old 3", "new"]);
  server.reload({ websocket: { message: (ws, message) => void ws.send(`new ${message}`), maxPayloadLength: 4 } });
  assert.deepStrictEqual([await echo("4"), await answer(server)], ["new 4", "new"]);
  client.send("too long");
  await until(client, () => client.closed);
  assert.strictEqual(client.closed.code, 1009);
});

test("a socket that is closed after a reload has its end told to the new handlers, also from inside a handler", async (t) => {
  const events = [];
  const server = site(t, {
    websocket: {
      message(ws) {
        server.reload({ websocket: { close: (ws, code) => events.push(`new close ${code}`), message: () => events.push("new") } });
        events.push("old");
        ws.send("reloaded");
      },
      close: () => events.push("old close"),
    },
  });
  const client = await connect(server);
  client.send("x");
  await take(client, 1);
  client.send("y");
  client.close(4000);
  await until(client, () => client.closed);
  assert.deepStrictEqual(events, ["old", "new", "new close 4000"]);
});

test("the error handler and the compression of connections to come change too", async (t) => {
  const server = site(t, {
    fetch: () => {
      throw new Error("mine");
    },
    error: () => new Response("old error"),
  });
  assert.strictEqual(await answer(server), "old error");
  server.reload({ error: () => new Response("new error") });
  assert.strictEqual(await answer(server), "new error");
  server.reload({ fetch: (req, server) => void server.upgrade(req), websocket: { perMessageDeflate: true } });
  const client = await connect(server);
  assert.strictEqual(client.extensions, "permessage-deflate");
});

test("a wrong option changes nothing", async (t) => {
  const server = site(t, {});
  assert.throws(() => server.reload(), /must be an object of options/);
  assert.throws(() => server.reload({ fetch: () => new Response("new"), websocket: { idleTimeout: -1 } }), /websocket\.idleTimeout/);
  assert.strictEqual(await answer(server), "old");
});

test("a paused socket receives nothing, not even from the same read, until it is resumed", async (t) => {
  const events = [];
  let ws;
  const server = site(t, {
    websocket: {
      message(socket, message) {
        ws = socket;
        events.push(message);
        if (message === "1") ws.pause();
        ws.send(message);
      },
    },
  });
  const [client, other] = [await connect(server), await connect(server)];
  client._socket.cork();
  for (const text of ["1", "2", "3"]) client.send(text);
  client._socket.uncork();
  assert.deepStrictEqual(await take(client, 1), ["1"]);
  client.send("4");
  // Another socket is served meanwhile, so the paused one's turn has come and gone.
  other.send("other");
  const paused = ws;
  assert.deepStrictEqual(await take(other, 1), ["other"]);
  assert.deepStrictEqual(events, ["1", "other"]);
  assert.deepStrictEqual([paused.readyState, paused.isPaused], [1, true]);
  paused.resume();
  assert.deepStrictEqual(await take(client, 3), ["2", "3", "4"]);
  paused.terminate();
  assert.deepStrictEqual([paused.resume(), paused.pause(), paused.isPaused, paused.readyState], [undefined, undefined, false, 3]);
});

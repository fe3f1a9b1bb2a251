"use strict";
// The seed's first program, and its group chat.

const assert = require("node:assert");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, take, until } = require("./kit.cjs");

test("the first program echoes text and binary, and answers what is no upgrade", async () => {
  const server = serve({
    port: 0,
    fetch(req, server) {
      if (server.upgrade(req)) {
        return;
      }
      return new Response("Upgrade failed", { status: 500 });
    },
    websocket: {
      message(ws, message) {
        ws.send(message);
      },
      open() {},
      close() {},
      drain() {},
    },
  });
  const client = await connect(server);
  client.send("Hello world");
  client.send(new Uint8Array([1, 2, 3]));
  client.send("");
  const [text, binary, empty] = await take(client, 3);
  assert.deepStrictEqual([text, [...binary], empty], ["Hello world", [1, 2, 3], ""]);
  const response = await fetch(server.url);
  assert.deepStrictEqual([response.status, await response.text()], [500, "Upgrade failed"]);
  client.close();
  await server.stop();
});

test("the group chat tells everybody who enters, speaks and leaves", async () => {
  const server = serve({
    port: 0,
    fetch(req, server) {
      const url = new URL(req.url);
      if (url.pathname === "/chat") {
        const username = url.searchParams.get("name");
        const success = server.upgrade(req, { data: { username } });
        return success ? undefined : new Response("Upgrade error", { status: 400 });
      }
      return new Response("Hello world");
    },
    websocket: {
      data: {},
      open(ws) {
        const msg = `${ws.data.username} has entered the chat`;
        ws.subscribe("the-group-chat");
        server.publish("the-group-chat", msg);
      },
      message(ws, message) {
        server.publish("the-group-chat", `${ws.data.username}: ${message}`);
        assert.deepStrictEqual(ws.subscriptions, ["the-group-chat"]);
      },
      close(ws) {
        const msg = `${ws.data.username} has left the chat`;
        ws.unsubscribe("the-group-chat");
        server.publish("the-group-chat", msg);
      },
    },
  });
  assert.strictEqual(await (await fetch(new URL("/", server.url))).text(), "Hello world");
  const ada = await connect(server, "/chat?name=Ada");
  const bob = await connect(server, "/chat?name=Bob");
  assert.deepStrictEqual(await take(ada, 2), ["Ada has entered the chat", "Bob has entered the chat"]);
  ada.send("hello");
  assert.deepStrictEqual(await take(bob, 2), ["Bob has entered the chat", "Ada: hello"]);
  assert.deepStrictEqual(await take(ada, 1), ["Ada: hello"]);
  assert.strictEqual(server.subscriberCount("the-group-chat"), 2);
  bob.terminate();
  assert.deepStrictEqual(await take(ada, 1), ["Bob has left the chat"]);
  assert.strictEqual(server.subscriberCount("the-group-chat"), 1);
  const stopped = server.stop();
  await until(ada, () => ada.closed);
  assert.strictEqual(ada.closed.code, 1001);
  await stopped;
});

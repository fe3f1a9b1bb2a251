"use strict";
// The programs of Bun's documentation, as they stand in examples/seed, on Bun and on Node.js with tidewire, each with a real
// client.

const assert = require("node:assert");
const { once } = require("node:events");
const { join } = require("node:path");
const { describe, it } = require("node:test");
const { WebSocketServer } = require("ws");
const { Example, take, PATIENCE } = require("./kit/program.cjs");

/** What each program must do, whatever it runs on. */
const PROGRAMS = {
  async "basic_setup.ts"(example) {
    const client = await example.connect();
    client.send("Hello world");
    client.send(new Uint8Array([1, 2, 3]));
    assert.deepStrictEqual(await take(client, 2), ["Hello world", [1, 2, 3]]);
    const response = await fetch(`http://127.0.0.1:${example.port}/`);
    assert.deepStrictEqual([response.status, await response.text()], [500, "Upgrade failed"]);
  },
  async "sending_messages.ts"(example) {
    const client = await example.connect();
    client.send("go");
    assert.deepStrictEqual(await take(client, 3), ["Hello world", [...Buffer.from("of an ArrayBuffer")], [1, 2, 3]]);
  },
  async "headers.ts"(example) {
    const client = await example.connect();
    const [cookie, ...others] = client.response.headers["set-cookie"];
    assert.match(cookie, /^SessionId=[0-9a-f-]{36}$/);
    assert.deepStrictEqual(others, []);
  },
  async "contextual_data.ts"(example) {
    const client = await example.connect("/?channelId=7", { headers: { Cookie: "X-Token=secret" } });
    client.send("hello");
    await example.prints('{"channel":"7","message":"hello","userId":"user of secret"}');
  },
  async "pub_sub.ts"(example) {
    assert.strictEqual(await (await fetch(`http://127.0.0.1:${example.port}/`)).text(), "Hello world");
    const [ada, bob] = [await example.connect("/chat?name=Ada"), await example.connect("/chat?name=Bob")];
    assert.deepStrictEqual(await take(ada, 2), ["Ada has entered the chat", "Bob has entered the chat"]);
    ada.send("hello");
    assert.deepStrictEqual(await take(bob, 2), ["Bob has entered the chat", "Ada: hello"]);
    await example.prints("the-group-chat");
    bob.close();
    assert.deepStrictEqual(await take(ada, 2), ["Ada: hello", "Bob has left the chat"]);
  },
  async "publishing_from_server.ts"(example) {
    const client = await example.connect();
    example.write("now\n");
    assert.deepStrictEqual(await take(client, 1), ["Hello world"]);
  },
  async "compression.ts"(example) {
    const client = await example.connect();
    assert.match(client.extensions, /permessage-deflate/);
    assert.deepStrictEqual(await take(client, 1), ["Hello world"]);
  },
  async "timeouts_and_limits.ts"(example) {
    const [client, other] = [await example.connect(), await example.connect()];
    client.send(Buffer.alloc(1024 * 1024 + 1));
    const [code] = await once(client, "close");
    assert.strictEqual(code, 1009);
    other.send(Buffer.alloc(1024 * 1024));
    other.ping();
    await once(other, "pong");
  },
  async "server_websocket_api.ts"(example) {
    const [ada, bob] = [await example.connect("/?name=Ada"), await example.connect("/?name=Bob")];
    const greeting = (name) => [`${name} from 127.0.0.1, state 1`, "in room: true, hall: false", [1, 2, 3], [4, 5, 6]];
    // Bun listens on IPv6 too, where an address of IPv4 is written so.
    const heard = async (client, count) => (await take(client, count)).map((one) => (typeof one === "string" ? one.replace("::ffff:", "") : one));
    assert.deepStrictEqual(await heard(ada, 5), [...greeting("Ada"), "Bob is here"]);
    assert.deepStrictEqual(await heard(bob, 4), greeting("Bob"));
    bob.send("leave");
    const [code, reason] = await once(bob, "close");
    assert.deepStrictEqual([code, reason.toString()], [4000, "bye"]);
    await example.prints("Bob: state 3, in [], 0");
  },
  async "configuration_options.ts"(example) {
    const client = await example.connect();
    assert.match(client.extensions, /permessage-deflate/);
    client.send("x".repeat(2 * 1024 * 1024));
    client.ping("still there?");
    const [data] = await once(client, "pong");
    assert.strictEqual(data.toString(), "still there?");
    client.close(1000, "bye");
    const [code, reason] = await once(client, "close");
    assert.deepStrictEqual([code, reason.toString()], [1000, "bye"]);
  },
};

/** Three connections of a client, to a server that chooses the second protocol, says hello, and closes what has answered. */
async function asClient(t, runtime) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: (offered) => [...offered].at(-1) });
  t.after(() => server.close());
  await once(server, "listening");
  const requests = [];
  server.on("connection", (ws, { url, headers }) => {
    requests.push([url, headers["sec-websocket-protocol"], ws.protocol, headers.authorization]);
    ws.ping("there?");
    ws.on("pong", () => ws.close(1000, "bye"));
    ws.send("hello");
  });
  const [code] = await Example.client(t, runtime, "websocket_client.ts", server.address().port).ended;
  assert.strictEqual(code, 0, "it ends when its connections have");
  const expected = [
    ["/", undefined, "", undefined],
    ["/", "soap, wamp", "wamp", undefined],
    ["/", undefined, "", "Bearer of-a-token"],
  ];
  const sorted = (all) => all.map((one) => JSON.stringify(one)).sort();
  assert.deepStrictEqual(sorted(requests), sorted(expected));
}

/** The chat in a browser: the documentation's page script, its port mapped to the program's. */
async function inBrowser(t, example) {
  const { chromium } = require("playwright-core");
  const { browserPath } = await import("../browser/chromium.js");
  const rule = `--host-resolver-rules=MAP localhost:3000 127.0.0.1:${example.port}`;
  const browser = await chromium.launch({ executablePath: browserPath(), args: ["--disable-gpu", "--no-first-run", rule] });
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const says = (text) => page.waitForEvent("console", (message) => message.text() === text);
  await page.goto(`http://127.0.0.1:${example.port}/`);
  await Promise.all([
    says("Somebody has entered the chat"),
    page.addScriptTag({ path: join(__dirname, "../../examples/seed/browser_client.js") }),
  ]);
  const [bob] = await Promise.all([example.connect("/chat?name=Bob"), says("Bob has entered the chat")]);
  await Promise.all([says("Bob: hello"), bob.send("hello")]);
  await page.evaluate("socket.send('hello from a page')");
  assert.deepStrictEqual(await take(bob, 3), ["Bob has entered the chat", "Bob: hello", "Somebody: hello from a page"]);
  await page.close();
  assert.deepStrictEqual(await take(bob, 1), ["Somebody has left the chat"]);
}

for (const runtime of ["bun", "tidewire"]) {
  describe(`the documentation's programs, on ${runtime}`, { concurrency: 2 }, () => {
    for (const [file, check] of Object.entries(PROGRAMS)) it(file, async (t) => check(await Example.start(t, runtime, file)));
    it("websocket_client.ts", async (t) => asClient(t, runtime));
    it("browser_client.js", async (t) => inBrowser(t, await Example.start(t, runtime, "pub_sub.ts")));
  });
}

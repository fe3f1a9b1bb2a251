"use strict";
// The client's ways: through TLS, through a proxy; and what keeps a process alive.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const net = require("node:net");
const tls = require("node:tls");
const { test } = require("node:test");

const { WebSocketServer } = require("ws");

const { serve, WebSocket } = require("..");
const { certificate } = require("./certificates.cjs");
const { run } = require("./kit.cjs");

const authority = certificate(["an authority"], { authority: true });
const own = certificate(["localhost", "example.com"], { issuer: authority });

/** A server of npm's `ws` that listens. */
async function others(onConnection) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", onConnection);
  await once(server, "listening");
  const { port } = server.address();
  return { url: `ws://127.0.0.1:${port}/`, port, close: () => server.close() };
}

/** Connects, sends, and gives what comes back, or the error's code and the close's. */
function exchange(url, options) {
  const ws = new WebSocket(url, options);
  const told = [];
  ws.onopen = () => ws.send("hello");
  ws.onmessage = ({ data }) => {
    told.push(data);
    ws.close(1000);
  };
  ws.onerror = ({ code }) => told.push(code);
  return new Promise((resolve) => {
    ws.onclose = ({ code, wasClean }) => resolve([...told, code, wasClean]);
  });
}

function secure(options = {}) {
  return serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { cert: own.cert, key: own.key, ...options },
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no")),
    websocket: { message: (ws, data) => void ws.send(data) },
  });
}

test("wss: a private authority, a name that is not the certificate's, anybody", async () => {
  const server = secure();
  const url = `wss://localhost:${server.port}/`;
  assert.deepEqual(await exchange(url, { tls: { ca: authority.cert } }), ["hello", 1000, true]);
  assert.deepEqual(await exchange(url), ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", 1015, false]);
  const address = `wss://127.0.0.1:${server.port}/`;
  assert.deepEqual(await exchange(address, { tls: { ca: authority.cert } }), ["ERR_TLS_CERT_ALTNAME_INVALID", 1015, false]);
  assert.deepEqual(await exchange(address, { tls: { ca: authority.cert, serverName: "example.com" } }), ["hello", 1000, true]);
  assert.deepEqual(await exchange(address, { tls: { rejectUnauthorized: false } }), ["hello", 1000, true]);
  await server.stop(true);
});

test("wss: a client's certificate", async () => {
  const server = secure({ requestCert: true, ca: authority.cert });
  const url = `wss://localhost:${server.port}/`;
  const me = certificate(["me"], { issuer: authority });
  assert.deepEqual(await exchange(url, { tls: { ca: authority.cert, cert: me.cert, key: me.key } }), ["hello", 1000, true]);
  const refused = await exchange(url, { tls: { ca: authority.cert } });
  assert.deepEqual(refused.slice(1), [refused[1], false]);
  assert.notEqual(refused[0], "hello");
  await server.stop(true);
});

/** A proxy that knows CONNECT; through TLS when it is given a certificate. Notes the heads that it gets. */
async function proxy(heads, given) {
  const meet = (client) => {
    let head = "";
    client.on("error", () => {});
    client.on("data", function listener(data) {
      head += data.toString("latin1");
      if (!head.endsWith("\r\n\r\n")) return;
      client.off("data", listener);
      heads.push(head);
      if (/^proxy-authorization: Basic d3Jvbmc6/im.test(head)) {
        return client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
      }
      const [, port] = /^CONNECT [^ ]*:(\d+) /.exec(head);
      const server = net.connect(Number(port), "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        client.pipe(server).pipe(client);
      });
      server.on("error", () => client.destroy());
    });
  };
  const listener = given === undefined ? net.createServer(meet) : tls.createServer(given, meet);
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return listener;
}

test("a proxy: in the clear, with credentials, with headers, refused", async () => {
  const heads = [];
  const listener = await proxy(heads);
  const { port } = listener.address();
  const plain = await others((ws) => ws.on("message", (data) => ws.send(String(data))));
  const url = plain.url;
  assert.deepEqual(await exchange(url, { proxy: `http://127.0.0.1:${port}` }), ["hello", 1000, true]);
  assert.match(heads[0], new RegExp(`^CONNECT 127\\.0\\.0\\.1:${plain.port} HTTP/1\\.1\r\n`));
  assert.deepEqual(await exchange(url, { proxy: `http://me:secret@127.0.0.1:${port}` }), ["hello", 1000, true]);
  assert.match(heads[1], /\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n/i);
  const told = await exchange(url, { proxy: { url: new URL(`http://127.0.0.1:${port}`), headers: { "X-Mine": "yes" } } });
  assert.deepEqual(told, ["hello", 1000, true]);
  assert.match(heads[2], /\r\nx-mine: yes\r\n/i);
  assert.deepEqual(await exchange(url, { proxy: `http://wrong:x@127.0.0.1:${port}` }), ["ERR_PROXY_TUNNEL", 1006, false]);
  plain.close();
  listener.close();
});

test("a proxy: TLS to it, and TLS through it", async () => {
  const heads = [];
  const listener = await proxy(heads, own);
  const server = secure();
  const way = { url: `https://localhost:${listener.address().port}`, tls: { ca: authority.cert } };
  const options = { proxy: way, tls: { ca: authority.cert } };
  assert.deepEqual(await exchange(`wss://localhost:${server.port}/`, options), ["hello", 1000, true]);
  assert.equal(heads.length, 1);
  // `tls` alone is for both.
  assert.deepEqual(await exchange(`wss://localhost:${server.port}/`, { ...options, proxy: way.url }), ["hello", 1000, true]);
  await server.stop(true);
  listener.close();
});

test("a process lives while a client connects or is open, and not a moment longer", async () => {
  let open = 0;
  const server = await others((ws) => {
    open++;
    ws.send("later");
  });
  const program = `
    const { WebSocket } = require(".");
    const ws = new WebSocket("${server.url}");
    ws.onmessage = ({ data }) => { console.log(data); ws.close(); };
    ws.onclose = ({ code }) => console.log("closed", code);
  `;
  const { code, output } = await run(program);
  assert.deepEqual([code, output], [0, "later\nclosed 1005\n"]);
  const unopened = await run(`new (require(".").WebSocket)("ws://127.0.0.1:1/").onerror = ({ code }) => console.log(code)`);
  assert.deepEqual([unopened.code, unopened.output], [0, "ECONNREFUSED\n"]);
  const exits = await run(`
    const { WebSocket } = require(".");
    new WebSocket("${server.url}").onopen = () => process.exit(7);
  `);
  assert.equal(exits.code, 7);
  assert.equal(open, 2);
  server.close();
});

test("a worker thread has clients of its own, and may end with them open", async () => {
  const server = await others((ws) => ws.send("welcome"));
  const { code, output } = await run(`
    const { Worker } = require("node:worker_threads");
    const worker = new Worker(\`
      const { WebSocket } = require(".");
      const ws = new WebSocket("${server.url}");
      ws.onmessage = ({ data }) => require("node:worker_threads").parentPort.postMessage(data);
    \`, { eval: true });
    worker.on("message", async (data) => { console.log(data); await worker.terminate(); console.log("ended"); });
  `);
  assert.deepEqual([code, output], [0, "welcome\nended\n"]);
  server.close();
});

test("what has closed is collectable", async () => {
  const server = await others((ws) => ws.close(1000));
  const made = [];
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => {
      const ws = new WebSocket(server.url);
      ws.onclose = resolve;
      made.push(new WeakRef(ws));
    });
  }
  for (let i = 0; i < 50 && made.some((ref) => ref.deref()); i++) {
    await new Promise(setImmediate);
    globalThis.gc();
  }
  assert.ok(made.filter((ref) => ref.deref()).length <= 1);
  server.close();
});

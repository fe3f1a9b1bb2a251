"use strict";
// The option `tls`: HTTPS and secure WebSockets.

const assert = require("node:assert");
const { once } = require("node:events");
const https = require("node:https");
const { test } = require("node:test");
const tls = require("node:tls");
const { serve } = require("tidewire");
const WebSocket = require("ws");
const { certificate } = require("./certificates.cjs");
const { PATIENCE } = require("./kit.cjs");

const LOCAL = certificate(["localhost"]);

function site(t, options) {
  const server = serve({
    port: 0,
    fetch: (req, server) => (server.upgrade(req) ? undefined : new Response(req.url)),
    websocket: { message: (ws, message) => void ws.send(message) },
    tls: options,
  });
  t.after(() => server.stop(true));
  return server;
}

/** What a WebSocket client gets back for "hello". */
async function echo(server, options) {
  const client = new WebSocket(`wss://localhost:${server.port}/`, { family: 4, ...options });
  await once(client, "open", { signal: AbortSignal.timeout(PATIENCE) });
  client.send("hello");
  const [message] = await once(client, "message", { signal: AbortSignal.timeout(PATIENCE) });
  client.terminate();
  return message.toString();
}

/** The page at the root, from a server whose certificate must be trusted. */
async function page(server, options) {
  const url = `https://127.0.0.1:${server.port}/`;
  const [response] = await once(https.get(url, { ...options, agent: false }), "response", { signal: AbortSignal.timeout(PATIENCE) });
  let body = "";
  for await (const chunk of response) body += chunk;
  return body;
}

/** A session to be resumed. */
async function ticket(server, options) {
  const socket = tls.connect({ ...options, port: server.port, host: "127.0.0.1", servername: "localhost" });
  const [session] = await once(socket, "session", { signal: AbortSignal.timeout(PATIENCE) });
  socket.destroy();
  return session;
}

/** The name in the certificate that a client is shown. */
async function shown(server, servername) {
  const socket = tls.connect({ port: server.port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}

test("pages and sockets are secured; url, protocol and the request say so", async (t) => {
  const server = site(t, { cert: LOCAL.cert, key: LOCAL.key });
  assert.deepStrictEqual([server.protocol, server.url.href], ["https", `https://localhost:${server.port}/`]);
  const [response] = await once(https.get(`https://localhost:${server.port}/page`, { ca: LOCAL.cert, family: 4 }), "response");
  let body = "";
  for await (const chunk of response) body += chunk;
  assert.strictEqual(body, `https://localhost:${server.port}/page`);
  assert.strictEqual(await echo(server, { ca: LOCAL.cert }), "hello");
});

test("certificates and keys come as text, as bytes, in PEM and DER, in arrays, and encrypted", async (t) => {
  const locked = certificate(["localhost"], { passphrase: "secret" });
  const authority = certificate(["our authority"], { authority: true });
  const issued = certificate(["localhost"], { issuer: authority });
  const cases = [
    [{ cert: Buffer.from(LOCAL.cert), key: new Uint8Array(Buffer.from(LOCAL.key)) }, LOCAL],
    [{ cert: LOCAL.der, key: LOCAL.privateKey.export({ type: "pkcs8", format: "der" }) }, LOCAL],
    [{ cert: locked.cert, key: locked.key, passphrase: "secret" }, locked],
    [{ cert: [issued.cert, authority.cert], key: [issued.key] }, authority],
    [[{ cert: LOCAL.cert, key: LOCAL.key }], LOCAL],
  ];
  for (const [options, trusted] of cases) assert.strictEqual(await echo(site(t, options), { ca: trusted.cert }), "hello");
});

test("an array has a certificate for each name, and the first for all others", async (t) => {
  const [one, two] = [certificate(["one.example"]), certificate(["two.example"])];
  const server = site(t, [
    { cert: LOCAL.cert, key: LOCAL.key },
    { cert: one.cert, key: one.key },
    { cert: two.cert, key: two.key, serverName: "other.example" },
  ]);
  assert.strictEqual(await shown(server, "one.example"), "DNS:one.example");
  assert.strictEqual(await shown(server, "other.example"), "DNS:two.example");
  assert.strictEqual(await shown(server, "nobody.example"), "DNS:localhost");
  const pairs = site(t, { cert: [LOCAL.cert, one.cert], key: [LOCAL.key, one.key] });
  assert.strictEqual(await shown(pairs, "one.example"), "DNS:one.example");
});

test("clients are asked for a certificate, and refused without one that is trusted", async (t) => {
  const authority = certificate(["our authority"], { authority: true });
  const member = certificate(["member"], { issuer: authority });
  const stranger = certificate(["stranger"]);
  const server = site(t, { cert: LOCAL.cert, key: LOCAL.key, ca: [authority.cert], requestCert: true });
  const client = (mine) => ({ ca: LOCAL.cert, cert: mine?.cert, key: mine?.key });
  assert.strictEqual(await echo(server, client(member)), "hello");
  await assert.rejects(echo(server, client(stranger)));
  await assert.rejects(echo(server, client()));
  const lenient = site(t, { cert: LOCAL.cert, key: LOCAL.key, ca: authority.cert, requestCert: true, rejectUnauthorized: false });
  assert.strictEqual(await echo(lenient, client()), "hello");
});

test("reload() changes the certificate of connections to come; those that are there stay, and a bad one changes nothing", async (t) => {
  const [old, next] = [certificate(["old.example"]), certificate(["new.example"])];
  const server = site(t, { cert: old.cert, key: old.key });
  const client = new WebSocket(`wss://127.0.0.1:${server.port}/`, { rejectUnauthorized: false });
  await once(client, "open", { signal: AbortSignal.timeout(PATIENCE) });
  assert.strictEqual(await shown(server, "old.example"), "DNS:old.example");

  const answers = (body) => ({ fetch: () => new Response(body) });
  assert.throws(() => server.reload({ ...answers("never"), tls: { cert: next.cert, key: old.key } }), /serve: tls\.key .*not the key/);
  assert.throws(() => server.reload({ ...answers("never"), tls: { cert: next.cert } }), /serve: tls\.key is missing/);
  assert.throws(() => server.reload({ ...answers("never"), tls: false }), /tls cannot be turned off by reload\(\)/);
  for (const none of [undefined, null]) server.reload({ tls: none });
  assert.strictEqual(await shown(server, "old.example"), "DNS:old.example");
  assert.match(await page(server, { ca: old.cert, servername: "old.example" }), /^https:/);

  assert.strictEqual(server.reload({ ...answers("reloaded"), tls: { cert: next.cert, key: next.key } }), server);
  assert.strictEqual(await shown(server, "old.example"), "DNS:new.example");
  assert.strictEqual(await page(server, { ca: next.cert, servername: "new.example" }), "reloaded");
  client.send("still here");
  const [message] = await once(client, "message", { signal: AbortSignal.timeout(PATIENCE) });
  assert.strictEqual(message.toString(), "still here");
  client.terminate();
});

test("reload() changes what clients must show, and forgets who has shown it", async (t) => {
  const [first, second] = ["one", "two"].map((name) => certificate([name], { authority: true }));
  const members = [first, second].map((issuer) => certificate(["member"], { issuer }));
  const own = { cert: LOCAL.cert, key: LOCAL.key, requestCert: true };
  const server = site(t, { ...own, ca: first.cert });
  const client = (mine, session) => ({ ca: LOCAL.cert, cert: mine.cert, key: mine.key, session });
  const session = await ticket(server, client(members[0]));
  assert.strictEqual(await echo(server, client(members[0], session)), "hello");
  server.reload({ tls: { ...own, ca: second.cert } });
  await assert.rejects(echo(server, client(members[0], session)));
  assert.strictEqual(await echo(server, client(members[1])), "hello");
  server.reload({ tls: { ...own, requestCert: false } });
  assert.strictEqual(await echo(server, { ca: LOCAL.cert }), "hello");
});

test("a server in the clear stays so", () => {
  const server = serve({ port: 0, fetch: () => new Response("clear") });
  assert.throws(() => server.reload({ tls: { cert: LOCAL.cert, key: LOCAL.key } }), /tls cannot be turned on by reload\(\)/);
  for (const nothing of [undefined, null, false, []]) assert.strictEqual(server.reload({ tls: nothing }).protocol, "http");
  server.stop(true);
});

test("what is wrong is named", () => {
  const { cert, key } = LOCAL;
  const cases = [
    ["yes", /serve: tls must be an object \{key, cert, \.\.\.\}, not String/],
    [{ cert }, /serve: tls\.key is missing/],
    [[{ key }], /serve: tls\[0\]\.cert is missing/],
    [{ cert, key: new Blob([key]) }, /serve: tls\.key must be PEM or DER .* no file object of Bun's on Node\.js; read it with fs\.readFileSync/],
    [{ cert, keyFile: "x.pem" }, /serve: tls\.keyFile is not supported: give what is in the file as tls\.key/],
    [{ cert, key: Buffer.from("no key") }, /serve: tls\.key \(6 bytes/],
    [{ cert: Buffer.from("no certificate"), key }, /serve: tls\.cert \(14 bytes/],
    [{ cert: "./cert.pem", key }, /serve: tls\.cert is no PEM .*give what is in the file, as fs\.readFileSync\(path\) reads it, not its path/],
    [{ cert, key, passphrase: 5 }, /serve: tls\.passphrase must be a string, not Number/],
    [{ cert, key, serverName: "not a name" }, /serve: tls\.serverName: "not a name" is no DNS name/],
    [{ cert, key, requestCert: true }, /tls\.requestCert with tls\.rejectUnauthorized needs tls\.ca/],
    [{ cert, key, requestCert: 1 }, /serve: tls\.requestCert must be true or false, not Number/],
    [{ cert, key: [key, key] }, /serve: tls\.key has 2 entries and cert 1/],
    [[{ cert, key, requestCert: true, ca: cert }, { cert, key, requestCert: false }], /serve: tls\[1\]\.requestCert must be the same/],
    [{ cert, key: certificate(["localhost"]).key }, /serve: tls\.key .*not the key of the certificate/],
    [{ cert, key: certificate(["localhost"], { passphrase: "right" }).key, passphrase: "wrong" }, /serve: tls\.passphrase/],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => serve({ port: 0, fetch() {}, tls: options }), { name: "TypeError", code: "ERR_INVALID_ARG_TYPE", message });
  }
  for (const nothing of [undefined, null, false, []]) {
    const server = serve({ port: 0, fetch() {}, tls: nothing });
    assert.strictEqual(server.protocol, "http");
    server.stop(true);
  }
});

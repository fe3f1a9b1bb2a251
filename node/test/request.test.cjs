"use strict";
// The Request that handlers get, and the Responses that they may return.

const assert = require("node:assert");
const { once } = require("node:events");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, raw, HANDSHAKE, take } = require("./kit.cjs");

/** A server that is stopped when its test ends. */
function site(t, fetch, more = {}) {
  const server = serve({ port: 0, fetch, ...more });
  t.after(() => server.stop(true));
  return server;
}

/** What a raw request gets. */
async function ask(server, text) {
  const socket = await raw(server);
  let answer = "";
  socket.setEncoding("latin1").on("data", (data) => (answer += data));
  socket.write(text.replaceAll("\n", "\r\n"));
  await once(socket, "close");
  return answer;
}

const get = (target, fields = "", method = "GET") => `${method} ${target} HTTP/1.1\nHost: h.test:80\nConnection: close\n${fields}\n`;

/** What `look` sees of one request. */
async function seen(t, look, text) {
  let result;
  const server = site(t, async (req, server) => {
    result = await look(req, server);
    return new Response();
  });
  await ask(server, text);
  return result;
}

test("a request is an instance of Request with its method, url and headers", async (t) => {
  const look = (req) => [req instanceof Request, req.method, req.url, [...req.headers], req.headers === req.headers, req.body, req.bodyUsed];
  const text = get("/a/../b?q=1", "X: 1\nx: 2\nCookie: a=b\nCookie: c=d\n", "DELETE");
  const headers = [["connection", "close"], ["cookie", "a=b; c=d"], ["host", "h.test:80"], ["x", "1, 2"]];
  assert.deepStrictEqual(await seen(t, look, text), [true, "DELETE", "http://h.test/b?q=1", headers, true, null, false]);
});

test("the url has the host of the Host field, also beside an absolute target, and the server's without one", async (t) => {
  const url = (req) => req.url;
  assert.strictEqual(await seen(t, url, get("http://other.test/x?y")), "http://h.test/x?y");
  assert.match(await seen(t, url, "GET /z HTTP/1.0\n\n"), /^http:\/\/localhost:\d+\/z$/);
});

test("the url is as the platform writes it, for a host that is known as for a new one", async (t) => {
  const urls = [];
  const server = site(t, (req) => {
    urls.push(req.url);
    return new Response();
  });
  const targets = ["/", "/plain", "/a//b?c=d&e", "/a/../b", "/./a", "/a/%2e%2E/b", "/%41", "/a?x=/../y", "/q?it's", "/a|b", "/a\\b", "/.well-known/x"];
  const hosts = ["h.test", "h.test:3000", "H.test", "h.test:80", "127.1:9", "[::1]:9", "u@h.test"];
  const expected = [];
  for (const host of hosts) {
    for (const target of [...targets, ...targets]) {
      await ask(server, `GET ${target} HTTP/1.1\nHost: ${host}\nConnection: close\n\n`);
      expected.push(new URL(`http://${host}${target}`).href);
    }
  }
  assert.deepStrictEqual(urls, expected);
});

test("what is rarely asked for is there too, as in a Request of the platform", async (t) => {
  const names = ["cache", "credentials", "destination", "integrity", "keepalive", "mode", "redirect", "referrerPolicy", "duplex"];
  const look = (req) => [names.map((name) => req[name]), Object.prototype.toString.call(req), req.constructor === Request];
  const real = new Request("http://h.test/");
  const expected = [names.map((name) => real[name]), "[object Request]", true];
  assert.deepStrictEqual(await seen(t, look, get("/")), expected);
});

test("a body is read in every form, once", async (t) => {
  const forms = {
    text: (req) => req.text(),
    json: async (req) => JSON.stringify(await req.json()),
    arrayBuffer: async (req) => Buffer.from(await req.arrayBuffer()).toString(),
    blob: async (req) => (await req.blob()).text(),
    body: async (req) => {
      let text = "";
      for await (const chunk of req.body) text += Buffer.from(chunk);
      return text;
    },
    clone: async (req) => (await req.clone().text()) && req.text(),
    again: async (req) => `${await req.text()} ${req.bodyUsed} ${await req.text().catch((error) => error.constructor.name)}`,
    ...(Request.prototype.bytes && { bytes: async (req) => Buffer.from(await req.bytes()).toString() }),
  };
  const server = site(t, async (req) => new Response(await forms[new URL(req.url).pathname.slice(1)](req)));
  for (const form of Object.keys(forms)) {
    const response = await fetch(new URL(form, server.url), { method: "POST", body: '{"a":1}' });
    const expected = form === "again" ? '{"a":1} true TypeError' : '{"a":1}';
    assert.deepStrictEqual([response.status, await response.text()], [200, expected], form);
  }
});

test("formData reads fields and files", async (t) => {
  const server = site(t, async (req) => {
    const form = await req.formData();
    return Response.json([form.get("name"), await form.get("file").text()]);
  });
  const body = new FormData();
  body.set("name", "Ada");
  body.set("file", new Blob(["content"]), "a.txt");
  assert.deepStrictEqual(await (await fetch(server.url, { method: "POST", body })).json(), ["Ada", "content"]);
});

test("fetch(req), new Request(req) and subclasses see a real Request, with its headers as they are by then", async (t) => {
  const back = site(t, async (req) => new Response(`${req.method} ${req.headers.get("x")} ${await req.text()}`));
  const front = site(t, async (req) => {
    await Promise.resolve();
    req.headers.set("x", "first");
    const copy = new (class extends Request {})(req, { method: "PUT", duplex: "half" });
    assert.deepStrictEqual([copy.url, copy.headers.get("x")], [req.url, "first"]);
    assert.strictEqual(req.bodyUsed, true); // it moved to the copy
    copy.headers.set("x", "second");
    copy.headers.delete("transfer-encoding"); // Node.js 18 does not send it on
    return fetch(new Request(back.url, copy));
  });
  const response = await fetch(front.url, { method: "POST", body: "moved" });
  assert.strictEqual(await response.text(), "PUT second moved");
  assert.deepStrictEqual([fetch.name, Request.name, Response.name], ["fetch", "Request", "Response"]);
  assert.deepStrictEqual([new Request("http://a/").constructor, new Response().constructor], [Request, Response]);
  assert.throws(() => new Request(), TypeError);
});

test("5: url and headers stay readable after the upgrade, and later", async (t) => {
  const look = [];
  const server = site(
    t,
    (req, server) => {
      assert.strictEqual(server.upgrade(req, { data: req }), true);
      look.push(req.url, req.headers.get("upgrade"), req.method, server.upgrade(req));
    },
    { websocket: { message: (ws) => ws.send(ws.data.url + ws.data.headers.get("sec-websocket-version")) } },
  );
  const client = await connect(server, "/later");
  client.send("?");
  assert.deepStrictEqual(await take(client, 1), [`http://127.0.0.1:${server.port}/later13`]);
  assert.deepStrictEqual(look, [`http://127.0.0.1:${server.port}/later`, "websocket", "GET", false]);
});

test("what is no Response is named, with the handler; the client gets 204 as from Bun", async (t) => {
  const errors = t.mock.method(console, "error", () => {});
  const server = site(t, (req) => ({ "/undefined": undefined, "/text": "text", "/object": {} })[new URL(req.url).pathname]);
  for (const path of ["undefined", "text", "object"]) assert.strictEqual((await fetch(new URL(path, server.url))).status, 204);
  const messages = errors.mock.calls.map(({ arguments: [error] }) => error.message);
  assert.deepStrictEqual(
    messages,
    ["undefined", '"text"', "[object Object]"].map((what) => `Expected a Response object from fetch, but received ${what}`),
  );
});

test("responses of every kind arrive as they are", async (t) => {
  const kinds = {
    surrogate: () => new Response("a\ud800é"),
    lyingBlob: () => new Response(new Blob(["blob"]), { headers: { "content-length": "99" } }),
    string: () => new Response("text", { headers: { "x-own": "1" } }),
    bytes: () => new Response(new Uint8Array([104, 105])),
    blob: () => new Response(new Blob(["blob"], { type: "a/b" })),
    json: () => Response.json({ a: 1 }, { status: 201 }),
    redirect: () => Response.redirect("http://x.test/y", 301),
    empty: () => new Response(null, { status: 204 }),
    known: () => new Response(null, { status: 304, headers: { etag: '"e"' } }),
    cookies: () => new Response("c", { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] }),
    lying: () => new Response("abc", { headers: { "content-length": "99" } }),
    stream: () => new Response(new ReadableStream({ start: (c) => (c.enqueue(Buffer.from("str")), c.enqueue(Buffer.from("eam")), c.close()) })),
    subclass: () => new (class extends Response {})("sub"),
    foreign: () => ({ status: 202, headers: [["x-own", "2"]], body: {}, bodyUsed: false, arrayBuffer: async () => new TextEncoder().encode("far").buffer }),
  };
  const server = site(t, (req) => kinds[new URL(req.url).pathname.slice(1)]());
  const expected = {
    surrogate: [200, "a\ufffdé", { "content-length": "6" }],
    lyingBlob: [200, "blob", { "content-length": "4" }],
    string: [200, "text", { "content-type": "text/plain;charset=UTF-8", "x-own": "1" }],
    bytes: [200, "hi", { "content-type": "application/octet-stream", "content-length": "2" }],
    blob: [200, "blob", { "content-type": "a/b", "content-length": "4" }],
    json: [201, '{"a":1}', { "content-type": "application/json" }],
    redirect: [301, "", { location: "http://x.test/y" }],
    empty: [204, "", { "content-length": null }],
    known: [304, "", { etag: '"e"' }],
    cookies: [200, "c", { "set-cookie": "a=1, b=2" }],
    lying: [200, "abc", { "content-length": "3" }],
    stream: [200, "stream", {}],
    subclass: [200, "sub", {}],
    foreign: [202, "far", { "x-own": "2" }],
  };
  for (const [kind, [status, body, headers]] of Object.entries(expected)) {
    const response = await fetch(new URL(kind, server.url), { redirect: "manual" });
    const got = Object.fromEntries(Object.keys(headers).map((name) => [name, response.headers.get(name)]));
    assert.deepStrictEqual([response.status, await response.text(), got], [status, body, headers], kind);
    assert.ok(response.headers.get("date"), kind);
  }
});

test("HEAD gets the head of what GET gets", async (t) => {
  const server = site(t, () => new Response("12345", { headers: { "x-own": "1" } }));
  const answer = await ask(server, get("/", "", "HEAD"));
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(answer, /\r\nx-own: 1\r\n/i);
  assert.match(answer, /\r\ncontent-length: 5\r\n/i);
  assert.ok(answer.endsWith("\r\n\r\n"));
});

test("a Response that cannot be sent goes to error(), which says why", async (t) => {
  const same = new Response("once");
  const kinds = { same: () => same, error: () => Response.error() };
  const server = site(t, (req) => kinds[new URL(req.url).pathname.slice(1)](), { error: (error) => new Response(error.message, { status: 500 }) });
  const text = async (path) => (await fetch(new URL(path, server.url))).text();
  assert.strictEqual(await text("same"), "once");
  assert.match(await text("same"), /^Response body already used\. .*create a new Response for each request/);
  assert.match(await text("error"), /^Cannot send a Response with status 0: /);
});

test("error(): called with the error and the server as this; what it throws, rejects or leaves out is a 500 without detail", async (t) => {
  const logged = t.mock.method(console, "error", () => {});
  const kinds = {
    response: (error) => new Response(`${error}`, { status: 503 }),
    async: async (error) => new Response(`${error}`, { status: 504 }),
    throws: () => { throw new Error("second"); },
    rejects: async () => { throw new Error("second"); },
    nothing: () => {},
    text: () => "text",
  };
  const results = {};
  for (const [kind, error] of Object.entries(kinds)) {
    const server = site(t, () => { throw new Error("first"); }, { error(...args) { return args.length === 1 && this === server && error(args[0]); } });
    const response = await fetch(server.url);
    results[kind] = [response.status, await response.text()];
  }
  const plain = [500, "Something went wrong!"];
  const expected = { response: [503, "Error: first"], async: [504, "Error: first"], throws: plain, rejects: plain, nothing: plain, text: plain };
  assert.deepStrictEqual(results, expected);
  const messages = logged.mock.calls.map(({ arguments: [error] }) => error.message);
  assert.deepStrictEqual(messages, ["second", "second", "first", 'Expected a Response object from error, but received "text"']);
});

test("without error() a failed fetch is logged and answered with 500; its stack is sent in development only", async (t) => {
  t.mock.method(console, "error", () => {});
  for (const [development, body] of [[false, /^Something went wrong!$/], [true, /^Error: mine\n +at /]]) {
    const server = site(t, async () => { throw new Error("mine"); }, { development });
    const response = await fetch(server.url);
    assert.deepStrictEqual([response.status, response.headers.get("content-type")], [500, "text/plain"]);
    assert.match(await response.text(), body);
  }
});

test("4: error() may upgrade what fetch failed to", async (t) => {
  const server = site(t, async (req) => { await null; throw Object.assign(new Error(), { req }); }, {
    error(error) { this.upgrade(error.req, { data: "late" }); },
    websocket: { open: (ws) => ws.send(ws.data) },
  });
  assert.deepStrictEqual(await take(await connect(server), 1), ["late"]);
});

test("server.fetch() answers a string, a URL and a Request without a connection", async (t) => {
  const server = site(t, async (req, server) => {
    if (req.url.endsWith("/throw")) throw new Error("mine");
    return Response.json([req.method, req.url, await req.text(), server.upgrade(req), server.requestIP(req)]);
  });
  const json = async (request) => (await server.fetch(request)).json();
  assert.deepStrictEqual(await json("/x?y"), ["GET", `${server.url}x?y`, "", false, null]);
  assert.deepStrictEqual(await json(new URL("http://o.test/z")), ["GET", "http://o.test/z", "", false, null]);
  assert.deepStrictEqual((await json(new Request("http://o.test/", { method: "POST", body: "b" }))).slice(0, 3), ["POST", "http://o.test/", "b"]);
  await assert.rejects(server.fetch("/throw"), /mine/);
  await assert.rejects(server.fetch(5), /expects a Request, a URL or a string/);
  server.reload({ error: (error) => new Response(error.message) });
  assert.strictEqual(await (await server.fetch("/throw")).text(), "mine");
});

test("requestIP and upgrade refuse what is no request", async (t) => {
  const server = site(t, () => new Response());
  for (const call of [() => server.upgrade({}), () => server.requestIP({}), () => server.upgrade()]) {
    assert.throws(call, /expects the request that fetch was given/);
  }
  assert.deepStrictEqual([server.upgrade(new Request("http://a/")), server.requestIP(new Request("http://a/"))], [false, null]);
});

test("a handshake's request is real too, for whoever asks after the upgrade", async (t) => {
  const server = site(t, async (req, server) => {
    server.upgrade(req, { data: [await req.clone().text(), req.bodyUsed, new Request(req).method] });
  }, { websocket: { open: (ws) => ws.send(JSON.stringify(ws.data)) } });
  const socket = await raw(server);
  socket.write(HANDSHAKE);
  let answer = "";
  for await (const chunk of socket) if ((answer += chunk).includes("GET")) break;
  assert.match(answer, /\["",false,"GET"\]/);
});

"use strict";
// `routes`, as seen on Bun 1.4.5.

const assert = require("node:assert");
const http = require("node:http");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { connect, take } = require("./kit.cjs");

/** A server with routes that is stopped when its test ends. */
function site(t, routes, more = {}) {
  const server = serve({ port: 0, routes, ...more });
  t.after(() => server.stop(true));
  return server;
}

/** Asks for a path exactly as it is written. */
function ask(server, path, method = "GET", headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: server.port, host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (data) => (text += data));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    request.on("error", reject).end();
  });
}

const saying = (name) => (req) => new Response(name + JSON.stringify(req.params));

test("exact goes before a parameter, that before a wildcard, and what leads nowhere is tried again one step back", async (t) => {
  const paths = [
    ...["/", "/*", "/u/me", "/u/:id", "/u/:id/posts", "/u/:id/posts/:post", "/a/:x", "/:y/b", "/w/*", "/w/:p/z"],
    ...["/p/:a/x", "/p/:b/y", "/q/:id/*", "/n/:", "/g/a*", "/tr/"],
  ];
  const server = site(t, Object.fromEntries(paths.map((path) => [path, saying(path)])));
  const cases = {
    "/": "/{}",
    "/?q=/u/me": "/{}",
    "/zzz": "/*{}",
    "/u/me": "/u/me{}",
    "/u/5": '/u/:id{"id":"5"}',
    "/u/": "/*{}",
    "/u/5/": "/*{}",
    "/u/me/posts": '/u/:id/posts{"id":"me"}',
    "/u/5/posts/6?x=1": '/u/:id/posts/:post{"id":"5","post":"6"}',
    "/u//posts": "/*{}",
    "/a/b": '/a/:x{"x":"b"}',
    "/c/b": '/:y/b{"y":"c"}',
    "/w/1/z": '/w/:p/z{"p":"1"}',
    "/w/1/y": "/w/*{}",
    "/w/": "/w/*{}",
    "/w": "/*{}",
    "/p/1/x": '/p/:a/x{"a":"1"}',
    "/p/1/y": '/p/:b/y{"b":"1"}',
    "/q/1/2/3": '/q/:id/*{"id":"1"}',
    "/q/1": "/*{}",
    "/g/ab": "/*{}",
    "/g/a*": "/g/a*{}",
    "/tr/": "/tr/{}",
    "/tr": "/*{}",
    "/U/me": "/*{}",
    "/%75/me": "/*{}",
  };
  for (const [path, text] of Object.entries(cases)) assert.strictEqual((await ask(server, path)).text, text, path);
});

test("parameters are decoded, and what is no UTF-8 becomes U+FFFD", async (t) => {
  const server = site(t, { "/:text": (req) => Response.json(req.params.text) });
  const cases = {
    "a%20b": "a b",
    "a%2Fb": "a/b",
    "%E2%82%ac%F0%9f%98%80": "€😀",
    "%zz": "\ufffd",
    "%4": "\ufffd4",
    "x%": "x\ufffd",
    "%E0%A4%A": "\ufffd\ufffdA",
    "%ed%a0%80": "\ufffd",
    "%ff%41": "\ufffdA",
  };
  for (const [path, text] of Object.entries(cases)) assert.strictEqual(JSON.parse((await ask(server, `/${path}`)).text), text, path);
});

test("a handler has the server as its second argument and as this, and a Request without params where no route matched", async (t) => {
  const server = site(
    t,
    { "/in": function (req, given) { return Response.json([this === server, given === server, req instanceof Request, req.params, req.cookies.size]); } },
    { fetch: (req) => Response.json([req.params === undefined, req.cookies === undefined]) },
  );
  assert.strictEqual((await ask(server, "/in")).text, "[true,true,true,{},0]");
  assert.strictEqual((await ask(server, "/out")).text, "[true,true]");
});

test("methods: a handler for each, HEAD falls to GET, another goes on to the next route, to fetch, or to 404", async (t) => {
  const routes = {
    "/m": { GET: () => new Response("get"), POST: new Response("post", { status: 201 }) },
    "/head": { GET: () => new Response("get"), HEAD: () => new Response(null, { headers: { "x-head": "1" } }) },
    "/w/a": { PUT: () => new Response("put") },
    "/w/*": () => new Response("wildcard"),
  };
  const server = site(t, routes, { fetch: (req) => new Response(`fetch ${req.method}`) });
  const answer = async (method, path) => {
    const { status, text } = await ask(server, path, method);
    return `${status} ${text}`;
  };
  assert.strictEqual(await answer("GET", "/m"), "200 get");
  assert.strictEqual(await answer("POST", "/m"), "201 post");
  assert.strictEqual(await answer("PUT", "/m"), "200 fetch PUT");
  const head = await ask(server, "/m", "HEAD");
  assert.deepStrictEqual([head.status, head.headers["content-length"], head.text], [200, "3", ""]);
  assert.strictEqual((await ask(server, "/head", "HEAD")).headers["x-head"], "1");
  assert.strictEqual(await answer("PUT", "/w/a"), "200 put");
  assert.strictEqual(await answer("GET", "/w/a"), "200 wildcard");
  const alone = site(t, routes);
  assert.deepStrictEqual((({ status, text }) => [status, text])(await ask(alone, "/m", "DELETE")), [404, ""]);
  assert.strictEqual((await ask(alone, "/none")).status, 404);
});

test("false leaves a path to fetch, past the wildcard", async (t) => {
  const server = site(t, { "/off": false, "/*": () => new Response("wildcard"), "/un": undefined }, { fetch: () => new Response("fetch") });
  assert.deepStrictEqual([(await ask(server, "/off")).text, (await ask(server, "/un")).text], ["fetch", "wildcard"]);
});

test("a Response is sent to every request, from several paths, by every method, with an entity tag", async (t) => {
  const shared = Response.json({ a: 1 });
  const moved = Response.redirect("http://x.test/y", 301);
  const server = site(t, { "/a": shared, "/b/:c": shared, "/moved": moved, "/none": new Response(null, { status: 204 }) });
  const [first, second, posted] = [await ask(server, "/a"), await ask(server, "/b/5"), await ask(server, "/a", "POST")];
  for (const { status, text, headers } of [first, second, posted]) {
    assert.deepStrictEqual([status, text, headers["content-type"], headers.etag], [200, '{"a":1}', "application/json", first.headers.etag]);
  }
  assert.match(first.headers.etag, /^"[0-9a-f]{16}"$/);
  assert.strictEqual(shared.bodyUsed, false);
  for (const tag of [first.headers.etag, `"x", W/${first.headers.etag}`, "*"]) {
    const known = await ask(server, "/a", "GET", { "if-none-match": tag });
    assert.deepStrictEqual([known.status, known.text, known.headers.etag], [304, "", first.headers.etag]);
    assert.strictEqual((await ask(server, "/a", "POST", { "if-none-match": tag })).status, 200);
  }
  assert.strictEqual((await ask(server, "/a", "GET", { "if-none-match": '"x"' })).status, 200);
  const redirect = await ask(server, "/moved");
  assert.deepStrictEqual([redirect.status, redirect.headers.location, redirect.headers.etag], [301, "http://x.test/y", undefined]);
  assert.strictEqual((await ask(server, "/none")).status, 204);
});

test("what a route changes in req.cookies is sent with its response, and with error()'s", async (t) => {
  const routes = {
    "/set": async (req) => {
      assert.deepStrictEqual([...req.cookies], [["z", "1"], ["q", "2 3"]]);
      req.cookies.set("a", "1", { httpOnly: true });
      await null;
      req.cookies.delete("z");
      return new Response("c", { headers: { "set-cookie": "own=1" } });
    },
    "/throw": (req) => {
      req.cookies.set("a", "1");
      throw new Error("mine");
    },
    "/read": (req) => new Response(req.cookies.get("q")),
  };
  const server = site(t, routes, { error: (error) => new Response(error.message, { status: 500 }) });
  const cookie = "z=1; q=2%203";
  const lines = async (path) => (await ask(server, path, "GET", { cookie })).headers["set-cookie"];
  assert.deepStrictEqual(await lines("/set"), [
    "own=1",
    "a=1; Path=/; HttpOnly; SameSite=Lax",
    "z=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax",
  ]);
  assert.deepStrictEqual(await lines("/throw"), ["a=1; Path=/; SameSite=Lax"]);
  assert.strictEqual(await lines("/read"), undefined);
});

test("a route upgrades, and its parameters and cookies go on with the socket", async (t) => {
  const server = site(
    t,
    { "/room/:name": (req, server) => (server.upgrade(req, { data: [req.params.name, req.cookies.get("user")] }) ? undefined : new Response("no")) },
    { websocket: { open: (ws) => ws.send(ws.data.join()) } },
  );
  const client = await connect(server, "/room/caf%C3%A9", { headers: { cookie: "user=Ada" } });
  assert.deepStrictEqual(await take(client, 1), ["café,Ada"]);
  assert.strictEqual((await ask(server, "/room/x")).text, "no");
});

test("what a route throws goes to error(), and what is no Response is named by route and method", async (t) => {
  const logged = t.mock.method(console, "error", () => {});
  const routes = { "/throw": () => { throw new Error("mine"); }, "/a": () => 5, "/b": { POST: async () => {} } };
  const server = site(t, routes, { error: (error) => new Response(error.message, { status: 503 }) });
  assert.deepStrictEqual((({ status, text }) => [status, text])(await ask(server, "/throw")), [503, "mine"]);
  assert.deepStrictEqual([(await ask(server, "/a")).status, (await ask(server, "/b", "POST")).status], [204, 204]);
  assert.deepStrictEqual(
    logged.mock.calls.map(({ arguments: [error] }) => error.message),
    [
      'Expected a Response object from routes["/a"], but received 5',
      'Expected a Response object from routes["/b"].POST, but received undefined',
    ],
  );
});

test("server.fetch() goes through the routes", async (t) => {
  const routes = {
    "/u/:id": (req) => (req.cookies.set("a", "1"), Response.json([req.params, req.cookies.get("q")])),
    "/s": new Response("static"),
    "/m": { GET: () => new Response("m") },
  };
  const server = site(t, routes);
  const response = await server.fetch(new Request("http://a/u/5%20", { headers: { cookie: "q=2" } }));
  assert.deepStrictEqual([await response.text(), response.headers.get("set-cookie")], ['[{"id":"5 "},"2"]', "a=1; Path=/; SameSite=Lax"]);
  assert.strictEqual(await (await server.fetch("/s")).text(), "static");
  assert.strictEqual((await server.fetch(new Request("http://a/m", { method: "PUT" }))).status, 404);
});

test("reload() replaces the routes, and keeps them when it is given none", async (t) => {
  const server = site(t, { "/a": new Response("old") }, { fetch: () => new Response("fetch") });
  server.reload({ fetch: () => new Response("new fetch") });
  assert.deepStrictEqual([(await ask(server, "/a")).text, (await ask(server, "/b")).text], ["old", "new fetch"]);
  server.reload({ routes: { "/b": new Response("new") } });
  assert.deepStrictEqual([(await ask(server, "/a")).text, (await ask(server, "/b")).text], ["new fetch", "new"]);
});

test("with handlers of sockets alone every request gets 404", async (t) => {
  const server = serve({ port: 0, websocket: {} });
  t.after(() => server.stop(true));
  assert.strictEqual((await fetch(server.url)).status, 404);
});

test("a wrong route is named, with what was expected", async () => {
  const used = new Response("x");
  await used.text();
  const cases = [
    [undefined, /fetch must be a function \(request, server\), or routes an object/],
    [{}, /fetch must be a function/],
    [null, /routes must be an object/],
    [5, /routes must be an object/],
    [{ x: new Response("") }, /routes\["x"\] is no path: it must start with '\/'/],
    [{ "/x": 5 }, /routes\["\/x"\] must be a Response, a function .* by method \(GET, POST.*, not number/],
    [{ "/x": null }, /routes\["\/x"\] must be .*, not null/],
    [{ "/x": true }, /routes\["\/x"\] must be .*, not boolean/],
    [{ "/x": { get() {} } }, /routes\["\/x"\] must be .*; "get" is no such method/],
    [{ "/x": {} }, /routes\["\/x"\] .* without any/],
    [{ "/x": { GET: 5 } }, /routes\["\/x"\] has a GET that is neither a Response nor a function/],
    [{ "/:x/:x": () => {} }, /routes\["\/:x\/:x"\] names a parameter twice/],
    [{ "/*/x": () => {} }, /routes\["\/\*\/x"\] has a '\*' that is not its last segment/],
    [{ "/x": used }, /routes\["\/x"\] is a Response whose body has already been used/],
  ];
  for (const [routes, message] of cases) assert.throws(() => serve({ port: 0, routes }), (error) => error instanceof TypeError && message.test(error.message));
});

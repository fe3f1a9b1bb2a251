"use strict";
// The option `routes`: which one answers, and what its handler is given.

/** These requests, one after the other, of a server with these routes. */
const routed = (routes, ...requests) => ({
  serve: (site) => ({
    routes: routes(site),
    fetch: (req) => new Response(`fetch ${new URL(req.url).pathname}`, { status: 404 }),
    websocket: {},
  }),
  async drive({ dial }) {
    const peer = await dial();
    for (const [n, [method, path, how]] of requests.entries()) {
      peer.ask(method, path, how);
      await peer.until(() => peer.entries.length > n, `answer ${n + 1}`);
    }
  },
});

const gets = (...paths) => paths.map((path) => ["GET", path]);
const says = (words) => () => new Response(words);

module.exports = {
  "a Response": routed(
    () => ({ "/here": new Response("fixed", { headers: { "X-Mine": "1" } }) }),
    ...gets("/here", "/here", "/there"),
  ),
  "a handler": routed(
    () => ({ "/here": (req) => new Response(`handled ${req.method}`) }),
    ...gets("/here", "/here?a=1", "/Here", "/here/"),
  ),
  "an async handler": routed(() => ({ "/here": async () => new Response("later") }), ...gets("/here")),
  "a parameter": routed(
    () => ({ "/users/:id": (req) => new Response(JSON.stringify(req.params)) }),
    ...gets("/users/7", "/users/a%20b", "/users/%C3%A9", "/users/", "/users", "/users/7/more"),
  ),
  "several parameters": routed(
    () => ({ "/:kind/:id/edit": (req) => new Response(JSON.stringify(req.params)) }),
    ...gets("/users/7/edit", "/users/7", "/users//edit"),
  ),
  "a wildcard": routed(
    () => ({ "/files/*": says("wildcard") }),
    ...gets("/files/a", "/files/a/b", "/files/", "/files", "/other"),
  ),
  "the exact one before a parameter before a wildcard": routed(
    () => ({ "/a/*": says("wildcard"), "/a/:b": says("parameter"), "/a/b": says("exact"), "/*": says("all") }),
    ...gets("/a/b", "/a/c", "/a/c/d", "/other"),
  ),
  "methods": routed(
    () => ({ "/here": { GET: says("got"), POST: async (req) => new Response(`posted ${await req.text()}`) } }),
    ["GET", "/here"],
    ["POST", "/here", { body: "x" }],
    ["PUT", "/here", { body: "x" }],
  ),
  "a handler that throws": {
    ...routed(
      () => ({
        "/here": () => {
          throw new Error("mine");
        },
      }),
      ...gets("/here"),
    ),
    serve: ({ note }) => ({
      routes: {
        "/here": () => {
          throw new Error("mine");
        },
      },
      error(error) {
        note("error", error.message);
        return new Response("handled", { status: 500 });
      },
      fetch: () => new Response("fetch"),
    }),
  },
  "an upgrade in a route": {
    serve: ({ note }) => ({
      routes: {
        "/chat/:room": (req, server) =>
          server.upgrade(req, { data: req.params.room }) ? undefined : new Response("no", { status: 400 }),
      },
      fetch: () => new Response("fetch"),
      websocket: {
        open: (ws) => {
          note("open", ws.data);
          ws.send(ws.data);
        },
      },
    }),
    async drive({ open }) {
      const peer = await open({ path: "/chat/lobby" });
      await peer.sees("text lobby");
    },
  },
  "routes without fetch": {
    serve: () => ({ routes: { "/here": new Response("here") }, fetch: undefined }),
    async drive({ dial }) {
      const peer = await dial();
      peer.ask("GET", "/here");
      await peer.sees("200");
      peer.ask("GET", "/there");
      await peer.sees("404");
    },
  },
};

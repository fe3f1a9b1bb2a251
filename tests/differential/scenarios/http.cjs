"use strict";
// Requests beside WebSockets: what fetch sees, and what arrives of its answer.

/** One request after the other on a connection, each answered by fetch. */
const asking = (fetch, ...requests) => ({
  serve: (site) => ({ fetch: (req, server) => fetch(req, server, site) }),
  async drive({ dial }) {
    const peer = await dial();
    for (const [n, [method, path, how]] of requests.entries()) {
      peer.ask(method, path, how);
      await peer.until(() => peer.entries.length > n, `answer ${n + 1}`);
    }
  },
});

const get = [["GET", "/"]];

const OWN = "Request and Response are the runtime's own";

/** What a body is made of, by the path that asks for it. */
const MADE = {
  "/bytes": () => new Response(new Uint8Array([104, 105])),
  "/part": () => new Response(new Uint8Array([0, 104, 105, 0]).subarray(1, 3)),
  "/wide": () => new Response(new Uint16Array([26984])),
  "/view": () => new Response(new DataView(new ArrayBuffer(3))),
  "/memory": () => new Response(new Uint8Array([104, 105]).buffer),
  "/nothing": () => new Response(new Uint8Array(0)),
  "/long": () => new Response(new Uint8Array(300_000)),
  "/typed": () => new Response(new Uint8Array([104, 105]), { headers: { "Content-Type": "text/x-mine", "Content-Length": "99" } }),
  "/form": () => new Response(new URLSearchParams({ a: "1", b: "é" })),
  "/json": () => Response.json({ a: "é" }, { status: 201, headers: { "Content-Type": "application/problem+json", "X-Mine": "1" } }),
  "/text": () => new Response("é"),
  "/number": () => new Response(5),
  "/copy": () => new Response(new Uint8Array([104, 105])).clone(),
  "/changed"() {
    const bytes = new Uint8Array([104, 105]);
    const response = new Response(bytes);
    bytes.fill(120);
    return response;
  },
};

module.exports = {
  "a text": asking(() => new Response("hello"), ...get),
  "an empty response": asking(() => new Response(), ...get),
  "a null body": asking(() => new Response(null, { status: 204 }), ...get),
  "a status": asking(
    (req) => new Response("status", { status: Number(new URL(req.url).pathname.slice(1)) }),
    ["GET", "/201"],
    ["GET", "/404"],
    ["GET", "/503"],
    ["GET", "/599"],
  ),
  "JSON": {
    ...asking(() => Response.json({ a: [1, 2] }), ...get),
    differs: [
      {
        because: OWN,
        bun: ['200 {content-type: application/json;charset=utf-8} {"a":[1,2]}'],
        tidewire: ['200 {content-type: application/json} {"a":[1,2]}'],
      },
    ],
  },
  "a redirect": asking(() => Response.redirect("http://example.test/there", 307), ...get),
  "relative redirects": asking(
    (req) => Response.redirect(decodeURIComponent(new URL(req.url).search.slice(1)), 303),
    ...["/there", "there?a=b#c", "../up", "//other.test/x", "?only=this"].map((url) => ["GET", `/?${encodeURIComponent(url)}`]),
  ),
  "a redirect with a status that is none": asking((req, server, { attempt, note }) => {
    for (const status of [200, 304, 99, 600]) note(attempt(() => Response.redirect("/there", status)) instanceof RangeError);
    return new Response("x");
  }, ...get),
  "headers": asking(
    () => new Response("x", { headers: { "X-One": "1", "Content-Type": "text/html", "Cache-Control": "no-store" } }),
    ...get,
  ),
  "two cookies": asking(
    () =>
      new Response("x", {
        headers: [
          ["Set-Cookie", "a=1"],
          ["Set-Cookie", "b=2; Path=/"],
        ],
      }),
    ...get,
  ),
  "bodies that are there whole have their length": asking(
    (req) => MADE[new URL(req.url).pathname](),
    ...Object.keys(MADE).map((path) => ["GET", path, { all: true }]),
  ),
  "a Blob": asking(() => new Response(new Blob(["blob"], { type: "text/x-mine" })), ...get),
  "URLSearchParams": asking(() => new Response(new URLSearchParams({ a: "1", b: "é" })), ...get),
  "a stream": asking(
    () =>
      new Response(
        new ReadableStream({
          start(controller) {
            for (const part of ["one ", "two ", "three"]) controller.enqueue(new TextEncoder().encode(part));
            controller.close();
          },
        }),
      ),
    ...get,
  ),
  "a large body": asking(() => new Response("x".repeat(1_000_000)), ...get),
  "HEAD": {
    ...asking(() => new Response("hello", { headers: { "X-Mine": "1" } }), ["HEAD", "/", { all: true }], ["GET", "/"]),
    differs: [
      {
        because: "a HEAD is answered with the headers of a GET (RFC 9110, section 9.3.2)",
        bun: ["200 {content-length: 5; x-mine: 1}"],
        tidewire: ["200 {content-length: 5; content-type: text/plain;charset=utf-8; x-mine: 1}"],
      },
    ],
  },
  "several requests on a connection": asking(
    (req) => new Response(new URL(req.url).pathname),
    ["GET", "/1"],
    ["GET", "/2"],
    ["GET", "/3"],
  ),
  "methods": asking(
    (req) => new Response(req.method),
    ...["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"].map((method) => [
      method,
      "/",
      { headers: method === "GET" ? {} : { "Content-Length": "0" } },
    ]),
  ),
  "a request's url and headers": asking(
    (req, server, { note }) => {
      note(req.url, req.headers.get("x-mine"), req.headers.get("X-MINE"), req.headers.has("nothing"), req.headers.get("nothing"));
      note(req instanceof Request, req.method, req.bodyUsed, req.body);
      return new Response("x");
    },
    ["GET", "/path/%C3%A9?a=1&b=%20", { headers: { "X-Mine": "value" } }],
  ),
  "a request with a body": asking(
    async (req, server, { note }) => {
      note(req.headers.get("content-type"), req.headers.get("content-length"));
      return new Response(`got ${await req.text()}`);
    },
    ["POST", "/", { body: "hello", headers: { "Content-Type": "text/x-mine" } }],
    ["PUT", "/", { body: "é".repeat(100_000) }],
  ),
  "a body as JSON, bytes and a form": asking(
    async (req, server, { note, attempt }) => {
      const path = new URL(req.url).pathname;
      if (path === "/json") note(await req.json());
      if (path === "/bytes") note(await req.arrayBuffer());
      if (path === "/form") note([...(await req.formData())]);
      if (path === "/bad") note(await req.json().catch((error) => error));
      note("used", req.bodyUsed, await req.text().catch((error) => error));
      return new Response("x");
    },
    ["POST", "/json", { body: '{"a":[1]}' }],
    ["POST", "/bytes", { body: "bytes" }],
    ["POST", "/form", { body: "a=1&b=%C3%A9", headers: { "Content-Type": "application/x-www-form-urlencoded" } }],
    ["POST", "/bad", { body: "{" }],
  ),
  "a response whose body is used": asking(
    async (req, server, { note }) => {
      const response = new Response("x");
      const copy = response.clone();
      await copy.text();
      note("clone", copy.bodyUsed, response.bodyUsed);
      return response;
    },
    ...get,
  ),
  "requestIP": asking(
    (req, server, { note }) => {
      const { address, family, port } = server.requestIP(req);
      note(address, family, typeof port, port > 0);
      return new Response("x");
    },
    ...get,
  ),
  "members of a server": asking(
    (req, server, { note }) => {
      note(typeof server.port, server.hostname, server.url.protocol, server.url.hostname, server.url.pathname, server.protocol);
      note(server.url.port === String(server.port), server.pendingRequests, server.pendingWebSockets);
      note(server.url instanceof URL);
      return new Response("x");
    },
    ...get,
  ),
  "a fetch that takes its time does not hold others up": {
    serve: ({ note }) => {
      let release;
      const released = new Promise((resolve) => (release = resolve));
      return {
        async fetch(req, server) {
          const { pathname } = new URL(req.url);
          if (pathname === "/slow") await released;
          else release();
          note(pathname, server.pendingRequests);
          return new Response(pathname);
        },
      };
    },
    async drive({ dial }) {
      const [slow, fast] = [await dial(), await dial()];
      slow.ask("GET", "/slow");
      fast.ask("GET", "/fast");
      await fast.sees("200");
      await slow.sees("200");
    },
  },
  "requests that come together are answered in order": {
    serve: () => ({ fetch: (req) => new Response(new URL(req.url).pathname) }),
    async drive({ dial }) {
      const peer = await dial();
      peer.write(...["/1", "/2", "/3"].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`));
      await peer.sees("200", 3);
    },
  },
};

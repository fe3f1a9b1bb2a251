"use strict";
// Bodies that stream, and requests that end before they are answered.

const bytes = (text) => new TextEncoder().encode(text);

/** A request whose peer leaves in some way while fetch waits for what never comes. */
const deserted = (leave, write = (peer) => peer.ask("GET", "/"), fetch = () => {}) => ({
  serve: (site) => {
    let waits;
    return {
      idleTimeout: 0,
      fetch(req, server) {
        site.note("asked", server.pendingRequests);
        waits = fetch(req, site);
        return new Promise(() => {});
      },
      commands: { pending: () => site.server.pendingRequests, look: () => waits?.() },
    };
  },
  async drive({ dial, program }) {
    const peer = await dial();
    write(peer);
    await program.sees("asked");
    leave(peer);
    // That it has left takes a moment to be known.
    for (let i = 0; i < 200 && (await program.does("pending")) !== "0"; i += 1);
    program.add(`pending ${await program.does("pending")}`);
    await program.does("look");
    peer.destroy();
  },
});

const posted = (peer) => peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none ");
const reset = (peer) => peer.reset();
const end = (peer) => peer.destroy();
const signalLater = (req, { note }) => () => note("signal", req.signal.aborted, req.signal.reason?.name);
const readLater =
  (req, { note }) =>
  () =>
    req.text().then(
      (text) => note("read", text),
      ({ name }) => note("failed", name),
    );

/** One request with a program's fetch. */
const asked = (fetch, request, more = {}) => ({
  serve: (site) => ({ fetch: (req, server) => fetch(req, site, server), ...more }),
  async drive({ dial }) {
    const peer = await dial();
    peer.ask(...request);
    await peer.sees("");
  },
});

module.exports = {
  "a request's body as a stream": asked(
    async (req, { note }) => {
      let length = 0;
      for (const reader = req.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) break;
        length += value.length;
        note.once ??= note("chunk", value.constructor.name) ?? true;
      }
      note("read", length, req.bodyUsed);
      return new Response("x");
    },
    ["POST", "/", { body: "x".repeat(500_000) }],
  ),
  "a body that comes in pieces": {
    serve: ({ note }) => ({
      async fetch(req) {
        note("begun");
        note("read", await req.text());
        return new Response("x");
      },
    }),
    async drive({ dial, program }) {
      const peer = await dial();
      peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none ");
      await program.sees("begun");
      peer.write("two ");
      peer.write("x");
      await peer.sees("200");
    },
  },
  "a chunked body": {
    serve: ({ note }) => ({
      async fetch(req) {
        note("read", await req.text());
        return new Response("x");
      },
    }),
    async drive({ dial }) {
      const peer = await dial();
      peer.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n");
      await peer.sees("200");
    },
  },
  "a body that nobody reads": {
    serve: () => ({ fetch: (req) => new Response(new URL(req.url).pathname) }),
    async drive({ dial }) {
      const peer = await dial();
      peer.ask("POST", "/1", { body: "unread" });
      await peer.sees("200");
      peer.ask("GET", "/2");
      await peer.sees("200", 2);
    },
  },
  "a body over maxRequestBodySize": {
    ...asked(async (req) => new Response(await req.text()), ["POST", "/", { body: "x".repeat(200) }], {
      maxRequestBodySize: 100,
    }),
    differs: [
      { because: "a superset of both is welcome", bun: ["413 {}"], tidewire: ["413 {} the request body is larger than allowed"] },
    ],
  },
  "a response streams as it comes": {
    serve: () => {
      let controller;
      return {
        fetch(req) {
          if (new URL(req.url).pathname === "/more") {
            controller.enqueue(bytes("two"));
            controller.close();
            return new Response("more");
          }
          return new Response(
            new ReadableStream({
              start(given) {
                controller = given;
                controller.enqueue(bytes("one "));
              },
            }),
          );
        },
      };
    },
    async drive({ dial }) {
      const [streamed, other] = [await dial(), await dial()];
      streamed.ask("GET", "/");
      await streamed.until(() => streamed.received.includes("one "), "the first part");
      other.ask("GET", "/more");
      await other.sees("200");
      await streamed.sees("200");
    },
  },
  "a stream that fails": {
    serve: () => ({
      fetch: () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              controller.error(new Error("mine"));
            },
          }),
        ),
      error: () => new Response("handled", { status: 500 }),
    }),
    async drive({ dial }) {
      const peer = await dial();
      peer.ask("GET", "/");
      await peer.sees("");
    },
    differs: [
      {
        because: "a superset of both is welcome",
        bun: ["reset"],
        tidewire: ["500 {content-type: text/plain;charset=utf-8} handled", "end"],
      },
    ],
  },
  "a client that goes away aborts the request's signal": {
    serve: ({ note }) => ({
      fetch(req) {
        req.signal.addEventListener("abort", () => note("aborted", req.signal.aborted));
        note("waiting", req.signal.aborted);
        return new Promise(() => {});
      },
    }),
    async drive({ dial, program }) {
      const peer = await dial();
      peer.ask("GET", "/");
      await program.sees("waiting");
      peer.reset();
      await program.sees("aborted");
    },
  },
  "a client that goes away cancels the stream": {
    serve: ({ note }) => ({
      fetch: () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(bytes("one ")),
            cancel: () => note("cancelled"),
          }),
        ),
    }),
    async drive({ dial, program }) {
      const peer = await dial();
      peer.ask("GET", "/");
      await peer.until(() => peer.received.includes("one "), "the first part");
      peer.reset();
      await program.sees("cancelled");
    },
  },
  "who resets before the answer is not waited for": deserted(reset),
  "who ends before the answer is not waited for": deserted(end),
  "who resets in the middle of a body is not waited for": deserted(reset, posted),
  "who ends in the middle of a body is not waited for": deserted(end, posted),
  "a signal that is asked for when the peer has reset": deserted(reset, undefined, signalLater),
  "a signal that is asked for when the peer has ended": deserted(end, undefined, signalLater),
  "a body that is read when the peer has reset": deserted(reset, posted, readLater),
  "a body that is read when the peer has ended": deserted(end, posted, readLater),
  "an async generator as a body": asked(
    () =>
      new Response(
        (async function* () {
          yield bytes("one ");
          await null;
          yield bytes("two");
        })(),
      ),
    ["GET", "/"],
  ),
  "Expect: 100-continue": {
    serve: () => ({ fetch: async (req) => new Response(await req.text()) }),
    async drive({ dial }) {
      const peer = await dial();
      peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
      await peer.sees("100");
      peer.write("body");
      await peer.sees("200");
    },
  },
  "server.fetch": {
    serve: (site) => ({
      fetch: (req) => new Response(`fetched ${new URL(req.url).pathname}`),
      commands: {
        async ask() {
          const response = await site.server.fetch(new Request("http://example.test/path"));
          site.note(response.status, await response.text());
          site.note(await (await site.server.fetch("/relative")).text());
        },
      },
    }),
    async drive({ program }) {
      await program.does("ask");
    },
  },
};

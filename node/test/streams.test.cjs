"use strict";
// Bodies that stream, in both directions: they come as they come, stop when the other side does, and end when it leaves.

const assert = require("node:assert");
const { once } = require("node:events");
const http = require("node:http");
const { test } = require("node:test");
const { serve } = require("tidewire");
const { PATIENCE, raw } = require("./kit.cjs");

function site(t, fetch, options) {
  const server = serve({ port: 0, fetch, ...options });
  t.after(() => server.stop(true));
  return server;
}

/** A promise and what resolves it. */
function later() {
  const later = {};
  later.promise = new Promise((resolve, reject) => Object.assign(later, { resolve, reject }));
  return later;
}

/** Lets the event loop go round: what could happen by itself has happened. */
async function rounds(count = 300) {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

/** A response as it begins to arrive. */
async function get(server, options = {}) {
  const request = http.request({ port: server.port, host: "127.0.0.1", agent: false, ...options });
  request.on("error", () => {});
  request.end();
  const [response] = await once(request, "response", { signal: AbortSignal.timeout(PATIENCE) });
  return response;
}

const next = async (stream) => String((await once(stream, "data", { signal: AbortSignal.timeout(PATIENCE) }))[0]);

test("a request's body is read piece by piece, as it comes", async (t) => {
  const pieces = [];
  const seen = later();
  const server = site(t, async (req) => {
    for await (const piece of req.body) {
      pieces.push(Buffer.from(piece).toString());
      if (pieces.length === 1) seen.resolve();
    }
    return new Response("read");
  });
  const socket = await raw(server);
  socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\none");
  await seen.promise;
  socket.write("two");
  assert.match(await next(socket), /200 OK[^]*read$/);
  assert.deepStrictEqual(pieces, ["one", "two"]);
});

test("while nobody reads a request's body, its peer cannot send more", async (t) => {
  const [first, go] = [later(), later()];
  const server = site(t, async (req) => {
    let length = 0;
    for await (const piece of req.body) {
      length += piece.length;
      first.resolve();
      await go.promise;
    }
    return new Response(String(length));
  });
  const socket = await raw(server);
  const body = Buffer.alloc(64 * 1024 * 1024);
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
  socket.write(body);
  await first.promise;
  await rounds();
  assert.ok(socket.writableLength >= 32 * 1024 * 1024, `${socket.writableLength} bytes wait at the client`);
  go.resolve();
  assert.match(await next(socket), new RegExp(`\r\n${body.length}$`));
});

test("a body that is not read, or cancelled, hinders nothing; one that breaks off, or is too large, is an error", async (t) => {
  const errors = [];
  const broken = later();
  const server = site(
    t,
    async (req) => {
      const { pathname } = new URL(req.url);
      if (pathname === "/unread") return new Response("unread");
      if (pathname === "/cancelled") {
        await req.body.cancel();
        return new Response("cancelled");
      }
      try {
        await req.text();
      } catch (error) {
        errors.push(error.name);
        broken.resolve();
      }
      return new Response("tried");
    },
    { maxRequestBodySize: 1000 },
  );
  for (const what of ["unread", "cancelled"]) {
    const response = await fetch(new URL(what, server.url), { method: "POST", body: "x".repeat(100) });
    assert.strictEqual(await response.text(), what);
  }
  const socket = await raw(server);
  socket.write("POST /broken HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
  await rounds(20);
  socket.destroy();
  await broken.promise;
  const large = await raw(server);
  const chunk = `400\r\n${"x".repeat(1024)}\r\n`;
  large.write(`POST /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk}0\r\n\r\n`);
  assert.match(await next(large), /tried/);
  assert.deepStrictEqual(errors, ["AbortError", "TypeError"]);
});

test("a body can be read into memory of one's own", async (t) => {
  const server = site(t, async (req) => {
    const reader = req.body.getReader({ mode: "byob" });
    let text = "";
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(4));
      if (done) return new Response(text);
      text += `[${Buffer.from(value)}]`;
    }
  });
  const response = await fetch(server.url, { method: "POST", body: "ten bytes." });
  assert.strictEqual(await response.text(), "[ten ][byte][s.]");
});

test("what is there at once is sent whole, with its length", async (t) => {
  const bodies = {
    "/text": () => "héllo",
    "/bytes": () => new Uint8Array(6),
    "/blob": () => new Blob(["six", "six"]).slice(0, 6),
    "/form": () => new URLSearchParams({ a: "1234" }),
    "/stream": () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue("three");
          controller.enqueue(new Uint8Array(1).buffer);
          controller.close();
        },
      }),
  };
  const server = site(t, (req) => new Response(bodies[new URL(req.url).pathname]()));
  for (const path of Object.keys(bodies)) {
    const response = await get(server, { path });
    let length = 0;
    for await (const chunk of response) length += chunk.length;
    assert.deepStrictEqual([response.headers["content-length"], length, path], ["6", 6, path]);
  }
});

test("what takes longer is sent as it comes: streams, generators, other responses' bodies", async (t) => {
  let steps;
  async function* generate() {
    for (const step of steps) yield await step.promise;
  }
  const streams = {
    "/stream": () =>
      new ReadableStream({
        async start(controller) {
          for (const step of steps) controller.enqueue(await step.promise);
          controller.close();
        },
      }),
    "/generator": () => generate(),
    "/passed": () => new Response(generate()).body,
  };
  const server = site(t, (req) => new Response(streams[new URL(req.url).pathname](), { headers: { "x-kind": "live" } }));
  for (const path of Object.keys(streams)) {
    steps = [later(), later(), later()];
    const response = await get(server, { path }); // the head comes before there is anything
    const ended = once(response, "end");
    assert.deepStrictEqual([response.headers["x-kind"], response.headers["transfer-encoding"]], ["live", "chunked"]);
    for (const [place, step] of steps.entries()) {
      const arrives = next(response);
      step.resolve(Buffer.from(`piece ${place}`));
      assert.strictEqual(await arrives, `piece ${place}`);
    }
    await ended;
  }
});

test("a stream is read as its peer takes it, goes on when there is room, and is cancelled when the peer leaves", async (t) => {
  let pulled = 0;
  const cancelled = later();
  const server = site(t, () => {
    const source = {
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
      cancel: cancelled.resolve,
    };
    return new Response(new ReadableStream(source, { highWaterMark: 0 }));
  });
  const response = await get(server);
  response.pause();
  // A peer that does not read has the stream wait: it would never stand still otherwise.
  let before = 0;
  for (let still = 0; still < 5; ) {
    await rounds(100);
    still = pulled === before ? still + 1 : 0;
    before = pulled;
    assert.ok(before < 2000, `${before} pulls`);
  }
  assert.ok(before > 0);
  let read = 0;
  for await (const chunk of response) {
    read += chunk.length;
    if (read > (before + 500) * 64 * 1024) break; // and ends the connection
  }
  assert.ok(pulled > before + 400);
  assert.strictEqual((await cancelled.promise)?.name, "AbortError");
});

test("a silent stream is cancelled when its peer leaves, and one for HEAD at once", async (t) => {
  let cancelled;
  const server = site(t, () => new Response(new ReadableStream({ cancel: () => cancelled.resolve() })));
  cancelled = later();
  const response = await get(server);
  response.on("error", () => {});
  response.destroy();
  await cancelled.promise;
  cancelled = later();
  const head = await get(server, { method: "HEAD" });
  assert.strictEqual(head.statusCode, 200);
  await cancelled.promise;
});

test("a stream that fails at once has error() answer; later its response breaks off", async (t) => {
  const go = later();
  const streams = {
    "/first": () => new ReadableStream({ start: (controller) => controller.error(new Error("at once")) }),
    "/later": () =>
      new ReadableStream({
        async start(controller) {
          controller.enqueue(Buffer.from("some"));
          await go.promise;
          controller.error(new Error("later"));
        },
      }),
    "/wrong": () => new ReadableStream({ start: (controller) => controller.enqueue(5) }),
  };
  const server = site(t, (req) => new Response(streams[new URL(req.url).pathname]()), {
    error: (error) => new Response(error.message, { status: 503 }),
  });
  const first = await fetch(new URL("/first", server.url));
  assert.deepStrictEqual([first.status, await first.text()], [503, "at once"]);
  const wrong = await fetch(new URL("/wrong", server.url));
  assert.match(await wrong.text(), /gave number: it must give strings, ArrayBuffers or views/);
  const logged = [];
  t.mock.method(console, "error", (error) => logged.push(error.message));
  const response = await get(server, { path: "/later" });
  assert.strictEqual(await next(response), "some");
  const [aborted] = await Promise.all([once(response, "error").catch((error) => [error]), go.resolve()]);
  assert.strictEqual(aborted[0].code, "ECONNRESET");
  assert.deepStrictEqual(logged, ["later"]);
});

test("a request's body can be the response's", async (t) => {
  const server = site(t, (req) => new Response(req.body));
  const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => at % 251));
  const response = await fetch(server.url, { method: "POST", body });
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
});

test("timeout(request, seconds) is for that request alone", async (t) => {
  const held = later();
  const server = site(
    t,
    async (req, server) => {
      if (new URL(req.url).pathname === "/held") server.timeout(req, 0);
      assert.throws(() => server.timeout(req, -1), TypeError);
      assert.throws(() => server.timeout({}, 1), TypeError);
      await held.promise;
      return new Response("at last");
    },
    { idleTimeout: 1 },
  );
  const [patient, other] = [await raw(server), await raw(server)];
  let ended = false;
  patient.on("close", () => (ended = true));
  patient.write("GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  other.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(other.resume(), "close", { signal: AbortSignal.timeout(PATIENCE) });
  assert.strictEqual(ended, false);
  held.resolve();
  assert.match(await next(patient), /at last$/);
});

test("request.signal is aborted when the peer leaves before the answer, and not afterwards", async (t) => {
  const [asked, aborted] = [later(), later()];
  const signals = [];
  const server = site(t, (req) => {
    signals.push(req.signal);
    req.signal.addEventListener("abort", () => aborted.resolve(req.signal.reason));
    if (new URL(req.url).pathname === "/answered") return new Response("answered");
    asked.resolve();
    return new Promise(() => {});
  });
  const answered = await get(server, { path: "/answered" });
  await once(answered.resume(), "close");
  const socket = await raw(server);
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await asked.promise;
  socket.destroy();
  assert.strictEqual((await aborted.promise).name, "AbortError");
  assert.deepStrictEqual(signals.map((signal) => signal.aborted), [false, true]);
});

test("a server that stops by force ends what streams, is read, or is waited for", async (t) => {
  for (const inside of [true, false]) {
    const ends = { cancelled: later(), aborted: later(), broken: later(), begun: later() };
    let count = 0;
    const begin = () => ++count === 3 && ends.begun.resolve();
    const server = site(t, async (req) => {
      const { pathname } = new URL(req.url);
      if (pathname === "/stop") {
        server.stop(true);
        return new Response("never seen");
      }
      begin();
      if (pathname === "/stream") return new Response(new ReadableStream({ cancel: ends.cancelled.resolve }));
      if (pathname === "/read") req.text().catch(ends.broken.resolve);
      else req.signal.addEventListener("abort", ends.aborted.resolve);
      return new Promise(() => {});
    });
    const peers = await Promise.all(["/stream", "/wait", "/read"].map(async (path) => {
      const socket = await raw(server);
      socket.on("error", () => {});
      socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome`);
      return socket;
    }));
    await ends.begun.promise;
    await next(peers[0]);
    if (inside) (await raw(server)).on("error", () => {}).write("GET /stop HTTP/1.1\r\nHost: a\r\n\r\n");
    else server.stop(true);
    await Promise.all([ends.cancelled.promise, ends.aborted.promise, ends.broken.promise]);
    await server.stop();
  }
});

"use strict";
// Handlers that throw, and promises that they reject: who is told, and that other sockets do not notice.

const { text, ping, pong, close } = require("../kit/wire.cjs");

/** A program whose handler of this name throws, with or without the socket surviving. */
const throwing = (name, writes, { later = false, ...rest } = {}) => ({
  serve: ({ note }) => ({
    websocket: {
      message: (ws, data) => note("message", data),
      close: (ws, code, reason) => note("close", code, reason),
      [name]: later
        ? async (ws) => {
            await null;
            note("throws in", name, ws.readyState);
            throw new Error(`of ${name}`);
          }
        : (ws) => {
            note("throws in", name, ws.readyState);
            throw new Error(`of ${name}`);
          },
    },
  }),
  writes,
  noted: "un",
  ...rest,
});

/** An error handler that notes what it is given: in Bun's order, the error first, though all other handlers get the socket first. */
const telling = (note) => (error, ws) => note("error", error.message, typeof ws, ws.readyState);

/** fetch fails in some way, with or without an error handler. */
const failing = (fetch, error) => ({
  serve: (site) => ({
    development: false,
    fetch: (req, server) => fetch(site, req, server),
    ...(error && { error: (reason) => error(site, reason) }),
  }),
  async drive({ dial }) {
    const peer = await dial();
    peer.ask("GET", "/");
    await peer.sees("");
  },
});

/** An upgrade with these options, by a server that has handlers for WebSockets, or not. */
const upgrading = (options, more = { websocket: {} }) => ({
  serve: ({ attempt, note }) => ({
    ...more,
    fetch(req, server) {
      const result = attempt(() => server.upgrade(req, ...options));
      note(result);
      return result === true ? undefined : new Response("not upgraded", { status: 400 });
    },
  }),
  drive: ({ open }) => open(),
});

module.exports = {
  "without handlers a request is not upgraded": upgrading([], {}),
  "with handlers that are null neither": upgrading([], { websocket: null }),
  "an upgrade with null": upgrading([null]),
  "an upgrade with options that are no object": upgrading(["x"]),
  "an upgrade with headers that are none": upgrading([{ headers: "x" }]),
  "an upgrade with headers that are null": upgrading([{ headers: null }]),
  "open throws": throwing("open", [], { noted: "uncaught", until: "end" }),
  "message throws": throwing("message", [text("1"), text("2")], {
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("1"), text("2"));
      await program.sees("uncaught", 2);
    },
  }),
  "ping throws": throwing("ping", [ping("x"), text("next")], { until: "pong", noted: "message" }),
  "pong throws": throwing("pong", [pong("x"), text("next")], { noted: "message" }),
  "close throws": throwing("close", [close(1000)], { noted: "uncaught" }),
  "an async message rejects": throwing("message", [text("1")], { later: true }),
  "an async open rejects": throwing("open", [text("next")], { later: true }),
  "an async close rejects": throwing("close", [close(1000)], { later: true }),
  "an error handler is told of open": {
    serve: ({ note }) => ({
      websocket: {
        open() {
          throw new Error("of open");
        },
        close: (ws, code) => note("close", code),
        error: telling(note),
      },
    }),
    until: "end",
  },
  "an error handler is told of the others": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          throw new Error(`of ${data}`);
        },
        ping() {
          throw new Error("of ping");
        },
        pong() {
          throw new Error("of pong");
        },
        close() {
          throw new Error("of close");
        },
        error: telling(note),
      },
    }),
    writes: [text("message"), ping("x"), pong("y"), close(1000)],
    until: "end",
  },
  "an error handler and what is rejected": {
    serve: ({ note }) => ({
      websocket: {
        async message(ws, data) {
          await null;
          throw new Error(`of ${data}`);
        },
        error: telling(note),
      },
    }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("message"));
      await program.sees("");
    },
    differs: [
      { because: "a superset of both is welcome", bun: ["unhandled of message"], tidewire: ["error of message object 1"] },
    ],
  },
  "an error handler that throws": {
    serve: ({ note }) => ({
      websocket: {
        message() {
          throw new Error("first");
        },
        error() {
          note("error");
          throw new Error("second");
        },
      },
    }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("message"));
      await program.sees("uncaught");
    },
  },
  "what is thrown need not be an error": {
    serve: () => ({
      websocket: {
        message(ws, data) {
          throw { text: 1, null: null, string: "words" }[data];
        },
      },
    }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("string"));
      await program.sees("uncaught words");
    },
  },
  "a throw in one socket's handler does not concern another": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          if (data === "throw") throw new Error("mine");
          ws.send(data);
          note("message", data);
        },
      },
    }),
    async drive({ open, program }) {
      const [a, b] = [await open(), await open()];
      a.write(text("throw"));
      await program.sees("uncaught");
      b.write(text("fine"));
      await b.sees("text fine");
      a.write(text("fine too"));
      await a.sees("text fine too");
    },
  },
  "what was sent before a throw arrives": {
    serve: () => ({
      websocket: {
        message(ws) {
          ws.send("before");
          throw new Error("mine");
        },
      },
    }),
    async drive({ open, program }) {
      const peer = await open();
      peer.write(text("go"));
      await peer.sees("text before");
      await program.sees("uncaught");
    },
  },
  "fetch throws, and error answers": failing(
    () => {
      throw new Error("mine");
    },
    ({ note }, reason) => {
      note("error", reason.message);
      return new Response(`handled ${reason.message}`, { status: 418, headers: { "X-Error": "yes" } });
    },
  ),
  "an async fetch rejects, and error answers": failing(
    async () => {
      await null;
      throw new Error("later");
    },
    ({ note }, reason) => {
      note("error", reason.message);
      return new Response("handled", { status: 503 });
    },
  ),
  "error is async": failing(
    () => {
      throw new Error("mine");
    },
    async ({ note }, reason) => {
      await null;
      note("error", reason.message);
      return new Response("handled later", { status: 500 });
    },
  ),
  "fetch gives a promise of a Response": failing(async () => new Response("later")),
};

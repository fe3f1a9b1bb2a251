"use strict";
// What time ends. Bun's clock for it goes in steps of four seconds, so what is compared is that it happens, and what is told then.

const { text, pong } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

/** The shortest time that Bun tells apart from its step. */
const SHORT = 8;
/** A time in milliseconds in which a timeout of one second has ended even on Bun. */
const LONG_AFTER = 9000;

const after = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Sockets with a limit, and a peer that does something until the end is seen. */
const idle = (websocket, { drive } = {}) => ({
  serve: (site) => ({ websocket: { ...witness(site), idleTimeout: SHORT, ...websocket(site) } }),
  async drive(stage) {
    const peer = await stage.open();
    if (drive) return drive(peer, stage);
    await peer.sees("end");
    return stage.program.sees("close");
  },
});

/** Requests of a server with a limit of one second; what is written, and what of it is waited for. */
const http = (fetch, until = "end", { write = (peer) => peer.ask("GET", "/"), ...options } = {}) => ({
  serve: (site) => ({ idleTimeout: 1, ...options, fetch: (req, server) => fetch(req, server, site) }),
  async drive({ dial }) {
    const peer = await dial();
    write(peer);
    await peer.sees(until);
  },
});

/** An answer that comes long after the server's limit, because the request has another. */
const late = (limit) =>
  http(async (req, server) => {
    await limit(req, server);
    await after(LONG_AFTER);
    return new Response("late");
  }, "200");

const never = () => new Promise(() => {});

module.exports = {
  "a silent socket is let go": idle(() => ({ sendPings: false })),
  "a silent socket is pinged before": idle(() => ({})),
  "a limit of one second": idle(() => ({ idleTimeout: 1, sendPings: false })),
  "what the server sends does not keep a socket": {
    ...idle(
      ({ note }) => ({
        sendPings: false,
        open(ws) {
          ws.data = 0;
          const timer = setInterval(() => (ws.data < 10 && ws.send("x") > 0 ? (ws.data += 1) : clearInterval(timer)), 1000);
        },
        close: (ws) => note(ws.data < 10 ? "in the middle" : "after all was sent"),
      }),
      {
        async drive(peer, { program }) {
          await peer.sees("end");
          await program.until(() => program.entries.length === 1, "close");
          // How often it sent is not compared.
          peer.entries = peer.entries.filter((entry) => entry !== "text x");
        },
      },
    ),
    differs: [{ because: "only inbound traffic counts for idleTimeout", bun: ["after all was sent"], tidewire: ["in the middle"] }],
  },
  "who answers pings stays": idle(() => ({}), {
    async drive(peer, { program }) {
      for (let pings = 1; pings <= 3; pings += 1) {
        await peer.sees("ping", pings);
        peer.write(pong());
        await program.sees("pong", pings);
      }
    },
  }),
  "who is heard in time stays": idle(() => ({ sendPings: false }), {
    async drive(peer, { program }) {
      for (let messages = 1; messages <= 3; messages += 1) {
        await after((SHORT * 1000) / 2);
        peer.write(text("here"));
        await program.sees("message", messages);
      }
    },
  }),
  "no limit": idle(() => ({ idleTimeout: 0 }), { drive: () => after(LONG_AFTER) }),
  "a limit that reload() sets": {
    serve: (site) => ({
      websocket: { ...witness(site), idleTimeout: 0 },
      commands: { reload: () => site.server.reload({ websocket: { ...witness(site), idleTimeout: SHORT, sendPings: false } }) },
    }),
    async drive({ open, program }) {
      await program.does("reload");
      const peer = await open();
      await peer.sees("end");
      await program.sees("close");
    },
  },
  "a connection without a next request": http(() => new Response("x")),
  "a connection without a request": http(() => new Response("x"), "end", { write() {} }),
  "a head that does not come to its end": http(() => new Response("x"), "end", { write: (peer) => peer.write("GET / HT") }),
  "a body that does not come": http(
    async (req, server, { note }) => {
      note("asked");
      await req.text().then(note, (error) => note("failed", error.name));
      return new Response("x");
    },
    "end",
    { write: (peer) => peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none") },
  ),
  "a request that is not answered": http((req, server, { note }) => {
    req.signal.addEventListener("abort", () => note("aborted", req.signal.reason.name));
    return never();
  }),
  "timeout() of one second, where the server's is a minute": http((req, server) => server.timeout(req, 1) ?? never(), "end", {
    idleTimeout: 60,
  }),
  "timeout() of a minute, where the server's is a second": late((req, server) => server.timeout(req, 60)),
  "timeout() of none": late((req, server) => server.timeout(req, 0)),
  "timeout() after a while": late(async (req, server) => {
    await null;
    server.timeout(req, 60);
  }),
  "an upgraded socket has its own limit": {
    serve: (site) => ({ idleTimeout: 1, websocket: { ...witness(site), idleTimeout: 60 } }),
    async drive({ open, program }) {
      const peer = await open();
      await after(LONG_AFTER);
      peer.write(text("still here"));
      await program.sees("message");
    },
  },
};

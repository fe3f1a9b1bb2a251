"use strict";
// A server's life: how it stops, what it counts, and how its handlers are exchanged.

const { text, close } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const GRACE = "sockets are closed with 1001 on a graceful stop";

/** A program with commands that take the server. */
const commanded =
  (commands, more = {}) =>
  (site) => ({
    websocket: { ...witness(site), ...more },
    commands: Object.fromEntries(Object.entries(commands).map(([name, run]) => [name, () => run(site.server, site)])),
  });

const stops = {
  stop(server, { note }) {
    server.stop().then(() => note("stopped"));
    note("called");
  },
  force(server, { note }) {
    server.stop(true).then(() => note("stopped"));
    note("called");
  },
};

module.exports = {
  "stop without sockets": {
    serve: commanded(stops),
    async drive({ program }) {
      await program.does("stop");
      await program.sees("stopped");
    },
  },
  "stop(true) without sockets": {
    serve: commanded(stops),
    async drive({ program }) {
      await program.does("force");
      await program.sees("stopped");
    },
  },
  "stop twice": {
    serve: commanded(stops),
    async drive({ program }) {
      await program.does("stop");
      await program.sees("stopped");
      await program.does("stop");
      await program.sees("stopped", 2);
    },
  },
  "nobody connects after a stop": {
    serve: commanded(stops),
    async drive({ program, dial }) {
      await program.does("stop");
      await program.sees("stopped");
      program.add(
        `dial: ${await dial().then(
          () => "connected",
          (error) => error.code,
        )}`,
      );
    },
  },
  "stop with an open socket": {
    serve: commanded(stops),
    async drive({ program, open }) {
      const peer = await open();
      await program.does("stop");
      peer.write(text("after"));
      await peer.leaves();
      await program.sees("stopped");
    },
    differs: [
      {
        because: GRACE,
        bun: ["called", "message after", "close 1000 ", "stopped"],
        tidewire: ["close 1001 ", "called", "stopped"],
      },
      { because: GRACE, bun: ["close 1000"], tidewire: ["close 1001"] },
    ],
  },
  "stop(true) with an open socket": {
    serve: commanded(stops),
    async drive({ program, open }) {
      const peer = await open();
      peer.write(text("before"));
      await program.sees("message");
      await program.does("force");
      await program.sees("stopped");
      await peer.until(() => peer.count("end") + peer.count("reset") > 0, "an end");
    },
  },
  "stop(true) inside a handler": {
    serve: (site) => ({
      websocket: {
        ...witness(site),
        message(ws) {
          site.server.stop(true).then(() => site.note("stopped"));
          site.note("called", ws.readyState, ws.send("x"));
        },
      },
    }),
    async drive({ program, open }) {
      const peer = await open();
      peer.write(text("go"));
      await program.sees("stopped");
      await peer.until(() => peer.count("end") + peer.count("reset") > 0, "an end");
    },
  },
  "what a server answers after stop(true)": {
    serve: commanded({
      force: (server) => server.stop(true),
      ask(server, { note, attempt }) {
        note(
          attempt(() => server.publish("room", "x")),
          attempt(() => server.subscriberCount("room")),
          server.pendingWebSockets,
          server.pendingRequests,
        );
      },
    }),
    async drive({ program, open }) {
      const peer = await open();
      await program.does("force");
      await peer.until(() => peer.count("end") + peer.count("reset") > 0, "an end");
      await program.does("ask");
    },
  },
  "pendingWebSockets": {
    serve: commanded({ count: (server, { note }) => note("open", server.pendingWebSockets) }),
    async drive({ program, open }) {
      await program.does("count");
      const [a, b] = [await open(), await open()];
      await program.does("count");
      a.write(close(1000));
      await a.sees("end");
      await program.does("count");
      b.reset();
      await program.sees("close", 2);
      await program.does("count");
    },
  },
  "pendingWebSockets inside the handlers": {
    serve: (site) => ({
      websocket: {
        open: () => site.note("open", site.server.pendingWebSockets),
        message: () => site.note("message", site.server.pendingWebSockets),
        close: () => site.note("close", site.server.pendingWebSockets),
      },
    }),
    writes: [text("x"), close(1000)],
    until: "end",
  },
  "reload exchanges the handlers of open sockets": {
    serve: (site) => ({
      websocket: { message: (ws, data) => ws.send(`old ${data}`), close: () => site.note("old close") },
      commands: {
        reload() {
          site.server.reload({
            fetch: () => new Response("new fetch"),
            websocket: { message: (ws, data) => ws.send(`new ${data}`), close: () => site.note("new close") },
          });
        },
      },
    }),
    async drive({ program, open, dial }) {
      const peer = await open();
      peer.write(text("1"));
      await peer.sees("text old");
      await program.does("reload");
      peer.write(text("2"));
      await peer.sees("text new");
      const other = await dial();
      other.ask("GET", "/");
      await other.sees("200");
    },
  },
  "reload without websocket": {
    serve: (site) => ({
      websocket: { message: (ws, data) => ws.send(`old ${data}`) },
      commands: { reload: () => site.note(typeof site.server.reload({ fetch: () => new Response("new fetch") })) },
    }),
    async drive({ program, open, dial }) {
      const peer = await open();
      await program.does("reload");
      peer.write(text("1"));
      await peer.sees("text old");
      const other = await dial();
      other.ask("GET", "/");
      await other.sees("200");
    },
  },
  "two servers keep their topics apart": {
    serve: (site) => {
      const second = site.serve({ port: 0, fetch: () => new Response("second"), websocket: {} });
      return {
        websocket: {
          open: (ws) => ws.subscribe("room"),
          message(ws) {
            site.note("second", second.publish("room", "never"), second.subscriberCount("room"));
            site.note("first", site.server.publish("room", "here"), site.server.subscriberCount("room"));
            second.stop(true);
          },
        },
      };
    },
    writes: [text("go")],
    until: "text here",
  },
  "a port that is taken": {
    serve: (site) => ({
      commands: {
        again: () =>
          site.note(
            site.attempt(() => site.serve({ port: site.server.port, hostname: "127.0.0.1", fetch: () => new Response() })),
          ),
      },
    }),
    async drive({ program }) {
      await program.does("again");
    },
  },
  "reusePort": {
    serve: (site) => ({
      reusePort: true,
      commands: {
        again() {
          const other = site.serve({
            port: site.server.port,
            hostname: "127.0.0.1",
            reusePort: true,
            fetch: () => new Response(),
          });
          site.note(other.port === site.server.port);
          other.stop(true);
        },
      },
    }),
    async drive({ program }) {
      await program.does("again");
    },
  },
  "a unix socket": {
    serve: ({ note, serve }) => {
      const { mkdtempSync } = require("node:fs");
      const path = `${mkdtempSync(`${require("node:os").tmpdir()}/tw-`)}/s`;
      const server = serve({ unix: path, fetch: () => new Response("over unix") });
      const socket = require("node:net").connect(path, () =>
        socket.end("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
      );
      let got = "";
      socket
        .on("data", (data) => (got += data))
        .on("close", () => {
          note(got.split("\r\n")[0], got.endsWith("over unix"), server.port, server.hostname);
          server.stop(true);
        });
      return {};
    },
    async drive({ program }) {
      await program.sees("HTTP");
    },
  },
};

"use strict";
// upgrade() as a call: when it may come, what it answers, and what runs inside it.

const { handshake } = require("../kit/peer.cjs");
const { text } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

/** A program whose fetch is given the site beside its own arguments. */
const fetching =
  (fetch, more = {}) =>
  (site) => ({ fetch: (req, server) => fetch(site, req, server), websocket: witness(site), ...more });

module.exports = {
  "open runs inside upgrade": {
    serve: fetching(({ note }, req, server) => {
      note("before");
      note("upgrade", server.upgrade(req));
    }),
    noted: "upgrade",
  },
  "a second upgrade of a request": {
    serve: fetching(({ note, attempt }, req, server) => {
      note("first", server.upgrade(req));
      note(
        "second",
        attempt(() => server.upgrade(req)),
      );
    }),
    noted: "second",
  },
  "a Response after an upgrade is ignored": {
    serve: fetching((site, req, server) => {
      server.upgrade(req);
      return new Response("ignored");
    }),
    writes: [text("still here")],
    noted: "message",
  },
  "upgrade after a microtask": {
    serve: fetching(async ({ note }, req, server) => {
      await null;
      note("upgrade", server.upgrade(req));
    }),
    noted: "upgrade",
  },
  "upgrade after a timer": {
    serve: fetching(async ({ note }, req, server) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      note("upgrade", server.upgrade(req));
    }),
    noted: "upgrade",
  },
  "upgrade from error()": {
    serve: (site) => {
      let request;
      return {
        fetch(req) {
          request = req;
          throw new Error("later");
        },
        error(error) {
          site.note("error", error.message);
          site.note(
            "upgrade",
            site.attempt(() => site.server.upgrade(request)),
          );
        },
        websocket: witness(site),
      };
    },
    noted: "upgrade",
  },
  "upgrade after a Response has been sent": {
    serve: ({ note, attempt, ...site }) => {
      let request;
      return {
        fetch(req) {
          request = req;
          return new Response("first");
        },
        commands: {
          upgrade: () =>
            note(
              "upgrade",
              attempt(() => site.server?.upgrade(request) ?? false),
            ),
        },
      };
    },
    async drive({ dial, program }) {
      const peer = await dial();
      peer.ask("GET", "/");
      await peer.sees("200");
      await program.does("upgrade");
    },
  },
  "a getter of data upgrades first": {
    serve: fetching(({ note }, req, server) => {
      const outer = server.upgrade(req, {
        get data() {
          note("inner", server.upgrade(req, { data: "inner" }));
          return "outer";
        },
      });
      note("outer", outer);
    }),
    noted: "outer",
  },
  "a getter of headers upgrades first": {
    serve: fetching(({ note }, req, server) => {
      const outer = server.upgrade(req, {
        data: "outer",
        get headers() {
          note("inner", server.upgrade(req, { data: "inner" }));
          return { "X-Outer": "1" };
        },
      });
      note("outer", outer);
    }),
    noted: "outer",
  },
  "a getter of data throws": {
    serve: fetching(({ note, attempt }, req, server) => {
      const options = {
        get data() {
          throw new RangeError("mine");
        },
      };
      note(
        "upgrade",
        attempt(() => server.upgrade(req, options)),
      );
      return new Response("survived");
    }),
  },
  "options of a wrong type": {
    serve: fetching(({ note, attempt }, req, server) => {
      for (const options of [1, "x", true])
        note(
          options,
          attempt(() => server.upgrade(req, options)),
        );
      return new Response("survived");
    }),
  },
  "undefined as options": {
    serve: fetching(({ note }, req, server) => note("upgrade", server.upgrade(req, undefined))),
    noted: "upgrade",
  },
  "a request that is none of the server's": {
    serve: fetching(({ note, attempt }, req, server) => {
      note(
        "foreign",
        attempt(() => server.upgrade(new Request("http://127.0.0.1/"))),
      );
      note(
        "none",
        attempt(() => server.upgrade()),
      );
      note(
        "null",
        attempt(() => server.upgrade(null)),
      );
      return new Response("survived");
    }),
  },
  "neither upgraded nor answered": { serve: fetching(() => undefined, { development: false }) },
  "frames that come while fetch waits": {
    serve: (site) => {
      let go;
      const told = new Promise((resolve) => (go = resolve));
      return {
        async fetch(req, server) {
          if (new URL(req.url).pathname === "/go") {
            go();
            return new Response("gone");
          }
          await told;
          site.note("upgrade", server.upgrade(req));
          return undefined;
        },
        websocket: witness(site),
      };
    },
    async drive({ dial, program }) {
      const [early, other] = [await dial(), await dial()];
      early.write(handshake(), text("early"));
      other.ask("GET", "/go");
      await other.sees("200");
      await program.sees("upgrade");
      await early.sees("");
      if (early.count("101") > 0) await program.sees("message");
    },
    differs: [
      { because: "early bytes kept", bun: ["upgrade false"], tidewire: ["open", "upgrade true", "message early", "close 1000 "] },
      { because: "early bytes kept", bun: ["400 {}", "end"], tidewire: ["101", "close 1000", "end"] },
    ],
  },
  "a throw after an upgrade": {
    serve: fetching(
      (site, req, server) => {
        server.upgrade(req);
        throw new Error("after");
      },
      { error: () => new Response("error", { status: 500 }) },
    ),
    writes: [text("still here")],
    noted: "message",
  },
  "the socket is closed inside open": {
    serve: ({ note }) => ({
      fetch: (req, server) => note("upgrade", server.upgrade(req)),
      websocket: {
        open(ws) {
          note("closing", ws.close(4000, "go"));
          note("closed", ws.readyState);
        },
        message: (ws, data) => note("message", data),
        close: (ws, code, reason) => note("close", code, reason),
      },
    }),
    async drive({ open }) {
      const peer = await open({ glued: [text("never")] });
      await peer.sees("close");
    },
  },
  "open sends before the answer is there": {
    serve: () => ({
      websocket: {
        open(ws) {
          ws.send("one");
          ws.send("two");
        },
      },
    }),
    until: "text two",
  },
};

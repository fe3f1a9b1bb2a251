"use strict";
// What runs when: microtasks, ticks and immediates between the events of a socket, and calls inside calls.

const { text, close, ping } = require("../kit/wire.cjs");

module.exports = {
  "microtasks and ticks between the messages of one read": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          note("message", data);
          process.nextTick(() => note("tick", data));
          Promise.resolve().then(() => note("microtask", data));
          queueMicrotask(() => note("queued", data));
        },
      },
    }),
    writes: [text("1"), text("2"), text("3")],
    noted: "queued 3",
  },
  "immediates come after the messages of one read": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          note("message", data);
          setImmediate(() => note("immediate", data));
        },
      },
    }),
    writes: [text("1"), text("2"), text("3")],
    noted: "immediate 3",
  },
  "an await in a handler goes on before the next message": {
    serve: ({ note }) => ({
      websocket: {
        async message(ws, data) {
          note("before", data);
          await null;
          note("after", data);
        },
      },
    }),
    writes: [text("1"), text("2")],
    noted: "after 2",
  },
  "microtasks of open run before a message that came with the handshake": {
    serve: ({ note }) => ({
      websocket: {
        open() {
          note("open");
          Promise.resolve().then(() => note("microtask of open"));
          process.nextTick(() => note("tick of open"));
        },
        message: (ws, data) => note("message", data),
      },
    }),
    async drive({ open, program }) {
      await open({ glued: [text("early")] });
      await program.sees("message");
      await program.sees("tick");
    },
  },
  "the close handler runs inside close": {
    serve: ({ note }) => ({
      websocket: {
        message(ws) {
          note("closing");
          Promise.resolve().then(() => note("microtask"));
          ws.close(1000, "enough");
          note("closed", ws.readyState);
        },
        close: (ws, code, reason) => note("close", code, reason, ws.readyState),
      },
    }),
    writes: [text("go")],
    noted: "microtask",
    until: "close",
  },
  "the close handler runs inside terminate": {
    serve: ({ note }) => ({
      websocket: {
        message(ws) {
          note("terminating");
          ws.terminate();
          note("terminated", ws.readyState);
        },
        close: (ws, code, reason) => note("close", code, reason, ws.readyState),
      },
    }),
    writes: [text("go")],
    noted: "terminated",
    until: "",
  },
  "a socket that its handler closes receives nothing more of the same read": {
    serve: ({ note }) => ({
      websocket: {
        message(ws, data) {
          note("message", data);
          if (data === "2") ws.close();
        },
        ping: () => note("ping"),
        close: (ws, code) => note("close", code),
      },
    }),
    writes: [text("1"), text("2"), text("3"), ping("x"), close(1000)],
    noted: "close",
    until: "close",
  },
  "close inside close does nothing": {
    serve: ({ note }) => ({
      websocket: {
        message: (ws) => ws.close(4001, "first"),
        close(ws, code, reason) {
          note("close", code, reason);
          ws.close(4002, "second");
          ws.terminate();
          note("sends", ws.send("late"));
        },
      },
    }),
    writes: [text("go")],
    until: "close",
  },
  "one socket's handler closes another": {
    serve: ({ note }) => {
      const sockets = {};
      return {
        fetch: (req, server) => void server.upgrade(req, { data: new URL(req.url).pathname }),
        websocket: {
          open: (ws) => (sockets[ws.data] = ws),
          message(ws, data) {
            note(ws.data, "closes", data);
            sockets[data].close(4000);
            note(ws.data, "has closed", data);
          },
          close: (ws, code) => note(ws.data, "close", code),
        },
      };
    },
    async drive({ open }) {
      const [a, b] = [await open({ path: "/a" }), await open({ path: "/b" })];
      a.write(text("/b"));
      await b.sees("close");
      await b.leaves();
    },
  },
  "what is sent before a close arrives before it": {
    serve: ({ note }) => ({
      websocket: {
        message(ws) {
          note(ws.send("one"), ws.send("two"));
          ws.close(1000, "bye");
        },
      },
    }),
    writes: [text("go")],
    until: "close",
  },
  "replies keep the order of what they answer": {
    serve: () => ({ websocket: { message: (ws, data) => ws.send(`re: ${data}`), ping: (ws, data) => ws.send(`ping: ${data}`) } }),
    writes: [text("1"), ping("p"), text("2")],
    until: "text re: 2",
  },
  "sent from a timer and after an await": {
    serve: () => ({
      websocket: {
        async message(ws) {
          await null;
          ws.send("after an await");
          setTimeout(() => ws.send("from a timer"), 1);
        },
      },
    }),
    writes: [text("go")],
    until: "text from a timer",
  },
};

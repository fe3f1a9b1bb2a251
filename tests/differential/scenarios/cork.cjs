"use strict";
// cork: its argument, its value, its exceptions, and that it runs whatever the socket's state is.

const { text } = require("../kit/wire.cjs");

/** A program whose socket does this when it is told to. */
const telling = (message, more = {}) => ({
  serve: (site) => ({
    websocket: { message: (ws, data) => message(site, ws, data), close: (ws, code) => site.note("close", code), ...more },
  }),
  writes: [text("go")],
  until: "text done",
});

module.exports = {
  "cork gives the socket and returns the value": telling(({ note }, ws) => {
    note(
      "value",
      ws.cork((inner) => (note("same", inner === ws), 7)),
    );
    note(
      "undefined",
      ws.cork(() => {}),
    );
    ws.send("done");
  }),
  "cork returns the promise of an async function": telling(async ({ note }, ws) => {
    const promise = ws.cork(async () => {
      await null;
      return "later";
    });
    note("promise", promise instanceof Promise, await promise);
    ws.send("done");
  }),
  "cork passes an exception on": telling(({ note }, ws) => {
    try {
      ws.cork(() => {
        ws.send("before the throw");
        throw new RangeError("mine");
      });
    } catch (error) {
      note("caught", error.message, error instanceof RangeError);
    }
    ws.send("done");
  }),
  "cork wants a function": telling(({ note, attempt }, ws) => {
    for (const wrong of [undefined, null, 1, "x", {}])
      note(
        wrong,
        attempt(() => ws.cork(wrong)),
      );
    ws.send("done");
  }),
  "cork inside cork": telling(({ note }, ws) => {
    ws.cork(() => {
      note(ws.send("outer"));
      ws.cork(() => note(ws.send("inner")));
      note(ws.send("outer again"));
    });
    ws.send("done");
  }),
  "cork when closed still calls": telling(({ note }, ws) => {
    ws.close();
    note(
      "value",
      ws.cork((inner) => (note("called", inner.readyState, inner.send("x")), "given")),
    );
  }),
  "a close inside cork": telling(({ note }, ws) => {
    note(
      "value",
      ws.cork(() => {
        note(ws.send("done"));
        ws.close(4000, "inside");
        note("state", ws.readyState, ws.send("late"));
        return 1;
      }),
    );
  }),
  "cork of one socket inside another's": {
    serve: ({ note }) => {
      const sockets = [];
      return {
        websocket: {
          open: (ws) => sockets.push(ws),
          message() {
            const [a, b] = sockets;
            a.cork(() => {
              note(a.send("a1"));
              b.cork(() => note(b.send("b1"), a.send("a2")));
              note(b.send("b2"), a.send("done"));
            });
            b.send("done");
          },
        },
      };
    },
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      a.write(text("go"));
      await a.sees("text done");
      await b.sees("text done");
    },
  },
};
for (const scenario of ["cork when closed still calls"]) module.exports[scenario].until = "close";

"use strict";
// What a program that uses the class WebSocket is told, and in which order: listeners and attributes, tasks and microtasks, calls
// from within events, the ends of a connection.

const { text, binary, close } = require("../kit/wire.cjs");

const bare = { mask: false };

const OURS = "tidewire on it";
const TASKS = "each event is a task of its own, so that what a listener has left to do is done before the next";
const PLACE = "an attribute that is replaced keeps its place among the listeners";
const COUNTED = "bufferedAmount counts what is sent after close";

/** A server that opens the connection, writes this and a Close once the program knows, and ends when the program has closed. */
const told = (client, writes = [], allowed = {}) => ({
  client,
  async drive({ accepted, program }) {
    const peer = await accepted();
    await peer.sees("GET");
    peer.switches();
    await program.sees("open");
    peer.write(...writes, close(1000, "", bare));
    await peer.until(() => peer.count("close") + peer.count("end") > 0, "a Close, or the end");
    peer.finish();
    await program.sees("close");
  },
  ...allowed,
});

/** A socket whose beginning and end are noted. */
function watched({ note, WebSocket, url }) {
  const ws = new WebSocket(url);
  ws.addEventListener("open", () => note("open", ws.readyState));
  ws.addEventListener("close", ({ code, reason, wasClean }) => note("close", code, reason, wasClean, ws.readyState));
  ws.addEventListener("error", () => note("error"));
  return ws;
}

module.exports = {
  "listeners and attributes in the order in which they were added": told((site) => {
    const ws = watched(site);
    const say = (words) => () => site.note(words);
    ws.addEventListener("message", say("first"));
    ws.onmessage = say("attribute");
    ws.addEventListener("message", say("second"));
    ws.onmessage = say("attribute, replaced");
    ws.addEventListener("message", say("once"), { once: true });
    const removed = say("removed");
    ws.addEventListener("message", removed);
    ws.removeEventListener("message", removed);
    ws.addEventListener("message", { handleEvent: say("object") });
    const controller = new AbortController();
    ws.addEventListener("message", say("until aborted"), { signal: controller.signal });
    ws.addEventListener("message", () => controller.abort());
  }, [text("one", bare), text("two", bare)], {
    fromNode: [
      { because: PLACE, node: ["second", "attribute, replaced"], [OURS]: ["attribute, replaced", "second"] },
      { because: PLACE, node: ["second", "attribute, replaced"], [OURS]: ["attribute, replaced", "second"] },
    ],
  }),
  "an attribute that is taken away and set again goes to the end": told((site) => {
    const ws = watched(site);
    const say = (words) => () => site.note(words);
    ws.onmessage = say("attribute");
    ws.addEventListener("message", say("listener"));
    ws.onmessage = null;
    ws.onmessage = say("attribute again");
    site.note(typeof ws.onmessage, ws.onopen === null, ws.onclose === null, ws.onerror === null);
    ws.onmessage = "nothing that can be called";
    site.note(ws.onmessage === null);
    ws.onmessage = say("attribute for the third time");
  }, [text("one", bare)]),
  "microtasks and nextTick run between the messages of one read": told((site) => {
    const ws = watched(site);
    ws.addEventListener("message", ({ data }) => {
      site.note(data);
      Promise.resolve().then(() => site.note("microtask of", data));
      process.nextTick(() => site.note("tick of", data));
    });
  }, [text("one", bare), text("two", bare)], {
    fromNode: [
      {
        because: TASKS,
        node: ["one", "two", "tick of one", "tick of two", "microtask of one", "microtask of two"],
        [OURS]: ["one", "tick of one", "microtask of one", "two", "tick of two", "microtask of two"],
      },
    ],
  }),
  "a listener that throws is heard of, and the others are called": told((site) => {
    const ws = watched(site);
    ws.addEventListener("message", () => {
      throw new Error("mine");
    });
    ws.addEventListener("message", ({ data }) => site.note("second", data));
  }, [text("one", bare), text("two", bare)], {
    differs: ["one", "two"].map((data) => ({
      because: "EventTarget is the runtime's own",
      bun: ["uncaught mine", `second ${data}`],
      tidewire: [`second ${data}`, "uncaught mine"],
    })),
    fromNode: [{ because: TASKS, node: ["second two", "uncaught mine"], [OURS]: ["uncaught mine", "second two"] }],
  }),
  "close in a message, and no more of the same read": told((site) => {
    const ws = watched(site);
    ws.addEventListener("message", ({ data }) => {
      site.note(data, ws.readyState);
      ws.close(3000, "enough");
      site.note("closing", ws.readyState);
      ws.close(3001, "again");
    });
  }, [text("one", bare), text("two", bare)]),
  "what is sent after close is counted, and not sent": told((site) => {
    const ws = watched(site);
    ws.addEventListener("open", () => {
      ws.close(1000);
      ws.send("12345");
      ws.send(new Uint8Array(3));
      site.note("waits", ws.bufferedAmount >= 8, ws.readyState);
    });
    ws.addEventListener("close", () => {
      ws.send("late");
      site.note("waits", ws.bufferedAmount >= 12, ws.readyState);
      ws.close();
      site.note(ws.readyState);
    });
  }, [], {
    fromNode: [
      { because: COUNTED, node: ["waits false 2"], [OURS]: ["waits true 2"] },
      { because: COUNTED, node: ["waits false 3"], [OURS]: ["waits true 3"] },
    ],
  }),
  "send before open throws": told((site) => {
    const ws = watched(site);
    const error = site.attempt(() => ws.send("early"));
    site.note(error.name, error instanceof DOMException, ws.readyState);
  }),
  "listeners that are added later, before the event": told((site) => {
    const { note, WebSocket, url } = site;
    const ws = new WebSocket(url);
    note(ws.readyState);
    Promise.resolve().then(() => {
      ws.onopen = () => {
        note("open");
        Promise.resolve().then(() => (ws.onmessage = ({ data }) => note("message", data)));
      };
    });
    ws.addEventListener("close", () => note("close"));
  }, [text("one", bare)]),
  "what events are": told((site) => {
    const ws = new site.WebSocket(site.url);
    for (const type of ["open", "message", "close"])
      ws.addEventListener(type, (event) => {
        site.note(event.type, event instanceof Event, event.target === ws, event.currentTarget === ws);
        site.note(event.bubbles, event.cancelable, event.defaultPrevented);
        if (type === "message") {
          const { constructor, origin, lastEventId, source, ports } = event;
          site.note(constructor.name, event instanceof MessageEvent, origin === ws.url.slice(0, -1), lastEventId, source, ports.length);
        }
      });
  }, [text("one", bare)]),
  "binary messages in each form": told((site) => {
    const ws = watched(site);
    const kinds = ["arraybuffer", "blob", "arraybuffer"];
    ws.binaryType = kinds.shift();
    ws.addEventListener("message", ({ data }) => {
      site.note(Object.prototype.toString.call(data), data.byteLength ?? data.size);
      ws.binaryType = kinds.shift();
    });
  }, [binary([1, 2, 3], bare), binary([4], bare), binary("", bare)]),
  "what a socket is": told((site) => {
    const { note, attempt, WebSocket } = site;
    const ws = watched(site);
    note(WebSocket.name, WebSocket.length, Object.prototype.toString.call(ws), ws instanceof EventTarget);
    note(WebSocket.CONNECTING, WebSocket.OPEN, ws.CLOSING, ws.CLOSED, WebSocket.prototype.OPEN);
    note(ws.url.replace(/:\d+/, ""), ws.protocol, ws.extensions, ws.bufferedAmount, ws.readyState);
    note(attempt(() => WebSocket(site.url)), attempt(() => new WebSocket()));
    for (const name of ["url", "readyState", "protocol"]) note(attempt(() => (ws[name] = "mine")));
    note(ws.url.replace(/:\d+/, ""), ws.readyState, ws.protocol);
  }),
  "subprotocols that cannot be offered": {
    client({ WebSocket, note, attempt }) {
      for (const given of ["", "a b", "a,b", ["a", "a"], ["a", "A"], ["ok", "\u00fc"], "\r\n"])
        note(given, attempt(() => new WebSocket("ws://127.0.0.1:1", given))?.name);
    },
    async drive({ program }) {
      await program.until(() => program.entries.length >= 7, "all of them");
    },
  },
  "close while connecting": {
    client(site) {
      const ws = watched(site);
      ws.addEventListener("error", () => site.note("in error", ws.readyState));
      ws.close();
      site.note("closing", ws.readyState);
    },
    async drive({ runtime, program }) {
      if (runtime === "node") await program.sees("error", 2);
      else await program.sees("close");
    },
    fromNode: [
      {
        because: "what could not be opened has a close event, behind the error, and is CLOSED in both",
        node: ["error", "in error 0", "closing 2", "error", "in error 2"],
        [OURS]: ["closing 2", "error", "in error 3", "close 1006  false 3"],
      },
    ],
  },
};

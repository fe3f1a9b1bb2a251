"use strict";
// Topics: who gets what, in which order, and what publish answers.

const { text, binary, ping, close } = require("../kit/wire.cjs");

/** A program whose sockets do what they are told, by a table of words. */
const obeying =
  (table, more = () => ({})) =>
  (site) => ({
    websocket: { message: (ws, data) => void table[data](ws, site), ...more(site) },
  });

const NUMBERS = {
  join: (ws) => ws.subscribe("room"),
  say: (ws, { note }) => note(ws.publish("room", "hello"), ws.publish("room", ""), ws.publish("room", "é")),
  nobody: (ws, { note }) => note(ws.publish("nowhere", "hello"), ws.publish("nowhere", "")),
};

/** Joins so many clients, and has the first say something. */
const said = (words, joining) => ({
  serve: obeying(NUMBERS),
  async drive({ open, program }) {
    const peers = [];
    for (const joins of joining) {
      const peer = await open();
      peers.push(peer);
      if (joins) peer.write(text("join"));
    }
    await settled(peers);
    for (const word of words) peers[0].write(text(word));
    await program.until(() => program.entries.length === words.length, "every answer");
  },
});

/** Waits until everything that was written before has been handled: each asks for an answer to a ping. */
async function settled(peers) {
  for (const peer of peers) {
    const before = peer.count("pong");
    peer.write(ping("settled"));
    await peer.sees("pong", before + 1);
  }
}

module.exports = {
  "publish to nobody": said(["nobody"], [false]),
  "publish when only oneself is subscribed": said(["say"], [true]),
  "publish to one other": said(["say"], [true, true]),
  "publish to several": said(["say"], [true, true, true, true]),
  "publish to others without being subscribed": said(["say"], [false, true]),
  "publishToSelf": {
    ...said(["say"], [true, true]),
    serve: obeying(NUMBERS, () => ({ publishToSelf: true })),
  },
  "publishToSelf when only oneself is subscribed": {
    ...said(["say"], [true]),
    serve: obeying(NUMBERS, () => ({ publishToSelf: true })),
  },
  "publishToSelf does not reach who is not subscribed": {
    ...said(["say"], [false, true]),
    serve: obeying(NUMBERS, () => ({ publishToSelf: true })),
  },
  "subscribe, unsubscribe and subscriptions": {
    serve: obeying({
      go(ws, { note, attempt }) {
        note(ws.subscriptions, ws.isSubscribed("a"), ws.unsubscribe("a"));
        note(ws.subscribe("a"), ws.subscribe("a"), ws.subscribe("b"), ws.isSubscribed("a"), ws.isSubscribed("c"));
        note([...ws.subscriptions].sort());
        note(ws.unsubscribe("a"), ws.unsubscribe("a"), ws.isSubscribed("a"), ws.subscriptions);
        note(ws.subscribe("é/#+*"), ws.isSubscribed("é/#+*"), [...ws.subscriptions].sort());
        note(
          attempt(() => ws.subscribe("")),
          attempt(() => ws.unsubscribe("")),
          attempt(() => ws.isSubscribed("")),
        );
        ws.send("done");
      },
    }),
    writes: [text("go")],
    until: "text done",
  },
  "topics that are no strings": {
    serve: obeying({
      go(ws, { note, attempt }) {
        for (const topic of [undefined, null, 1, {}])
          note(
            String(topic),
            attempt(() => ws.subscribe(topic)),
          );
        for (const topic of [undefined, null])
          note(
            String(topic),
            attempt(() => ws.publish(topic, "x")),
          );
        note(
          attempt(() => ws.publish("topic")),
          attempt(() => ws.publish("topic", null)),
          attempt(() => ws.publish("", "x")),
        );
        ws.send("done");
      },
    }),
    writes: [text("go")],
    until: "text done",
  },
  "publish of a socket that has ended": {
    serve: (site) => {
      let ended;
      return {
        websocket: {
          open: (ws) => ws.subscribe("room"),
          message(ws, data) {
            if (data === "end") {
              ended = ws;
              ws.close();
              return site.note("at once", ws.publish("room", "one"));
            }
            site.note(
              "later",
              ended.publish("room", "two"),
              ended.publishText("room", "three"),
              ended.publishBinary("room", new Uint8Array(1)),
            );
            return ws.send("done");
          },
          close: (ws) => site.note("inside", ws.publish("room", "zero")),
        },
      };
    },
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      await settled([b]);
      a.write(text("end"));
      await a.sees("end");
      b.write(text("go"));
      await b.sees("text done");
    },
  },
  "topics are not patterns": {
    serve: obeying({
      wild: (ws) => [ws.subscribe("#"), ws.subscribe("a/+"), ws.subscribe("a/*")],
      go(ws, { note }) {
        note(ws.publish("a/b", "x"), ws.publish("a/+", "exactly"));
        ws.send("done");
      },
    }),
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      b.write(text("wild"));
      await settled([b]);
      a.write(text("go"));
      await a.sees("text done");
      await b.sees("text exactly");
    },
  },
  "publish, then unsubscribe: it arrives": {
    serve: obeying({
      go(ws, { server, note }) {
        ws.subscribe("room");
        note(server.publish("room", "before"));
        ws.unsubscribe("room");
        note(server.publish("room", "after"));
        ws.send("done");
      },
    }),
    writes: [text("go")],
    until: "text done",
  },
  "unsubscribe, then publish: it does not arrive": {
    serve: obeying({
      join: (ws) => ws.subscribe("room"),
      go(ws, { server, note }) {
        note(ws.unsubscribe("room"), server.publish("room", "never"), ws.subscribe("room"), server.publish("room", "again"));
        ws.send("done");
      },
    }),
    writes: [text("join"), text("go")],
    until: "text done",
  },
  "sends and publishes keep their order": {
    serve: obeying({
      go(ws, { server }) {
        ws.subscribe("room");
        ws.send("1");
        server.publish("room", "2");
        ws.send("3");
        server.publish("room", new Uint8Array([4]));
        ws.send("done");
      },
    }),
    writes: [text("go")],
    until: "text done",
  },
  "publish in open": {
    serve: (site) => ({
      websocket: {
        open(ws) {
          ws.subscribe("room");
          site.note(ws.publish("room", "somebody came"));
        },
      },
    }),
    async drive({ open }) {
      const a = await open();
      await open();
      await a.sees("text somebody came");
    },
  },
  "publish in close": {
    serve: obeying({ join: (ws) => ws.subscribe("room") }, (site) => ({
      close(ws, code) {
        site.note("close", code, ws.publish("room", "of a socket"), site.server.publish("room", "of the server"));
      },
    })),
    async drive({ open, program }) {
      const [a, b] = [await open(), await open()];
      a.write(text("join"));
      b.write(text("join"));
      await settled([a, b]);
      b.write(close(1000));
      await program.sees("close");
      await a.sees("text of the server");
    },
  },
  "server.publish and its numbers": {
    serve: obeying({
      join: (ws) => ws.subscribe("room"),
      go(ws, { server, note, attempt }) {
        note(server.publish("room", "text"), server.publish("room", new Uint8Array([1, 2])), server.publish("room", ""));
        note(
          server.publish("nowhere", "text"),
          attempt(() => server.publish("", "x")),
          attempt(() => server.publish("room")),
        );
        ws.send("done");
      },
    }),
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      a.write(text("join"));
      b.write(text("join"));
      await settled([a, b]);
      a.write(text("go"));
      await a.sees("text done");
      await b.sees("text", 2);
    },
  },
  "subscriberCount": {
    serve: obeying(
      {
        join: (ws, { server, note }) => note(ws.subscribe("room"), server.subscriberCount("room")),
        leave: (ws, { server, note }) => note(ws.unsubscribe("room"), server.subscriberCount("room")),
        wrong: (ws, { server, note, attempt }) =>
          note(
            server.subscriberCount("nowhere"),
            attempt(() => server.subscriberCount()),
          ),
      },
      (site) => ({ close: () => site.note("close", site.server.subscriberCount("room")) }),
    ),
    async drive({ open, program }) {
      const [a, b, c] = [await open(), await open(), await open()];
      for (const peer of [a, b, c]) {
        peer.write(text("join"));
        await settled([peer]);
      }
      a.write(text("leave"), text("wrong"));
      await settled([a]);
      b.reset();
      await program.sees("close");
      c.write(close(1000));
      await program.sees("close", 2);
    },
  },
  "publishText and publishBinary": {
    serve: obeying({
      join: (ws) => ws.subscribe("room"),
      go(ws, { note, attempt }) {
        note(ws.publishText("room", "text"), ws.publishBinary("room", new Uint8Array([1, 2])));
        note(
          attempt(() => ws.publishText("room", new Uint8Array(1))),
          attempt(() => ws.publishBinary("room", "text")),
        );
        ws.send("done");
      },
    }),
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      b.write(text("join"));
      await settled([b]);
      a.write(text("go"));
      await a.sees("text done");
      await b.sees("binary 0102");
    },
  },
  "published binary of every kind": {
    serve: obeying({
      join: (ws) => ws.subscribe("room"),
      go(ws, { note }) {
        const bytes = Uint8Array.from([1, 2, 3, 4]);
        note(ws.publish("room", bytes), ws.publish("room", bytes.buffer), ws.publish("room", bytes.subarray(1, 3)));
        note(ws.publish("room", Buffer.from("buffer")), ws.publish("room", new DataView(bytes.buffer, 2)));
        ws.send("done");
      },
    }),
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      b.write(text("join"));
      await settled([b]);
      a.write(text("go"));
      await b.sees("binary", 5);
    },
  },
  "a handler of one socket subscribes another": {
    serve: (site) => {
      const sockets = [];
      return {
        websocket: {
          open: (ws) => sockets.push(ws),
          message(ws) {
            site.note(sockets[1].subscribe("room"), ws.publish("room", "for b"));
          },
        },
      };
    },
    async drive({ open }) {
      const [a, b] = [await open(), await open()];
      a.write(binary([1]));
      await b.sees("text for b");
    },
  },
};

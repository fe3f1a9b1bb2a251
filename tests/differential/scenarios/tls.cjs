"use strict";
// The same through TLS.

const { certificate } = require("../../../node/test/certificates.cjs");
const { handshake } = require("../kit/peer.cjs");
const { text, binary } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");

const SECURE = { secure: true, servername: "localhost" };
const own = () => {
  const { cert, key } = certificate(["localhost"]);
  return { cert, key };
};

module.exports = {
  "an echo": {
    serve: () => ({ tls: own(), websocket: { message: (ws, data) => void ws.send(data) } }),
    async drive({ open }) {
      const peer = await open({ to: SECURE, traced: true });
      peer.write(text("hello"), binary(Buffer.alloc(100_000, 1)));
      await peer.sees("binary");
    },
  },
  "frames that come with the request": {
    serve: (site) => ({ tls: own(), websocket: witness(site) }),
    async drive({ open, program }) {
      await open({ to: SECURE, glued: [text("a"), text("b")] });
      await program.sees("message b");
    },
  },
  "the head comes in single bytes": {
    serve: (site) => ({ tls: own(), websocket: witness(site) }),
    async drive({ dial, program }) {
      const peer = await dial(SECURE);
      await peer.trickle(handshake());
      await peer.sees("101");
      await peer.trickle(text("hi"));
      await program.sees("message");
    },
  },
  "what a request and its server say of it": {
    serve: ({ note }) => ({
      tls: own(),
      fetch(req, server) {
        note(new URL(req.url).protocol, server.protocol, server.url.protocol, server.requestIP(req).address);
        return new Response("secure");
      },
    }),
    async drive({ dial }) {
      const peer = await dial(SECURE);
      peer.ask("GET", "/");
      await peer.sees("200");
    },
  },
  "a large body both ways": {
    serve: () => ({ tls: own(), fetch: async (req) => new Response((await req.text()).repeat(2)) }),
    async drive({ dial }) {
      const peer = await dial(SECURE);
      peer.ask("POST", "/", { body: "x".repeat(300_000) });
      await peer.sees("200");
    },
  },
  "what is wrong about keys": {
    serve: ({ note, attempt, serve }) => {
      for (const tls of [
        { key: "x", cert: "y" },
        { key: own().key, cert: own().cert },
      ]) {
        const server = attempt(() => serve({ port: 0, tls, fetch: () => new Response() }));
        note(server instanceof Error ? "refused" : "accepted");
        if (!(server instanceof Error)) server.stop(true);
      }
      return {};
    },
    async drive({ program }) {
      await program.until(() => program.entries.length === 2, "all of them");
    },
  },
};

"use strict";
// The same through TLS.

const https = require("node:https");
const { certificate } = require("../../../node/test/certificates.cjs");
const { handshake } = require("../kit/peer.cjs");
const { text, binary } = require("../kit/wire.cjs");
const { witness } = require("../kit/programs.cjs");
const { PATIENCE } = require("../kit/trace.cjs");

const SECURE = { secure: true, servername: "localhost" };
const own = () => {
  const { cert, key } = certificate(["localhost"]);
  return { cert, key };
};

/** One request through TLS: whom the server shows that it is and what it answers, or that it refuses. */
function asks(port, { servername = "localhost", cert, key } = {}) {
  return new Promise((resolve) => {
    const options = { port, host: "127.0.0.1", servername, cert, key, agent: false, rejectUnauthorized: false };
    const request = https.get({ ...options, signal: AbortSignal.timeout(PATIENCE) }, (response) => {
      const { subjectaltname } = response.socket.getPeerCertificate();
      response.resume().on("end", () => resolve(`${subjectaltname} ${response.statusCode}`));
    });
    request.on("error", ({ name }) => resolve(name === "AbortError" ? "silence" : "refused"));
  });
}

const pair = ({ cert, key }) => ({ cert, key });

/** A server that deals with clients' certificates in some way, and clients of all kinds. */
const members = (how) => ({
  serve: () => {
    const authority = certificate(["our authority"], { authority: true });
    const member = certificate(["member"], { issuer: authority });
    return {
      tls: { ...own(), ca: authority.cert, ...how },
      fetch: (req, server) => (server.upgrade(req) ? undefined : new Response("x")),
      websocket: { message: (ws, data) => void ws.send(data) },
      commands: { issue: () => JSON.stringify(pair(member)) },
    };
  },
  async drive({ port, program }) {
    const kinds = { member: JSON.parse(await program.does("issue")), stranger: pair(certificate(["stranger"])), nobody: {} };
    for (const [kind, mine] of Object.entries(kinds)) program.add(`${kind}: ${await asks(port, mine)}`);
  },
});

/** A server with several certificates, and clients that ask for these names. */
const named = (tls, ...names) => ({
  serve: () => ({ tls: tls((name) => pair(certificate([name]))), fetch: () => new Response("x") }),
  async drive({ port, program }) {
    for (const servername of names) program.add(`${servername || "no name"}: ${await asks(port, { servername })}`);
  },
});

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
  "a certificate for each name": named(
    (of) => ["one.example", "two.example"].map((name) => ({ ...of(name), serverName: name })),
    "one.example",
    "two.example",
    "ONE.example",
    "other.example",
    "",
  ),
  "one certificate in an array": named((of) => [{ ...of("one.example"), serverName: "one.example" }], "one.example", "other.example"),
  "a name that is not the certificate's": named(
    (of) => [of("one.example"), { ...of("two.example"), serverName: "other.example" }],
    "one.example",
    "two.example",
    "other.example",
  ),
  "clients need a certificate": members({ requestCert: true, rejectUnauthorized: true }),
  "clients are asked for a certificate, and need none": members({ requestCert: true, rejectUnauthorized: false }),
  "an authority, and nobody is asked": members({}),
  "clients need a certificate by default once they are asked": members({ requestCert: true }),
  "a socket of a client with a certificate": {
    ...members({ requestCert: true, rejectUnauthorized: true }),
    async drive({ open, program }) {
      const peer = await open({ to: { ...SECURE, ...JSON.parse(await program.does("issue")) } });
      peer.write(text("hello"));
      await peer.sees("text hello");
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

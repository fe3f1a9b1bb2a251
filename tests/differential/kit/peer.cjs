"use strict";
// The other end of a connection, down to its bytes: what is written in one write, what is read and when, and how it ends.

const net = require("node:net");
const tls = require("node:tls");
const { once } = require("node:events");
const { createHash } = require("node:crypto");
const http = require("./http.cjs");
const { Frames, close } = require("./wire.cjs");
const { Trace, PATIENCE } = require("./trace.cjs");

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** What a key is answered with (RFC 6455, section 4.2.2). */
const accept = (key) => createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

/** A request head. Headers are a flat list of lines, so that they can be repeated, missing or wrong. */
const request = (method, path, lines) => Buffer.from([`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"), "latin1");

/** The request of a WebSocket client. A header that is null is left out, one that is a list is repeated. */
function handshake(path = "/", headers = {}) {
  const all = {
    Host: "example.test",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((one) => `${name}: ${one}`),
  );
  return request("GET", path, lines);
}

/** One end of a TCP connection, as a client of a server or as a server of a client. */
class Peer extends Trace {
  #socket;
  #bytes = Buffer.alloc(0);
  /** What the next bytes are: "response", "request" or "frames". */
  #stage;
  #frames = new Frames();
  #bodiless = [];
  #allHeaders = false;
  #answer = false;
  #ended = false;
  #gone = false;
  #half = false;
  #finished = false;

  constructor(name, socket, stage) {
    super(name);
    this.#socket = socket;
    this.#stage = stage;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#read(bytes));
    socket.on("end", () => this.#end("end"));
    socket.on("error", (error) => this.#end(error.code === "ECONNRESET" || error.code === "EPIPE" ? "reset" : String(error)));
  }

  /** Connects; `secure` through TLS, whoever the other side says it is. */
  static async dial(name, { secure = false, ...to }) {
    const options = { ...to, allowHalfOpen: true };
    const socket = secure ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
    await once(socket, secure ? "secureConnect" : "connect", { signal: AbortSignal.timeout(PATIENCE) });
    return new Peer(name, socket, "response");
  }

  /** Everything in one write. */
  write(...parts) {
    this.#socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  /** Each byte in a write of its own. */
  async trickle(...parts) {
    for (const byte of Buffer.concat(parts.map((part) => Buffer.from(part)))) {
      await new Promise((resolve) => this.#socket.write(Buffer.from([byte]), resolve));
    }
  }

  /** A plain request; its response is traced when it is whole. `all`: with the headers that are left out else. */
  ask(method, path, { headers = {}, body = "", all = false, host = "example.test" } = {}) {
    const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}`);
    if (body) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    this.#bodiless.push(method === "HEAD");
    this.#allHeaders = all;
    this.write(request(method, path, lines), body);
  }

  /** Sends a handshake, and frames with it; waits for the answer. `traced`: with the headers of a 101. */
  async upgrade({ path, headers, glued = [], traced = false } = {}) {
    this.#answer = traced;
    this.write(handshake(path, headers), ...glued);
    await this.until(() => this.#stage === "frames" || this.entries.length > 0, "an answer to its handshake");
    return this;
  }

  /** Answers the handshake that a client has sent, with these headers beside the usual ones. */
  switches(headers = {}, ...glued) {
    const all = {
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Accept": accept(this.head.get("sec-websocket-key")),
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : `${name}: ${value}`));
    this.#stage = "frames";
    this.write(Buffer.from(["HTTP/1.1 101 Switching Protocols", ...lines, "", ""].join("\r\n")), ...glued);
    this.#parse(); // what came behind the request
  }

  /** Stops reading, so that the other side's bytes back up. */
  stall() {
    this.#socket.pause();
  }

  flow() {
    this.#socket.resume();
  }

  /** Says that no more bytes will come (FIN) and goes on reading. */
  finish() {
    this.#finished = true;
    this.#socket.end();
  }

  /** Ends as a machine that dies: RST. */
  reset() {
    this.#gone = true;
    this.#socket.resetAndDestroy();
  }

  /** From now on an end of the other side is not answered with one's own. */
  halfOpen() {
    this.#half = true;
  }

  /** Closes in good order, unless the connection has ended already; everything that came before has been traced then. */
  async leaves(...last) {
    if (this.#gone) return;
    if (this.#stage === "frames" && !this.#finished && this.count("close") === 0) this.write(...last, close(1000));
    else this.finish();
    await this.until(() => this.#ended, "the end of its connection");
  }

  destroy() {
    this.#gone = true;
    this.#socket.destroy();
  }

  #end(how) {
    if (this.#ended || this.#gone) return;
    this.#ended = true;
    this.#parse();
    this.add(how);
    if (!this.#half) {
      this.#gone = true;
      this.#socket.end();
    }
  }

  /** What has come of a response that is not whole yet. */
  get received() {
    return this.#bytes.toString("latin1");
  }

  #read(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.changed();
    this.#parse();
  }

  #parse() {
    while (this.#stage !== "frames") if (!this.#parseHead()) return;
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    for (const said of this.#frames.push(bytes)) this.add(said);
  }

  /** Takes a request or response off the bytes; false when it is not whole. */
  #parseHead() {
    const [head, rest] = http.head(this.#bytes) ?? [];
    if (head === undefined) return false;
    if (this.#stage === "request") return this.#requested(head, rest);
    if (head.status === 101) {
      this.#stage = "frames";
      this.#bytes = rest;
      this.add(this.#answer ? `101 {${head.words(true)}}` : "101");
      return true;
    }
    const [content, behind] = http.body(head, rest, { bodiless: this.#bodiless[0], ended: this.#ended }) ?? [];
    if (content === undefined) return false;
    if (head.status >= 200) this.#bodiless.shift();
    this.#bytes = behind;
    this.add(http.response(head, content, this.#allHeaders));
    return true;
  }

  /** A client's request: what its key is has to be answered, not compared. */
  #requested(head, rest) {
    this.head = head;
    this.#bytes = rest;
    const words = head
      .words(true)
      .replace(/(sec-websocket-key): [^;]+/, "$1: KEY")
      .replace(/(host): [^;]+/, "$1: HOST");
    this.add(`${head.first} {${words}}`);
    return false;
  }
}

module.exports = { Peer, handshake, request, accept, KEY };

"use strict";
// serve(): a server of the engine, and the calls between it and the application.

const { getSystemErrorName } = require("node:util");
const native = require("./native.cjs");
const { invalid, shown } = require("./errors.cjs");
const { waits, later } = require("./blobs.cjs");
const { payload, copied, received } = require("./data.cjs");
const { read, reread, limits } = require("./options.cjs");
const { bodyArrived } = require("./body.cjs");
const { Exchange, answerTo } = require("./exchange.cjs");
const { bodyTaken } = require("./sending.cjs");
const { LazyRequest, peerGone } = require("./request.cjs");
const { flatHeaders } = require("./response.cjs");
const { run, handle, possible, settle } = require("./run.cjs");
const { ServerWebSocket } = require("./socket.cjs");

/** How long a graceful stop waits for its sockets, in seconds. */
const PATIENCE = 10;

/** Open sockets, of all servers, by the numbers that the addon gives them. */
const sockets = [];
let lastAddress;

class Server {
  #options;
  #number;
  #port;
  /** What its requests know of it. */
  #origin;
  /** What the upgrade that is under way attaches. */
  #data;
  #stopped;
  #resolve;
  /** Sockets whose close handlers run: pendingWebSockets counts them, as Bun's does. */
  #closing = 0;

  constructor(given) {
    const options = read(given);
    this.#options = options;
    this.#number = listening(
      {
        fetch: (number, method, target, headers, address, port, hasBody) => {
          const request = new LazyRequest(this.#origin, number, method, target, headers, hasBody, address, port);
          new Exchange(this, this.#options, this.#number, number, request).begin(method, target);
        },
        body: (number, piece) => bodyArrived(this.#number, number, piece),
        room: (number, room) => bodyTaken(this.#number, number, room),
        gone: (number, left) => peerGone(this.#number, number, left),
        open: (seat, address) => this.#open(seat, address),
        message: (seat, data) => this.#message(sockets[seat], data),
        run: possible ? (seat, ...messages) => handle(sockets[seat], messages, !waits(sockets[seat]), this.#deliver) : undefined,
        drain: (seat) => this.#call("drain", sockets[seat]),
        close: (seat, code, reason) => this.#close(seat, code, reason),
        ping: (seat, data) => this.#control("ping", sockets[seat], data),
        pong: (seat, data) => this.#control("pong", sockets[seat], data),
        stopped: () => this.#end(),
        // Only where the addon cannot have the runtime do it: see node/src/driver.rs.
        ticks: settle,
      },
      options.place,
      limits(options),
      options.tls,
    );
    this.#port = native.port(this.#number);
    this.#origin = { number: this.#number, authority: this.#authority(), protocol: this.protocol, host: undefined };
    this.#stopped = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get port() {
    return this.#port;
  }

  get hostname() {
    return this.#options.place.unix === undefined ? this.#options.place.hostname : undefined;
  }

  get url() {
    return new URL(this.#options.place.unix === undefined ? `${this.protocol}://${this.#authority()}/` : `unix://${this.#options.place.unix}`);
  }

  get protocol() {
    return this.#options.tls === undefined ? "http" : "https";
  }

  get development() {
    return this.#options.development;
  }

  get id() {
    return this.#options.id;
  }

  get pendingWebSockets() {
    return (native.population(this.#number, true) ?? 0) + this.#closing;
  }

  get pendingRequests() {
    return native.population(this.#number, false) ?? 0;
  }

  #authority() {
    const { hostname } = this.#options.place;
    const name = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname.includes(":") ? `[${hostname}]` : hostname;
    return `${name}:${this.#port}`;
  }

  /** Compresses, where that was agreed on, unless it is asked not to: so does Bun. */
  publish(topic, data, compress = true) {
    if (typeof topic !== "string" || topic === "") throw new TypeError("publish expects a topic: a string that is not empty");
    if (data instanceof Blob || waits(this)) {
      const act = (given) => native.serverPublish(this.#number, topic, given, Boolean(compress));
      return later(this, data instanceof Blob ? data : payload(data, "publish"), act);
    }
    return native.serverPublish(this.#number, topic, payload(data, "publish"), Boolean(compress)) ?? 0;
  }

  subscriberCount(topic) {
    if (typeof topic !== "string") throw new TypeError("subscriberCount expects a topic: a string");
    return native.subscriberCount(this.#number, topic) ?? 0;
  }

  upgrade(request, options = {}) {
    const number = LazyRequest.number(request);
    if (number === undefined) {
      // It came on no connection: server.fetch() was called with it.
      if (request instanceof Request) return false;
      throw new TypeError("upgrade expects the request that fetch was given");
    }
    if (!this.#options.upgrades) throw invalid("upgrade: this server has no handlers for WebSockets; give serve a `websocket: { message(ws, data) {} }`");
    if (typeof options !== "object") throw invalid(`upgrade expects an object of options {data, headers}, not ${shown(options)}`);
    // Getters may run code, and even upgrade the same request: they come first.
    const { data, headers: added } = options ?? {};
    const headers = upgradeHeaders(added);
    const before = this.#data;
    this.#data = data;
    try {
      const upgraded = native.upgrade(this.#number, number, headers) ?? false;
      if (upgraded) LazyRequest.upgraded(request);
      return upgraded;
    } finally {
      this.#data = before;
    }
  }

  /** Answers a request without a connection: by `routes` and `fetch`, as one from the network. */
  async fetch(request) {
    if (typeof request !== "string" && !(request instanceof URL) && !(request instanceof Request)) {
      throw new TypeError("server.fetch expects a Request, a URL or a string");
    }
    return answerTo(this, this.#options, request instanceof Request ? request : new Request(new URL(request, this.url)));
  }

  /** How long the request's connection may make no progress until it is answered, in seconds; 0: for ever. */
  timeout(request, seconds) {
    const number = LazyRequest.number(request);
    if (number === undefined) throw new TypeError("timeout expects the request that fetch was given");
    if (typeof seconds !== "number" || !(seconds >= 0)) throw new TypeError("timeout expects a number of seconds, 0 for none");
    native.timeout(this.#number, number, seconds);
  }

  requestIP(request) {
    if (!(request instanceof Request)) throw new TypeError("requestIP expects the request that fetch was given");
    return LazyRequest.origin(request);
  }

  stop(force = false) {
    native.stop(this.#number, force ? 0 : PATIENCE);
    return this.#stopped;
  }

  /** Changes handlers and limits, also for open sockets, and the certificates that new ones are shown. What is not given stays. */
  reload(given) {
    const options = reread(given, this.#options);
    native.configure(this.#number, limits(options), options.tls === this.#options.tls ? undefined : options.tls);
    this.#options = options;
    run.interrupted = true;
    return this;
  }

  ref() {
    native.keepAlive(this.#number, true);
    return this;
  }

  unref() {
    native.keepAlive(this.#number, false);
    return this;
  }

  #end() {
    native.forget(this.#number);
    this.#resolve();
  }

  #open(seat, address) {
    // Of many sockets behind one address, all have the one string.
    if (address !== lastAddress) lastAddress = address;
    const ws = new ServerWebSocket(seat, lastAddress, this.#data);
    sockets[seat] = ws;
    this.#call("open", ws);
  }

  #message(ws, data) {
    if (typeof data !== "string") data = received(typeof data === "number" ? copied(data) : data, ws.binaryType);
    this.#deliver(ws, data);
  }

  #deliver = (ws, data) => {
    const { handlers } = this.#options;
    if (handlers.message === undefined) return;
    try {
      const result = handlers.message(ws, data);
      if (result !== undefined && typeof result?.then === "function") this.#watch(ws, result);
    } catch (error) {
      this.#threw(ws, error);
    }
  };

  #close(seat, code, reason) {
    const ws = sockets[seat];
    sockets[seat] = undefined;
    ServerWebSocket.end(ws, this.#number);
    this.#closing += 1;
    this.#call("close", ws, code, reason);
    this.#closing -= 1;
  }

  #control(name, ws, data) {
    const buffer = typeof data === "number" ? copied(data) : data;
    if (this.#options.handlers[name] !== undefined) this.#call(name, ws, received(buffer, ws.binaryType));
  }

  #call(name, ws, ...rest) {
    const { handlers } = this.#options;
    if (handlers[name] === undefined) return;
    try {
      const result = handlers[name](ws, ...rest);
      if (typeof result?.then === "function") this.#watch(ws, result);
    } catch (error) {
      // A socket that did not get through its open is let go before that is told, as with Bun.
      if (name === "open") ws.terminate();
      this.#threw(ws, error);
    }
  }

  /** An async handler that fails goes where a throwing one goes. */
  #watch(ws, promise) {
    if (this.#options.handlers.error !== undefined) promise.then(undefined, (error) => this.#threw(ws, error));
  }

  #threw(ws, error) {
    const handler = this.#options.handlers.error;
    if (handler === undefined) return native.fatal(error);
    try {
      handler.call(this.#options.handlers, error, ws);
    } catch (again) {
      native.fatal(again);
    }
  }
}

for (const symbol of [Symbol.dispose, Symbol.asyncDispose]) {
  if (symbol !== undefined) {
    Object.defineProperty(Server.prototype, symbol, {
      value() {
        return this.stop(true);
      },
    });
  }
}

/** What is added to the 101; what cannot be is said with the option's name. */
function upgradeHeaders(given) {
  try {
    return flatHeaders(given);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause; // of a getter, say
    throw Object.assign(invalid(`upgrade: headers must be a Headers, or what one can be made of: ${cause.message}`), { cause });
  }
}

/** Creates a server. What the system refuses is told as Node.js itself tells it. */
function listening(...what) {
  try {
    return native.create(...what);
  } catch (error) {
    if (/^\d+$/.test(error.code)) Object.assign(error, { errno: -error.code, code: getSystemErrorName(-error.code), syscall: "listen" });
    throw error;
  }
}

function serve(options) {
  return new Server(options);
}

module.exports = { serve };

"use strict";
// The client: the WHATWG's class WebSocket (https://websockets.spec.whatwg.org) with Bun's additions.

const native = require("./native.cjs");
const { length, waits, waiting, later, last } = require("./blobs.cjs");
const { copied, payload, received, share } = require("./data.cjs");
const { dialed } = require("./dial.cjs");
const { Message, Closing, Failure } = require("./events.cjs");
const { settle } = require("./run.cjs");

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];
/** A number that no socket has: the addon does nothing, and answers undefined. */
const NOBODY = -1;
const BINARY_TYPES = ["nodebuffer", "arraybuffer", "blob"];
const MAX_REASON = 123;

/** A server gets less time than a person would wait. The largest message is that of npm's `ws`. */
const LIMITS = { maxPayloadLength: 100 * 1024 * 1024, connectTimeout: 30, closeTimeout: 30 };

/** The clients that are not closed, by the numbers that the addon gives them: they live as long as they are here. */
const clients = [];
let population = 0;
/** What begins connections, once one is wanted. */
let host;
let callbacks;

/** Begins a connection; while there are any, the process stays. */
function begin(ws, what) {
  host ??= native.createClients(callbacks, LIMITS);
  const seat = native.dial(host, what);
  clients[seat] = ws;
  if (population++ === 0) native.keepAlive(host, true);
  return seat;
}

function end(seat) {
  clients[seat] = undefined;
  if (--population === 0) native.keepAlive(host, false);
}

const isBytes = (data) => ArrayBuffer.isView(data) || data instanceof ArrayBuffer || data instanceof SharedArrayBuffer;

/** What can be sent, as the standard converts it: a Blob, bytes, or the text of anything else. */
const sendable = (data) => (typeof data === "string" || isBytes(data) || data instanceof Blob ? data : `${data}`);

/** A code of close, as WebIDL's [Clamp] makes one of any value. */
function clamped(value) {
  const number = +value; // not Number(): a BigInt throws
  return Number.isNaN(number) ? 0 : Math.round(Math.min(Math.max(number, 0), 65535));
}

class WebSocket extends EventTarget {
  #url;
  #origin;
  #seat;
  #state = CONNECTING;
  #protocol = "";
  #extensions = "";
  #binaryType = "nodebuffer";
  #paused = false;
  /** It failed: the close that follows is not clean. */
  #failed = false;
  /** Bytes that were sent after the end: as the standard has it, they stay in bufferedAmount. */
  #unsent = 0;
  /** The handlers of the `on...` attributes, each with the listener that calls it. */
  #attributes = {};

  constructor(url, options) {
    if (arguments.length === 0) throw new TypeError("WebSocket expects a URL");
    const what = dialed(url, options);
    super();
    this.#url = what.url;
    this.#origin = what.origin;
    this.#seat = begin(this, what);
  }

  get url() {
    return this.#url;
  }

  get readyState() {
    return this.#state;
  }

  get protocol() {
    return this.#protocol;
  }

  get extensions() {
    return this.#extensions;
  }

  get bufferedAmount() {
    return (native.bufferedAmount(this.#seat) ?? 0) + waiting(this) + this.#unsent;
  }

  get binaryType() {
    return this.#binaryType;
  }

  /** As in browsers, a value that is none of them changes nothing. */
  set binaryType(name) {
    if (BINARY_TYPES.includes(`${name}`)) this.#binaryType = `${name}`;
  }

  send(data) {
    if (arguments.length === 0) throw new TypeError("send expects data");
    const given = sendable(data);
    if (this.#state === CONNECTING) throw new DOMException("send: the connection is not open yet", "InvalidStateError");
    if (this.#state !== OPEN) this.#unsent += length(given);
    else if (given instanceof Blob || waits(this)) later(this, given, (data) => this.#send(data), Infinity);
    else this.#send(given);
  }

  close(code, reason) {
    if (code !== undefined) {
      code = clamped(code);
      if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException(`close expects 1000, or a code from 3000 to 4999, not ${code}`, "InvalidAccessError");
      }
    }
    if (reason !== undefined) {
      reason = `${reason}`;
      const length = Buffer.byteLength(reason);
      if (length > MAX_REASON) {
        throw new DOMException(`close expects a reason of at most ${MAX_REASON} bytes, not ${length}`, "SyntaxError");
      }
      if (reason !== "") code ??= 1000;
    }
    if (this.#state >= CLOSING) return;
    this.#state = CLOSING;
    const close = () => native.closeClient(this.#seat, code, reason ?? "");
    // What was sent before is sent before the Close.
    if (waits(this)) last(this, close);
    else close();
  }

  /** Cuts the connection off: no closing handshake, 1006. */
  terminate() {
    if (this.#state === CLOSED) return;
    this.#state = CLOSING;
    // The engine tells of it inside the call; the standard's events come later.
    setImmediate(() => native.terminate(this.#seat));
  }

  ping(data) {
    this.#control(true, data);
  }

  pong(data) {
    this.#control(false, data);
  }

  pause() {
    if (this.#state > OPEN) return false;
    this.#paused = true;
    native.pause(this.#seat, true);
    return true;
  }

  resume() {
    if (this.#state > OPEN) return false;
    this.#paused = false;
    native.pause(this.#seat, false);
    return true;
  }

  get isPaused() {
    return this.#paused;
  }

  #control(isPing, data) {
    const what = isPing ? "ping" : "pong";
    if (this.#state === CONNECTING) throw new DOMException(`${what}: the connection is not open yet`, "InvalidStateError");
    if (this.#state === OPEN) native.control(this.#seat, isPing, payload(data ?? "", what));
  }

  #send(data) {
    const given = payload(data, "send");
    // Agreed on: then it is used, as in browsers.
    if (this.#extensions !== "") native.sendCompressed(this.#seat, given);
    else if (typeof given === "string" || !share(given)) native.send(this.#seat, given);
    else native.sendSmall(this.#seat, given.byteLength);
  }

  #attribute(name) {
    return this.#attributes[name]?.handler ?? null;
  }

  /** An event handler attribute keeps its place among the listeners while it is set (HTML, 8.1.8.1). */
  #setAttribute(name, value) {
    const handler = typeof value === "function" || (typeof value === "object" && value !== null) ? value : null;
    const known = this.#attributes[name];
    if (handler === null) {
      if (known !== undefined) this.removeEventListener(name, known.listener);
      this.#attributes[name] = undefined;
    } else if (known !== undefined) {
      known.handler = handler;
    } else {
      const attribute = { handler, listener: undefined };
      attribute.listener = (event) => {
        if (typeof attribute.handler === "function") attribute.handler.call(this, event);
      };
      this.#attributes[name] = attribute;
      this.addEventListener(name, attribute.listener);
    }
  }

  static #define(name) {
    Object.defineProperty(WebSocket.prototype, `on${name}`, {
      get() {
        return this.#attribute(name);
      },
      set(value) {
        this.#setAttribute(name, value);
      },
      enumerable: true,
      configurable: true,
    });
  }

  static #opened(seat, protocol, extensions) {
    const ws = clients[seat];
    ws.#protocol = protocol;
    ws.#extensions = extensions;
    // The application may have closed it meanwhile.
    if (ws.#state !== CONNECTING) return;
    ws.#state = OPEN;
    if (ws.#paused) native.pause(seat, true);
    ws.dispatchEvent(new Event("open"));
  }

  static #arrived(type, seat, data) {
    const ws = clients[seat];
    if (ws.#state !== OPEN) return;
    if (typeof data !== "string") data = received(typeof data === "number" ? copied(data) : data, ws.#binaryType);
    ws.dispatchEvent(new Message(type, { data, origin: ws.#origin }));
  }

  static #fail(seat, message, code) {
    const ws = clients[seat];
    ws.#failed = true;
    const text = `WebSocket connection to '${ws.#url}' failed: ${message}`;
    const error = new Error(text);
    if (code !== undefined) error.code = code;
    ws.#state = CLOSED;
    ws.dispatchEvent(new Failure("error", { message: text, error }));
  }

  static #closed(seat, code, reason) {
    const ws = clients[seat];
    end(seat);
    ws.#seat = NOBODY;
    ws.#state = CLOSED;
    const wasClean = !ws.#failed && code !== 1006;
    ws.dispatchEvent(new Closing("close", { code, reason, wasClean }));
  }

  static {
    for (const name of ["open", "message", "error", "close"]) WebSocket.#define(name);
    for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
      for (const place of [WebSocket, WebSocket.prototype]) Object.defineProperty(place, name, { value, enumerable: true });
    }
    Object.defineProperty(WebSocket.prototype, Symbol.toStringTag, { value: "WebSocket", configurable: true });
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(WebSocket.prototype))) {
      if (name !== "constructor" && property.configurable) {
        Object.defineProperty(WebSocket.prototype, name, { enumerable: true });
      }
    }
    Object.defineProperty(WebSocket, "length", { value: 1, configurable: true });
    callbacks = {
      open: WebSocket.#opened,
      message: (seat, data) => WebSocket.#arrived("message", seat, data),
      ping: (seat, data) => WebSocket.#arrived("ping", seat, data),
      pong: (seat, data) => WebSocket.#arrived("pong", seat, data),
      failed: WebSocket.#fail,
      close: WebSocket.#closed,
      // Only where the addon cannot have the runtime do it: see node/src/driver.rs.
      ticks: settle,
    };
  }
}

module.exports = { WebSocket };

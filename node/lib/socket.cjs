"use strict";
// ServerWebSocket: an object of JavaScript's for each socket of the engine.

const native = require("./native.cjs");
const { waits, closes, later, last } = require("./blobs.cjs");
const { share, payload, bytes, isBinaryType } = require("./data.cjs");
const { run, reply } = require("./run.cjs");

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
/** This and what is below it are numbers that no socket has: the addon does nothing, and answers undefined. */
const NOBODY = -1;

function topicName(topic, what) {
  if (typeof topic !== "string" || topic === "") throw new TypeError(`${what} expects a topic: a string that is not empty`);
  return topic;
}

/** A flag that was given. */
function isTrue(compress, what) {
  if (typeof compress !== "boolean") throw new TypeError(`${what} expects its compress to be true or false`);
  return compress;
}

function text(data, what) {
  if (typeof data !== "string") throw new TypeError(`${what} expects a string`);
  return data;
}

/** A WebSocket of a server. After its end every call is harmless: 0, false, [] or undefined; only publish still reaches others. */
class ServerWebSocket {
  /** The number by which the addon knows it; once it has ended NOBODY less its server's number. */
  #seat;
  #address;
  #binaryType = "nodebuffer";
  #paused = false;

  constructor(seat, address, data) {
    this.#seat = seat;
    this.#address = address;
    this.data = data;
  }

  /** The engine has told of its end: the number is another's now. */
  static end(ws, server) {
    ws.#seat = NOBODY - server;
    run.interrupted = true;
  }

  get readyState() {
    const state = native.readyState(this.#seat) ?? CLOSED;
    return state === OPEN && closes(this) ? CLOSING : state;
  }

  get remoteAddress() {
    return this.#address;
  }

  get binaryType() {
    return this.#binaryType;
  }

  set binaryType(name) {
    if (!isBinaryType(name)) throw new TypeError('binaryType must be "nodebuffer", "arraybuffer", "uint8array" or "blob"');
    this.#binaryType = name;
  }

  get subscriptions() {
    return native.subscriptions(this.#seat) ?? [];
  }

  /** A Blob, and what follows one that is still being read, is sent later; the answer is its length. */
  send(data, compress) {
    if (run.socket === this && compress === undefined) {
      const sent = reply(data);
      if (sent !== undefined) return sent;
    }
    const compressed = compress !== undefined && isTrue(compress, "send");
    if (data instanceof Blob || waits(this)) return this.#later(data, "send", (given) => this.#send(given, compressed));
    return this.#send(payload(data, "send"), compressed);
  }

  #send(data, compressed) {
    if (compressed) return native.sendCompressed(this.#seat, data) ?? 0;
    if (typeof data === "string") return native.send(this.#seat, data) ?? 0;
    return (share(data) ? native.sendSmall(this.#seat, data.byteLength) : native.send(this.#seat, data)) ?? 0;
  }

  #later(data, what, act) {
    if (native.readyState(this.#seat) !== OPEN) return 0;
    return later(this, data instanceof Blob ? data : payload(data, what), act);
  }

  sendText(data, compress) {
    return this.send(text(data, "sendText"), compress);
  }

  sendBinary(data, compress) {
    return this.send(bytes(data, "sendBinary"), compress);
  }

  publish(topic, data, compress) {
    topicName(topic, "publish");
    const compressed = compress !== undefined && isTrue(compress, "publish");
    if (data instanceof Blob || waits(this)) {
      return this.#later(data, "publish", (given) => native.publish(this.#seat, topic, given, compressed));
    }
    const given = payload(data, "publish");
    // Who has ended is no subscriber, but may still tell the others, as with Bun: in its close handler, for instance.
    if (this.#seat < 0) return native.serverPublish(NOBODY - this.#seat, topic, given, compressed) ?? 0;
    return native.publish(this.#seat, topic, given, compressed);
  }

  publishText(topic, data, compress) {
    return this.publish(topic, text(data, "publishText"), compress);
  }

  publishBinary(topic, data, compress) {
    return this.publish(topic, bytes(data, "publishBinary"), compress);
  }

  subscribe(topic) {
    topicName(topic, "subscribe");
    return native.subscribe(this.#seat, topic) ?? false;
  }

  unsubscribe(topic) {
    topicName(topic, "unsubscribe");
    return native.unsubscribe(this.#seat, topic) ?? false;
  }

  isSubscribed(topic) {
    topicName(topic, "isSubscribed");
    return native.isSubscribed(this.#seat, topic) ?? false;
  }

  cork(callback) {
    if (typeof callback !== "function") throw new TypeError("cork expects a function");
    return callback(this);
  }

  /** The close handler runs inside the call; but behind Blobs that are still being read it waits, like what was sent. */
  close(code = 1000, reason = "") {
    if (typeof code !== "number") throw new TypeError("close expects a number as its code");
    if (typeof reason !== "string") throw new TypeError("close expects a string as its reason");
    if (!waits(this)) return native.close(this.#seat, code, reason);
    native.checkClose(code, reason);
    last(this, () => native.close(this.#seat, code, reason));
  }

  terminate() {
    native.terminate(this.#seat);
  }

  /** Reads nothing more from the peer until resume(); its silence counts for the idle timeout. */
  pause() {
    this.#paused = true;
    run.interrupted = true;
    native.pause(this.#seat, true);
  }

  resume() {
    this.#paused = false;
    native.pause(this.#seat, false);
  }

  get isPaused() {
    return this.#paused && this.readyState !== CLOSED;
  }

  ping(data) {
    return this.#control(data, "ping", true);
  }

  pong(data) {
    return this.#control(data, "pong", false);
  }

  #control(data, what, ping) {
    const act = (given) => native.control(this.#seat, ping, given) ?? 0;
    const given = typeof (data ?? "") === "string" ? (data ?? "") : bytes(data, what);
    if (!(given instanceof Blob) && !waits(this)) return act(given);
    native.checkControl(typeof given === "string" ? Buffer.byteLength(given) : (given.size ?? given.byteLength));
    return this.#later(given, what, act);
  }

  getBufferedAmount() {
    return native.bufferedAmount(this.#seat) ?? 0;
  }
}

module.exports = { ServerWebSocket };

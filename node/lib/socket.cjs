"use strict";
// ServerWebSocket: an object of JavaScript's for each socket of the engine.

const native = require("./native.cjs");
const { share, payload, bytes, isBinaryType } = require("./data.cjs");

const CLOSED = 3;
/** A number that no socket has: the addon does nothing, and answers undefined. */
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

/** A WebSocket of a server. After its end every call is harmless: 0, false, [] or undefined. */
class ServerWebSocket {
  /** The number by which the addon knows it; NOBODY once it has ended. */
  #seat;
  #address;
  #binaryType = "nodebuffer";

  constructor(seat, address, data) {
    this.#seat = seat;
    this.#address = address;
    this.data = data;
  }

  /** The engine has told of its end: the number is another's now. */
  static end(ws) {
    ws.#seat = NOBODY;
  }

  get readyState() {
    return native.readyState(this.#seat) ?? CLOSED;
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

  send(data, compress) {
    if (compress !== undefined && isTrue(compress, "send")) return native.sendCompressed(this.#seat, payload(data, "send")) ?? 0;
    if (typeof data === "string") return native.send(this.#seat, data) ?? 0;
    const given = payload(data, "send");
    return (share(given) ? native.sendSmall(this.#seat, given.byteLength) : native.send(this.#seat, given)) ?? 0;
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
    return native.publish(this.#seat, topic, payload(data, "publish"), compressed) ?? 0;
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

  close(code = 1000, reason = "") {
    if (typeof code !== "number") throw new TypeError("close expects a number as its code");
    if (typeof reason !== "string") throw new TypeError("close expects a string as its reason");
    native.close(this.#seat, code, reason);
  }

  terminate() {
    native.terminate(this.#seat);
  }

  /** Reads nothing more from the peer until resume(); its silence counts for the idle timeout. */
  pause() {
    native.pause(this.#seat, true);
  }

  resume() {
    native.pause(this.#seat, false);
  }

  ping(data = "") {
    const given = payload(data, "ping");
    return native.control(this.#seat, true, given) ?? 0;
  }

  pong(data = "") {
    const given = payload(data, "pong");
    return native.control(this.#seat, false, given) ?? 0;
  }

  getBufferedAmount() {
    return native.bufferedAmount(this.#seat) ?? 0;
  }
}

module.exports = { ServerWebSocket };

"use strict";
// ServerWebSocket: an object of JavaScript's for each socket of the engine.

const native = require("./native.cjs");
const { payload, bytes, isBinaryType } = require("./data.cjs");

const OPEN = 1;
const CLOSED = 3;

function topicName(topic, what) {
  if (typeof topic !== "string" || topic === "") throw new TypeError(`${what} expects a topic: a string that is not empty`);
  return topic;
}

/** A WebSocket of a server. After its end every call is harmless: 0, false, [] or undefined. */
class ServerWebSocket {
  #server;
  #low;
  #high;
  #address;
  #binaryType = "nodebuffer";
  #ended = false;

  constructor(server, low, high, address, data) {
    this.#server = server;
    this.#low = low;
    this.#high = high;
    this.#address = address;
    this.data = data;
  }

  /** The engine has told of its end. */
  static end(ws) {
    ws.#ended = true;
  }

  static is(value) {
    return #ended in value;
  }

  get readyState() {
    return this.#ended ? CLOSED : native.readyState(this.#server, this.#low, this.#high) ?? CLOSED;
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
    return this.#ended ? [] : native.subscriptions(this.#server, this.#low, this.#high) ?? [];
  }

  send(data) {
    if (typeof data !== "string") data = payload(data, "send");
    return this.#ended ? 0 : native.send(this.#server, this.#low, this.#high, data) ?? 0;
  }

  sendText(data) {
    if (typeof data !== "string") throw new TypeError("sendText expects a string");
    return this.send(data);
  }

  sendBinary(data) {
    return this.send(bytes(data, "sendBinary"));
  }

  publish(topic, data) {
    topicName(topic, "publish");
    const given = payload(data, "publish");
    return this.#ended ? 0 : native.publish(this.#server, this.#low, this.#high, topic, given) ?? 0;
  }

  publishText(topic, data) {
    if (typeof data !== "string") throw new TypeError("publishText expects a string");
    return this.publish(topic, data);
  }

  publishBinary(topic, data) {
    return this.publish(topic, bytes(data, "publishBinary"));
  }

  subscribe(topic) {
    topicName(topic, "subscribe");
    return this.#ended ? false : native.subscribe(this.#server, this.#low, this.#high, topic) ?? false;
  }

  unsubscribe(topic) {
    topicName(topic, "unsubscribe");
    return this.#ended ? false : native.unsubscribe(this.#server, this.#low, this.#high, topic) ?? false;
  }

  isSubscribed(topic) {
    topicName(topic, "isSubscribed");
    return this.#ended ? false : native.isSubscribed(this.#server, this.#low, this.#high, topic) ?? false;
  }

  cork(callback) {
    if (typeof callback !== "function") throw new TypeError("cork expects a function");
    return callback(this);
  }

  close(code = 1000, reason = "") {
    if (typeof code !== "number") throw new TypeError("close expects a number as its code");
    if (typeof reason !== "string") throw new TypeError("close expects a string as its reason");
    if (!this.#ended) native.close(this.#server, this.#low, this.#high, code, reason);
  }

  terminate() {
    if (!this.#ended) native.terminate(this.#server, this.#low, this.#high);
  }

  ping(data = "") {
    const given = payload(data, "ping");
    return this.#ended ? 0 : native.control(this.#server, this.#low, this.#high, true, given) ?? 0;
  }

  pong(data = "") {
    const given = payload(data, "pong");
    return this.#ended ? 0 : native.control(this.#server, this.#low, this.#high, false, given) ?? 0;
  }

  getBufferedAmount() {
    return this.#ended ? 0 : native.bufferedAmount(this.#server, this.#low, this.#high) ?? 0;
  }
}

module.exports = { ServerWebSocket, OPEN };

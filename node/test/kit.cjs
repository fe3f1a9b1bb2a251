"use strict";
// What the tests share: clients, waiting for conditions, and programs run as processes of their own.

const { once } = require("node:events");
const { spawn } = require("node:child_process");
const net = require("node:net");
const WebSocket = require("ws");

const PATIENCE = 20_000;

/** A client that is open, with everything that it receives in `messages`. */
async function connect(server, path = "/", ...rest) {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, ...rest);
  client.messages = [];
  client.on("message", (data, isBinary) => {
    client.messages.push(isBinary ? data : data.toString());
    client.emit("changed");
  });
  client.on("close", (code, reason) => {
    client.closed = { code, reason: reason.toString() };
    client.emit("changed");
  });
  await once(client, "open", { signal: AbortSignal.timeout(PATIENCE) });
  return client;
}

/** Waits until a condition holds; it is asked again whenever the client receives something or ends. */
async function until(client, condition) {
  while (!condition()) await once(client, "changed", { signal: AbortSignal.timeout(PATIENCE) });
}

/** The next `count` messages. */
async function take(client, count) {
  await until(client, () => client.messages.length >= count);
  return client.messages.splice(0, count);
}

/** Runs a program; gives its exit code, signal and output. */
async function run(program, ...flags) {
  const child = spawn(process.execPath, [...flags, "-e", program], { cwd: `${__dirname}/..`, timeout: PATIENCE });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (output += data));
  const [code, signal] = await once(child, "close");
  return { code, signal, output };
}

/** A raw connection. */
async function raw(server) {
  const socket = net.connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

const HANDSHAKE =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** A masked text frame (its key is zero). */
const frame = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

module.exports = { connect, until, take, run, raw, HANDSHAKE, frame, PATIENCE };

"use strict";
// A program of the documentation as a process of its own, unchanged: it listens where `PORT` says.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const net = require("node:net");
const { join } = require("node:path");
const WebSocket = require("ws");
const { runtimes } = require("./runtimes.cjs");
const { PATIENCE } = require("./trace.cjs");

const EXAMPLES = join(__dirname, "../../../examples/seed");
const ELSEWHERE = join(__dirname, "elsewhere.mjs");

/** Node.js with types stripped and the global `Bun`, and Bun itself. */
const COMMANDS = {
  bun: [runtimes.bun],
  tidewire: [
    runtimes.newestNode,
    "--disable-warning=ExperimentalWarning",
    "--import",
    join(__dirname, "../../../node/lib/bun.mjs"),
  ],
};

/** How each loads a module before the program. */
const BEFORE = { bun: "--preload", tidewire: "--import" };

/** A port that is free now. */
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

class Example {
  output = "";
  #child;

  constructor(runtime, file, port, ...more) {
    const [command, ...flags] = [...COMMANDS[runtime], ...more];
    this.port = port;
    this.#child = spawn(command, [...flags, join(EXAMPLES, file)], {
      env: { ...process.env, PORT: `${port}`, TIDEWIRE_PORT: `${port}` },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (data) => {
        this.output += data;
        this.#child.emit("output");
      });
    }
    this.ended = once(this.#child, "close");
  }

  /** Starts one and waits until it listens. */
  static async start(t, runtime, file) {
    const example = new Example(runtime, file, await freePort());
    t.after(() => example.stop());
    await example.#listens();
    return example;
  }

  /** Starts a client of the server on a port, which it takes for the documentation's. */
  static client(t, runtime, file, port) {
    const example = new Example(runtime, file, port, BEFORE[runtime], ELSEWHERE);
    t.after(() => example.stop());
    return example;
  }

  async #listens() {
    let ended = false;
    this.ended.then(() => (ended = true));
    const deadline = Date.now() + PATIENCE;
    while (!ended && Date.now() < deadline) {
      const socket = net.connect(this.port, "127.0.0.1");
      const [up] = await Promise.race([
        once(socket, "connect").then(() => [true]),
        once(socket, "error").then(() => [false]),
      ]).catch(() => [false]);
      socket.destroy();
      if (up) return;
    }
    throw new Error(`the program does not listen: ${this.output}`);
  }

  /** Waits until it has printed something. */
  async prints(words) {
    while (!this.output.includes(words)) await once(this.#child, "output", { signal: AbortSignal.timeout(PATIENCE) });
  }

  /** A client that is open, with what it receives in `messages`. */
  async connect(path = "/", options = {}) {
    const client = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, options);
    client.messages = [];
    client.on("message", (data, isBinary) => {
      client.messages.push(isBinary ? [...data] : data.toString());
      client.emit("changed");
    });
    client.on("upgrade", (response) => (client.response = response));
    await once(client, "open", { signal: AbortSignal.timeout(PATIENCE) });
    return client;
  }

  /** Something on its standard input. */
  write(text) {
    this.#child.stdin.write(text);
  }

  async stop() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** The next so many messages of a client. */
async function take(client, count) {
  while (client.messages.length < count) await once(client, "changed", { signal: AbortSignal.timeout(PATIENCE) });
  return client.messages.splice(0, count);
}

module.exports = { Example, take, PATIENCE };

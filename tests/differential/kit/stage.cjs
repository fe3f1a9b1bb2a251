"use strict";
// Plays a scenario: its program in a process of one of the runtimes, its driver here, and what both have seen as the result.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const net = require("node:net");
const { join } = require("node:path");
const { Peer } = require("./peer.cjs");
const { runtimes } = require("./runtimes.cjs");
const { Trace, PATIENCE } = require("./trace.cjs");

const HOST = join(__dirname, "host.cjs");

/** What each side's programs run on. "node" is Node.js 22 with its own WebSocket, "tidewire on it" the same with ours. */
const RUNTIMES = { bun: runtimes.bun, tidewire: runtimes.node, node: runtimes.node22, "tidewire on it": runtimes.node22 };

/** The process with the program. */
class Program extends Trace {
  #child;
  #asked = new Map();
  #ids = 0;
  #complaints = "";
  #exit;

  constructor(runtime, file, name, url) {
    super("the program");
    const argv = [HOST, runtime, file, name, ...(url ? [url] : [])];
    this.#child = spawn(RUNTIMES[runtime], argv, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
    this.#child.stdin.on("error", () => {}); // it has ended: the exit says so
    this.#child.stderr.setEncoding("utf8").on("data", (data) => (this.#complaints += data));
    let pending = "";
    this.#child.stdout.setEncoding("utf8").on("data", (data) => {
      const lines = (pending + data).split("\n");
      pending = lines.pop();
      for (const line of lines) this.#told(JSON.parse(line));
    });
    this.ready = new Promise((resolve, reject) => {
      this.#asked.set("ready", resolve);
      this.#exit = once(this.#child, "close").then(([code, signal]) => {
        this.add(`exit ${signal ?? code}`);
        reject(new Error(`the program has ended (${signal ?? code}): ${this.#complaints}`));
        for (const resolve of this.#asked.values()) resolve({});
      });
    });
    this.ready.catch(() => {}); // said by whoever waits for it
  }

  get complaints() {
    return this.#complaints;
  }

  #told(message) {
    if (message.note !== undefined) return this.add(message.note);
    const id = message.ready ? "ready" : message.id;
    this.#asked.get(id)?.(message);
    return this.#asked.delete(id);
  }

  /** Has one of the scenario's commands run; gives its result in words. */
  async does(what, ...given) {
    const id = (this.#ids += 1);
    const answer = new Promise((resolve) => this.#asked.set(id, resolve));
    this.#child.stdin.write(`${JSON.stringify({ id, what, given })}\n`);
    return (await answer).result;
  }

  async end() {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE);
    await this.#exit;
    clearTimeout(timer);
  }
}

/** Runs a scenario on a runtime; gives what each side has seen, by its name. */
async function play(runtime, file, name, scenario) {
  const peers = [];
  const named = () => String.fromCharCode("a".charCodeAt(0) + peers.length);
  const listener = scenario.client ? await listening() : undefined;
  const program = new Program(runtime, file, name, listener?.url);
  try {
    const { port } = await program.ready;
    const joined = (peer) => (peers.push(peer), peer);
    const dial = async (to = {}) => joined(await Peer.dial(named(), { port, host: "127.0.0.1", ...to }));
    const stage = {
      runtime,
      program,
      port,
      dial,
      /** A WebSocket client, its handshake answered. */
      open: async ({ to, ...how } = {}) => (await dial(to)).upgrade(how),
      /** The next connection of a client program. */
      accepted: async () => joined(new Peer(named(), await listener.next(), "request")),
    };
    await (scenario.drive ?? plain)(stage, scenario);
    for (const peer of peers) await peer.leaves();
    await program.does("quiet");
    return Object.fromEntries([program, ...peers].map((trace) => [trace.name, compared(trace.entries, scenario)]));
  } catch (error) {
    error.message += `\n(on ${runtime}) ${program.complaints}`;
    throw error;
  } finally {
    for (const peer of peers) peer.destroy();
    listener?.close();
    await program.end();
  }
}

/** That a failure of the peer's is told with a reason is promised; its words are each implementation's own. */
const withoutReason = (entry) => entry.replace(/^(close (?:1002|1006|1007|1009)) .+$/s, "$1 (a reason)");

/** What of a trace is compared: how many equal chunks a kernel takes before it is full is nobody's doing. */
function compared(entries, { reworded, counted }) {
  const words = entries.map(reworded ? withoutReason : (entry) => entry);
  return counted ? words.filter((entry) => !/^(binary of .*|text published)$/.test(entry)) : words;
}

/** What is driven where the scenario does not say: a client that writes everything at once, and what it waits for. */
async function plain({ open, program }, { writes = [], until, noted }) {
  const peer = await open();
  if (writes.length > 0) peer.write(...writes);
  if (noted) await program.sees(noted);
  if (until) await peer.sees(until);
}

/** A port for client programs. */
async function listening() {
  const arrived = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    // One that is reset before anybody has taken it is nobody's.
    arrived.push(socket.pause().on("error", () => {}));
    server.emit("arrived");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `ws://127.0.0.1:${server.address().port}`,
    async next() {
      while (arrived.length === 0) await once(server, "arrived", { signal: AbortSignal.timeout(PATIENCE) });
      const socket = arrived.shift();
      setImmediate(() => socket.resume());
      return socket;
    },
    close: () => server.close(),
  };
}

module.exports = { play };

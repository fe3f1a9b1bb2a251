// A server of the command as a process: started from its binary, found by the line that it prints, stopped as an operator stops it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { fileURLToPath } from "node:url";

/** How long a process may take to listen or to end, in milliseconds: a bound for a busy machine, not an expectation. */
const PATIENCE = 30_000;

/**
 * Starts `tidewire chat`, or another program of it, on loopback and resolves once it has said where it listens.
 *
 * @param {{ program?: string, workers?: number, port?: number, flags?: string[] }} options `port` 0, the default, lets the system choose
 * @returns {Promise<Server>}
 */
export async function startServer({ program = "chat", workers = 1, port = 0, flags = [] }) {
  const all = [program, "--host", "127.0.0.1", "--port", String(port), "--workers", String(workers), ...flags];
  const child = spawn(binary(), all, { stdio: ["ignore", "pipe", "pipe"] });
  const server = new Server(child);
  try {
    server.url = await server.address();
  } catch (error) {
    await server.kill();
    throw error;
  }
  return server;
}

function binary() {
  const path = process.env.TIDEWIRE_BIN ?? fileURLToPath(new URL("../../target/ci/tidewire", import.meta.url));
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(`${path} is not there: run \`cargo xtask test\`, which builds it, or name a binary in TIDEWIRE_BIN`);
  }
  return path;
}

class Server {
  /** `http://127.0.0.1:PORT`, or `https:` */
  url = "";
  #child;
  #exit;
  #complaints = "";

  constructor(child) {
    this.#child = child;
    // A binary that cannot be run has no exit, only an error.
    this.#exit = once(child, "exit").catch((error) => [error.message, null]);
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#complaints += text));
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Stops as SIGTERM does, and resolves to the exit status: `[code, signal]`. */
  stop() {
    this.#child.kill("SIGTERM");
    return this.#ended("ended after SIGTERM");
  }

  /** Ends the process if it still runs. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended("ended after SIGKILL");
  }

  address() {
    const found = new Promise((resolve) => {
      let said = "";
      this.#child.stdout.setEncoding("utf8").on("data", (text) => {
        said += text;
        const [, url] = /(https?:\/\/127\.0\.0\.1:\d+).*\n/.exec(said) ?? [];
        if (url) resolve(url);
      });
    });
    const gone = this.#exit.then(([status]) => {
      throw new Error(`the server ended (${status}) before it listened: ${this.#complaints}`);
    });
    return within(Promise.race([found, gone]), "said where it listens");
  }

  #ended(what) {
    return within(this.#exit, what);
  }
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the server has not ${what} within ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

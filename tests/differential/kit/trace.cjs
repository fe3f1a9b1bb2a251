"use strict";
// What one side has seen, in order, and waiting for it.

const { EventEmitter, once } = require("node:events");

/** How long anything may take, in milliseconds: a bound for a busy machine, not an expectation. */
const PATIENCE = 30_000;

class Trace {
  entries = [];
  #changes = new EventEmitter().setMaxListeners(0);

  constructor(name) {
    this.name = name;
  }

  add(entry) {
    this.entries.push(entry);
    this.changed();
  }

  /** Has whoever waits look again. */
  changed() {
    this.#changes.emit("changed");
  }

  /** Waits until so many entries begin with these words. */
  async sees(words, times = 1) {
    await this.until(() => this.count(words) >= times, `${words} (${times})`);
  }

  count(words) {
    return this.entries.filter((entry) => entry.startsWith(words)).length;
  }

  async until(condition, what) {
    const signal = AbortSignal.timeout(PATIENCE);
    try {
      while (!condition()) await once(this.#changes, "changed", { signal });
    } catch {
      throw new Error(`${this.name} has not seen: ${what}\n  it saw ${JSON.stringify(this.entries, undefined, 2)}`);
    }
  }
}

module.exports = { Trace, PATIENCE };

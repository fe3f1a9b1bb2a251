"use strict";
// Blobs as data to send. Reading one takes time on Node.js (in Bun it does not), so whoever sends one gets a line in which
// everything that it sends afterwards waits: the order stays.

const native = require("./native.cjs");

/** While more bytes than this wait in a line, what is sent is dropped: the answer is 0. */
const LIMIT = 16 * 1024 * 1024;

/** Who has a line: sockets and servers. */
const lines = new Map();

/** Whether what `owner` sends has to wait. */
const waits = (owner) => lines.size !== 0 && lines.has(owner);

/** Whether it is to close once its line is empty. */
const closes = (owner) => waits(owner) && lines.get(owner).closes;

async function read(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

const length = (data) => (data instanceof Blob ? data.size : typeof data === "string" ? Buffer.byteLength(data) : data.byteLength);

/** What can wait: a Blob is read meanwhile, and bytes are the caller's to change. */
function kept(data) {
  if (typeof data === "string") return data;
  if (!(data instanceof Blob)) return Uint8Array.from(data);
  const reading = read(data);
  reading.catch(() => {}); // it is asked for later
  return reading;
}

/** How many bytes of `owner` wait. */
const waiting = (owner) => (waits(owner) ? lines.get(owner).waiting : 0);

/** Has `act` called with the data once it can be. Gives the length, as Bun's calls do, or 0 for what is dropped. */
function later(owner, data, act, limit = LIMIT) {
  const line = lines.get(owner) ?? begin(owner);
  if (line.closes || line.waiting > limit) return 0;
  const size = length(data);
  line.waiting += size;
  line.steps.push({ data: kept(data), size, act });
  return size;
}

/** Has `act` called after all that waits; what comes after is dropped. */
function last(owner, act) {
  const line = lines.get(owner);
  if (line.closes) return;
  line.closes = true;
  line.steps.push({ data: "", size: 0, act });
}

function begin(owner) {
  const line = { steps: [], waiting: 0, closes: false };
  lines.set(owner, line);
  // Afterwards, so that the first step is there.
  queueMicrotask(() => run(owner, line));
  return line;
}

async function run(owner, line) {
  for (const { data, size, act } of line.steps) {
    try {
      act(typeof data === "string" || data instanceof Uint8Array ? data : await data);
    } catch (error) {
      native.fatal(error); // a Blob of a file that has changed, say: nobody waits for it
    }
    line.waiting -= size;
  }
  lines.delete(owner);
}

module.exports = { length, waits, waiting, closes, later, last };

"use strict";
// Runs: short messages of one socket that came together are handled in one call of the addon's, and what is sent to the same socket
// meanwhile is written where the addon finds it afterwards. It sends that before anything else that it is called for, so that nobody
// can tell the difference.

const native = require("./native.cjs");
const { slab, copied, received } = require("./data.cjs");

/** What is where is told in node/src/slab.rs. */
const [USED, ROOM, HANDLED] = [0, 1, 2];
const words = new Uint32Array(slab.buffer, 0, 3);
const REPLIES = 4096;
/** As long as replies are at most. Longer ones are written faster by the runtime. */
const SHORT = 64;
/** What a reply takes besides its bytes. */
const HEAD = 6;

const run = {
  /** Whose run is under way, if replies may be written to it. */
  socket: undefined,
  /** What follows in the run may not be due any more: a socket has ended, or is paused, or options have changed. */
  interrupted: false,
};

/** Also where it is deprecated: nothing else does it. Without it, every message is a call of its own. */
const tick = process._tickCallback;

/** Microtasks and nextTick callbacks, as the runtime has them run between two events. */
function settle() {
  try {
    tick?.();
  } catch (error) {
    native.fatal(error);
  }
}

/** Handles messages of one socket, until something interrupts the run. Lengths stand for bytes, which lie in the slab. */
function handle(ws, messages, mayReply, act) {
  run.socket = mayReply ? ws : undefined;
  run.interrupted = false;
  let from = 0;
  let handled = 0;
  for (;;) {
    let data = messages[handled++];
    if (typeof data === "number") {
      const length = data;
      data = received(copied(length, from), ws.binaryType);
      from += length;
    }
    act(ws, data);
    words[HANDLED] = handled;
    if (handled === messages.length) break;
    settle();
    if (run.interrupted) break;
  }
  run.socket = undefined;
}

/** Writes a short reply: its length, or undefined for what has to be sent in a call of its own. */
function reply(data) {
  const isText = typeof data === "string";
  if (!isText && !(data instanceof Uint8Array)) return undefined;
  const { length } = data;
  const used = words[USED];
  if (length > SHORT || used + length + HEAD > words[ROOM]) return undefined;
  let at = REPLIES + used;
  slab[at++] = length;
  slab[at++] = isText ? 0 : 1;
  if (isText) {
    for (let i = 0; i < length; i++) {
      const unit = data.charCodeAt(i);
      if (unit > 127) return undefined;
      slab[at++] = unit;
    }
  } else {
    for (let i = 0; i < length; i++) slab[at++] = data[i];
  }
  words[USED] = used + length + HEAD;
  return length;
}

module.exports = { run, handle, reply, settle, possible: typeof tick === "function" };

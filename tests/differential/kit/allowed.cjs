"use strict";
// Where tidewire may differ from Bun 1.4.5, and its WebSocket from that of Node.js 22, in the words of what it promises instead;
// and the excusing of what is written beside a scenario as such a difference.

const assert = require("node:assert");

const ALLOWED = [
  // Its own list of differences.
  "the 1 MB default of backpressureLimit",
  "idleTimeout beyond 960 s accepted",
  "early bytes kept",
  "all window sizes negotiated",
  "invalid close codes refused",
  "a Promise given to send throws",
  "limits on fragments and non-minimal lengths",
  // What it promises of the behaviours themselves.
  "Upgrade and Connection are matched as token lists",
  "a rejected upgrade ends the connection, so that what follows is not served as a request",
  "sockets are closed with 1001 on a graceful stop",
  "only inbound traffic counts for idleTimeout",
  "close(reason) of a wrong type throws",
  "on a failure the wire carries a Close with a reason",
  "codes 1000 and 3000-4999 in close() of a client",
  "a server's failure has its code in the close event: 1002, 1007, 1009",
  "a superset of both is welcome",
  // What the standard of the class WebSocket has and Node.js 22 has not, and what is Bun's.
  "what could not be opened has a close event, behind the error, and is CLOSED in both",
  "what has failed is CLOSED when its error is told",
  "each event is a task of its own, so that what a listener has left to do is done before the next",
  "an attribute that is replaced keeps its place among the listeners",
  "bufferedAmount counts what is sent after close",
  // What is not tidewire's.
  "Request and Response are the runtime's own",
  "EventTarget is the runtime's own",
  "a HEAD is answered with the headers of a GET (RFC 9110, section 9.3.2)",
];

/**
 * Takes out of the traces of both sides what a scenario says is different between them: on each side these entries, in a row, in
 * the same trace at the same place.
 */
function excuse(traces, differences = []) {
  for (const { because, ...sides } of differences) {
    assert.ok(ALLOWED.includes(because), `the contract does not allow: ${because}`);
    const [theirs, ours] = Object.values(sides);
    assert.notDeepStrictEqual(theirs, ours, "what does not differ is not written as a difference");
    for (const [side, entries] of Object.entries(sides)) replace(side, traces[side], entries, because);
  }
}

function replace(side, traces, entries, because) {
  for (const trace of Object.values(traces)) {
    const at = trace.findIndex((_, i) => entries.every((entry, j) => trace[i + j] === entry));
    if (at >= 0) return trace.splice(at, entries.length, `(${because})`);
  }
  return assert.deepStrictEqual(traces, entries, `${side} does not show the difference that is allowed: ${because}`);
}

module.exports = { excuse };

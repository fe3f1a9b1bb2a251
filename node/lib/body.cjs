"use strict";
// The bodies of requests: streams that are read from the peer as they are read here.

const native = require("./native.cjs");

/** Streams that wait for a piece: key -> what takes it. */
const waiting = new Map();

const keyOf = (server, number) => `${server}:${number}`;

/** A stream that nobody can read any more needs no body. */
const unread = new FinalizationRegistry(({ server, number }) => native.cancelBody(server, number));

/** What says that a request's peer has gone: Bun's. */
const gone = () => new DOMException("The connection was closed.", "AbortError");

/** Gives a stream the piece that it has asked for. */
function take(controller, piece) {
  if (piece === true) return controller.error(new TypeError("the request's body is larger than maxRequestBodySize"));
  if (piece === false) return controller.error(gone());
  if (piece !== undefined) return controller.enqueue(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
  controller.close();
  controller.byobRequest?.respond(0); // who reads into memory of its own waits for this
}

/** A stream of a request's body. Nothing is read before somebody pulls, and then one piece at a time. */
function bodyOf(server, number) {
  native.keepBody(server, number);
  const source = {
    type: "bytes",
    pull(controller) {
      return new Promise((resolve) => {
        waiting.set(keyOf(server, number), (piece) => {
          take(controller, piece);
          resolve();
        });
        native.pullBody(server, number);
      });
    },
    cancel() {
      waiting.delete(keyOf(server, number));
      native.cancelBody(server, number);
    },
  };
  const stream = new ReadableStream(source, { highWaterMark: 0 });
  unread.register(stream, { server, number });
  return stream;
}

/** The engine has a piece: bytes, undefined for the end, true when the body is too large, or false when it broke off. */
function bodyArrived(server, number, piece) {
  const key = keyOf(server, number);
  const give = waiting.get(key);
  waiting.delete(key);
  give?.(piece);
}

module.exports = { bodyOf, bodyArrived, gone };

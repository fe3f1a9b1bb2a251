"use strict";
// The bodies of requests, as the engine reads them.

const native = require("./native.cjs");

/** Requests whose body is being read: key -> what to do with it. */
const reading = new Map();

/** A stream of a request's body. Nothing is read before somebody pulls. */
function bodyOf(server, number) {
  const key = `${server}:${number}`;
  return new ReadableStream(
    {
      pull: (controller) =>
        new Promise((resolve) => {
          reading.set(key, (body) => {
            if (typeof body === "string") controller.error(new TypeError(`the request's body cannot be read: ${body}`));
            else {
              if (body.length > 0) controller.enqueue(new Uint8Array(body));
              controller.close();
            }
            resolve();
          });
          native.readBody(server, number);
        }),
    },
    { highWaterMark: 0 },
  );
}

/** The engine has read a body, or says why not. */
function bodyArrived(server, number, body) {
  const key = `${server}:${number}`;
  const give = reading.get(key);
  reading.delete(key);
  give?.(body);
}

module.exports = { bodyOf, bodyArrived };

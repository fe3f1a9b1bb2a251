"use strict";
// Heads and bodies of HTTP/1.1 as they arrive, said in words.

const { abridged } = require("./wire.cjs");

/** Headers that say when, not what, and those that every answer has by its nature. */
const UNCOMPARED = new Set(["date", "content-length", "transfer-encoding", "connection", "keep-alive"]);

/** Of values that mean the same, one. */
function canonical(name, value) {
  // The name of a charset has no case (RFC 9110, section 8.3.2), and each runtime's Response writes it in its own.
  if (name === "content-type") return value.replace(/charset=UTF-8/, "charset=utf-8");
  // How a tag is made is the server's own affair (section 8.8.3).
  if (name === "etag") return value.replace(/"[0-9a-f]{16}"/, "TAG");
  if (name !== "sec-websocket-extensions") return value;
  // Neither have the parameters of an extension an order.
  const [extension, ...parameters] = value.split(/; */);
  return [extension, ...parameters.sort()].join("; ");
}

class Head {
  constructor(lines) {
    [this.first, ...lines] = lines;
    this.headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
  }

  get(name) {
    return this.headers.find(([key]) => key === name)?.[1];
  }

  get status() {
    return Number(this.first.split(" ")[1]);
  }

  /** Headers in words, by name: the order of different names means nothing in HTTP, that of one name does. */
  words(all) {
    return this.headers
      .filter(([name]) => all || !UNCOMPARED.has(name))
      .filter(([name]) => name !== "date")
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, value]) => `${name}: ${canonical(name, value)}`)
      .join("; ");
  }
}

/** Splits a head off; undefined while it is not whole. Gives the head and the bytes behind it. */
function head(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  return [new Head(bytes.subarray(0, end).toString("latin1").split("\r\n")), bytes.subarray(end + 4)];
}

/** The body behind a response's head; undefined while it is not whole. Gives the body and the bytes behind it. */
function body(head, bytes, { bodiless, ended }) {
  if (bodiless || head.status < 200 || head.status === 204 || head.status === 304) return [Buffer.alloc(0), bytes];
  if (head.get("transfer-encoding") === "chunked") return chunks(bytes);
  const length = head.get("content-length");
  if (length === undefined) return ended ? [bytes, Buffer.alloc(0)] : undefined;
  return bytes.length < Number(length) ? undefined : [bytes.subarray(0, Number(length)), bytes.subarray(Number(length))];
}

function chunks(bytes) {
  const parts = [];
  for (;;) {
    const line = bytes.indexOf("\r\n");
    if (line < 0) return undefined;
    const size = parseInt(bytes.subarray(0, line).toString(), 16);
    if (bytes.length < line + 2 + size + 2) return undefined;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    bytes = bytes.subarray(line + 2 + size + 2);
    if (size === 0) return [Buffer.concat(parts), bytes];
  }
}

/** A response in words: status, headers worth comparing, body. */
const response = (head, content, all) => `${head.status} {${head.words(all)}} ${abridged(content.toString(), content)}`.trimEnd();

module.exports = { head, response, body };

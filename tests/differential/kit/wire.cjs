"use strict";
// Frames as bytes, written from RFC 6455 alone: whatever a peer may send, right or wrong, and what was received as words.

const { createHash } = require("node:crypto");
const { inflateRawSync, deflateRawSync } = require("node:zlib");

const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const NAMES = Object.fromEntries(Object.entries(OPCODES).map(([name, opcode]) => [opcode, name]));
/** What ends each message of permessage-deflate, and is left out on the wire (RFC 7692, section 7.2.1). */
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);

/**
 * One frame, masked unless `mask` is false or null; `key` is its masking key and `length` a length that is a lie; `wide` is
 * the number of bytes that its length takes (0, 2 or 8) whether it needs them or not.
 */
function frame(opcode, payload = "", { fin = true, rsv = 0, mask = true, key = [1, 2, 3, 4], length, wide } = {}) {
  const data = Buffer.from(payload);
  const said = BigInt(length ?? data.length);
  const field = wide ?? (said < 126n ? 0 : said < 65536n ? 2 : 8);
  const head = Buffer.alloc(2 + field);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (field === 0 ? Number(said) : field === 2 ? 126 : 127);
  if (field === 2) head.writeUInt16BE(Number(said), 2);
  if (field === 8) head.writeBigUInt64BE(BigInt(said), 2);
  if (!mask) return Buffer.concat([head, data]);
  return Buffer.concat([head, Buffer.from(key), data.map((byte, i) => byte ^ key[i % 4])]);
}

const text = (payload, how) => frame(OPCODES.text, payload, how);
const binary = (payload, how) => frame(OPCODES.binary, payload, how);
const more = (payload, how) => frame(OPCODES.continuation, payload, how);
const ping = (payload, how) => frame(OPCODES.ping, payload, how);
const pong = (payload, how) => frame(OPCODES.pong, payload, how);

/** A Close frame; without a code it is empty. The reason may be bytes. */
function close(code, reason = "", how) {
  const head = code === undefined ? Buffer.alloc(0) : Buffer.from([code >> 8, code & 255]);
  return frame(OPCODES.close, Buffer.concat([head, Buffer.from(reason)]), how);
}

/** A compressed text message of its own context. */
const packed = (payload, how) => text(deflateRawSync(payload, { finishFlush: 2 }).subarray(0, -4), { rsv: 4, ...how });

/** Takes frames out of bytes as they arrive, and says each in words. */
class Frames {
  #bytes = Buffer.alloc(0);
  /** What was inflated before: the other side's context. */
  #window = Buffer.alloc(0);
  #compressed = [];

  /** The frames that have become whole. */
  push(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const said = [];
    for (let next = this.#take(); next !== undefined; next = this.#take()) said.push(next);
    return said;
  }

  #take() {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1] & 127;
    const field = short < 126 ? 0 : short === 126 ? 2 : 8;
    const start = 2 + field + (bytes[1] & 128 ? 4 : 0);
    if (bytes.length < start) return undefined;
    const length = field === 0 ? short : field === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < start + length) return undefined;
    const key = bytes.subarray(2 + field, start);
    const payload = Buffer.from(bytes.subarray(start, start + length));
    if (key.length > 0) for (let i = 0; i < length; i++) payload[i] ^= key[i % 4];
    this.#bytes = bytes.subarray(start + length);
    return this.#words(bytes[0], payload);
  }

  #words(first, payload) {
    const name = NAMES[first & 15] ?? `opcode ${first & 15}`;
    const rsv = (first >> 4) & 7;
    const marks = (first & 128 ? "" : " unfinished") + (rsv === 4 ? " compressed" : rsv ? ` rsv ${rsv}` : "");
    if (name === "close") return closing(payload) + marks;
    if (rsv === 4) payload = this.#inflate(payload, (first & 128) !== 0);
    return `${name}${marks} ${abridged(payload.toString(name === "binary" ? "hex" : "utf8"), payload)}`.trimEnd();
  }

  #inflate(payload, whole) {
    this.#compressed.push(payload);
    if (!whole) return payload;
    const input = Buffer.concat([...this.#compressed.splice(0), TAIL]);
    const output = inflateRawSync(input, { finishFlush: 2, dictionary: this.#window.length > 0 ? this.#window : undefined });
    this.#window = Buffer.concat([this.#window, output]).subarray(-32768);
    return output;
  }
}

function closing(payload) {
  if (payload.length === 0) return "close empty";
  if (payload.length === 1) return "close of one byte";
  return `close ${payload.readUInt16BE(0)} ${payload.subarray(2)}`.trimEnd();
}

/** Short payloads as they are; of long ones their length and a hash. */
function abridged(words, payload) {
  return words.length <= 80
    ? words
    : `of ${payload.length} bytes ${createHash("sha1").update(payload).digest("hex").slice(0, 12)}`;
}

module.exports = { frame, text, binary, more, ping, pong, close, packed, Frames, abridged };

"use strict";
// What may be sent, and how it is received.

const native = require("./native.cjs");

/** Memory that the addon sees: small payloads are copied through it, in both directions. What is where is told in node/src/slab.rs. */
const slab = new Uint8Array(8192);
native.share(slab);
const INPUT = 64;
const SCRATCH = 2112;
const SCRATCH_LENGTH = 1024;

/** Puts a small payload where the addon reads it; false when it is not small. */
function share(view) {
  if (view.byteLength > SCRATCH_LENGTH) return false;
  // A view whose memory was transferred away is empty, but cannot be copied from.
  if (view.byteLength > 0) slab.set(view, SCRATCH);
  return true;
}

/** Up to this size a received payload is in the slab. */
const SMALL = 64;

/** A received payload, of the event or the run that is being handled, from `from` on: a Buffer with memory of its own. */
function copied(length, from = 0) {
  const buffer = Buffer.allocUnsafeSlow(length);
  if (length > SMALL) native.fill(buffer, from);
  else for (let i = 0; i < length; i++) buffer[i] = slab[INPUT + from + i];
  return buffer;
}

const BYTES = "a Buffer, ArrayBuffer, SharedArrayBuffer, TypedArray, DataView or Blob";
const EMPTY = new Uint8Array(0);

const isBuffer = (data) => data instanceof ArrayBuffer || data instanceof SharedArrayBuffer;

function wrong(data, what, expected) {
  return new TypeError(`${what} expects ${expected}, not ${data === null ? "null" : typeof data}`);
}

/**
 * A string, or a view on the bytes; a Blob must have been seen to before. What else there is becomes a string, as with Bun:
 * a number, for instance. Throws a TypeError for what says nothing, and for a Promise.
 */
function payload(data, what) {
  if (typeof data === "string" || data instanceof Uint8Array) return data;
  // A detached buffer is empty, and no view can be made on it.
  if (ArrayBuffer.isView(data)) return data.buffer.byteLength === 0 ? EMPTY : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (isBuffer(data)) return data.byteLength === 0 ? EMPTY : new Uint8Array(data);
  if (data === undefined || data === null || typeof data === "symbol") throw wrong(data, what, `a string or ${BYTES}`);
  if (typeof data.then === "function") throw new TypeError(`${what} got a Promise: await it first`);
  return String(data);
}

/** As payload, but bytes only, or a Blob. */
function bytes(data, what) {
  if (data instanceof Blob) return data;
  if (ArrayBuffer.isView(data) || isBuffer(data)) return payload(data, what);
  throw wrong(data, what, BYTES);
}

const RECEIVED = {
  nodebuffer: (buffer) => buffer,
  uint8array: (buffer) => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength),
  arraybuffer: (buffer) => buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength),
  blob: (buffer) => new Blob([buffer]),
};

/** Received bytes in the form that a socket asks for. */
function received(buffer, binaryType) {
  return RECEIVED[binaryType](buffer);
}

const isBinaryType = (name) => Object.hasOwn(RECEIVED, name);

module.exports = { slab, share, copied, payload, bytes, received, isBinaryType };

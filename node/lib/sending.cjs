"use strict";
// The bodies of responses. What is there at once is sent whole, with its length; what takes longer is sent as it comes, and
// read only as fast as the peer takes it.

const native = require("./native.cjs");
const { gone } = require("./body.cjs");

/** A body of more bytes than this is not gathered. */
const WHOLE = 64 * 1024;

/** What is there at once is there after so many rounds of the event loop: a string after none, a Blob after a few. */
const ROUNDS = 8;

/** Bodies that are being sent: key -> Sending. */
const sendings = new Map();

const keyOf = (server, number) => `${server}:${number}`;

/** A chunk of a stream, as bytes. */
function bytesOf(chunk) {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (chunk instanceof ArrayBuffer || chunk instanceof SharedArrayBuffer) return new Uint8Array(chunk);
  throw new TypeError(`the stream of a Response gave ${chunk === null ? "null" : typeof chunk}: it must give strings, ArrayBuffers or views on them`);
}

class Sending {
  #server;
  #number;
  #status;
  #headers;
  #reader;
  /** What came at once; undefined once the response has begun. */
  #gathered = [];
  #size = 0;
  #full = false;
  #resume;
  #over = false;
  #immediate;

  constructor(server, number, status, headers, body) {
    this.#server = server;
    this.#number = number;
    this.#status = status;
    this.#headers = headers;
    this.#reader = body.getReader();
  }

  /** Sends all of it. What fails before anything was sent is told to `fail`. */
  async run(fail) {
    this.#soon(ROUNDS, fail);
    try {
      await this.#read(fail);
    } catch (error) {
      this.#broken(error, fail);
    } finally {
      clearImmediate(this.#immediate);
    }
  }

  /** Begins after so many rounds of the event loop. */
  #soon(rounds, fail) {
    this.#immediate = setImmediate(() => (rounds > 1 ? this.#soon(rounds - 1, fail) : this.#begin(fail)));
  }

  async #read(fail) {
    for (;;) {
      while (this.#full && !this.#over) await new Promise((resolve) => (this.#resume = resolve));
      const { done, value } = await this.#reader.read();
      if (this.#over) return;
      if (done) return this.#end();
      const chunk = bytesOf(value);
      if (this.#gathered === undefined) this.#write(chunk);
      else {
        this.#gathered.push(chunk);
        this.#size += chunk.byteLength;
        if (this.#size > WHOLE) this.#begin(fail);
      }
    }
  }

  /** It takes longer: what there is goes now. */
  #begin(fail) {
    if (this.#gathered === undefined || this.#over) return;
    const gathered = this.#gathered;
    try {
      const awaited = native.respondStream(this.#server, this.#number, this.#status, this.#headers) ?? false;
      this.#gathered = undefined;
      if (!awaited) return this.cancel();
      sendings.set(keyOf(this.#server, this.#number), this);
      for (const chunk of gathered) this.#write(chunk);
    } catch (error) {
      this.#broken(error, fail);
    }
  }

  #write(chunk) {
    const room = native.writeBody(this.#server, this.#number, chunk);
    if (room === undefined) this.cancel(); // its server has stopped
    else this.#full = !room;
  }

  #end() {
    const gathered = this.#gathered;
    this.#close();
    if (gathered === undefined) return native.endBody(this.#server, this.#number);
    const body = gathered.length === 1 ? gathered[0] : Buffer.concat(gathered);
    native.respond(this.#server, this.#number, this.#status, this.#headers, body);
  }

  /** The stream failed: before the response has begun there can be another, afterwards it breaks off. */
  #broken(error, fail) {
    if (this.#over) return fail(error);
    const begun = this.#gathered === undefined;
    this.#close();
    this.#reader.cancel(error).catch(() => {});
    if (!begun) return fail(error);
    console.error(error);
    native.endBody(this.#server, this.#number, String(error));
  }

  #close() {
    this.#over = true;
    this.#gathered = undefined;
    sendings.delete(keyOf(this.#server, this.#number));
  }

  /** There is room for more. */
  room() {
    this.#full = false;
    this.#resume?.();
  }

  /** The peer has gone: nobody takes more. */
  cancel() {
    this.#close();
    this.#reader.cancel(gone()).catch(() => {});
    this.#resume?.();
  }
}

/** Sends a response with a body. */
function send(server, number, status, headers, body, fail) {
  new Sending(server, number, status, headers, body).run(fail);
}

/** The engine has room for more of a body, or wants no more of it. */
function bodyTaken(server, number, room) {
  const sending = sendings.get(keyOf(server, number));
  if (room) sending?.room();
  else sending?.cancel();
}

module.exports = { send, bodyTaken };

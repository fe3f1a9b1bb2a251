"use strict";
// Responses, as the engine takes them. Any object that looks like a Response is one: that of another copy of undici, of a
// polyfill, of another realm.

const { createHash } = require("node:crypto");
const native = require("./native.cjs");
const { send } = require("./sending.cjs");

/** Names and values of anything that a Headers object can be made of, in a flat list. */
function flatHeaders(init) {
  if (init === undefined || init === null) return [];
  // The caller's object is read, never changed. Repeated Set-Cookie lines stay apart.
  const headers = init instanceof Headers ? init : new Headers(init);
  const flat = [];
  for (const [name, value] of headers) flat.push(name, value);
  return flat;
}

/** What Responses were made of, where that is known to be whole and nobody can change it: text and Blobs. Or that it was sent. */
const sources = new WeakMap();
const SENT = Symbol("sent");

// A Response's body is otherwise a stream that must be read to be known: ten times the work for a line of text, and no length for
// a Blob. The constructor stays what it is in every other respect.
const PlatformResponse = globalThis.Response;
globalThis.Response = new Proxy(PlatformResponse, {
  construct(target, parameters, newTarget) {
    const response = Reflect.construct(target, parameters, newTarget);
    const [body] = parameters;
    if (typeof body === "string" || body instanceof Blob) sources.set(response, body);
    return response;
  },
});
PlatformResponse.prototype.constructor = globalThis.Response;

const isResponse = (value) =>
  value !== null && typeof value === "object" && typeof value.status === "number" && typeof value.arrayBuffer === "function";

/** Throws when a response cannot be sent, with what to do about it. */
function sendable(response) {
  if (response.bodyUsed || sources.get(response) === SENT) {
    const advice = "A Response body can only be sent once; create a new Response for each request.";
    throw Object.assign(new TypeError(`Response body already used. ${advice}`), { code: "ERR_BODY_ALREADY_USED" });
  }
  if (response.status < 200) {
    const advice = response.status === 101 ? "server.upgrade() sends 101 by itself" : "Response.error() returns status 0";
    throw new RangeError(`Cannot send a Response with status ${response.status}: it must be from 200 to 599 (${advice}).`);
  }
}

const withCookies = (headers, lines) => (lines.length === 0 ? headers : [...headers, ...lines.flatMap((line) => ["set-cookie", line])]);

/** The headers with a length that is known, whatever the application said. */
function withLength(headers, length) {
  const rest = headers.filter((_, i) => headers[i - (i % 2)] !== "content-length");
  return [...rest, "content-length", String(length)];
}

/** Sends a response, with further lines of Set-Cookie. What goes wrong later is told to `fail`. */
function respond(server, number, response, cookies, fail) {
  sendable(response);
  const headers = withCookies(flatHeaders(response.headers), cookies);
  const source = sources.get(response);
  if (source !== undefined) {
    sources.set(response, SENT);
    if (typeof source === "string") return native.respond(server, number, response.status, headers, source);
    return send(server, number, response.status, withLength(headers, source.size), response.body, fail);
  }
  if (response.body === null) return native.respond(server, number, response.status, headers, "");
  if (typeof response.body?.getReader === "function") return send(server, number, response.status, headers, response.body, fail);
  // Another's Response, with a body of another kind: it is asked for all of it.
  const whole = (body) => native.respond(server, number, response.status, headers, new Uint8Array(body));
  response.arrayBuffer().then(whole).catch(fail);
}

/** The entity tags of If-None-Match (RFC 9110, 13.1.2); weak ones compare as strong ones. */
const tagsOf = (field) => field.split(",").map((tag) => tag.trim().replace(/^W\//, ""));

/** A Response of `routes`: read once, sent often, with an entity tag where it has a body. */
class StaticResponse {
  #status;
  #headers;
  #etag;
  /** The bytes, or while they are read, the promise of them. */
  #body;

  constructor(response) {
    sendable(response);
    this.#status = response.status;
    this.#headers = flatHeaders(response.headers);
    // A copy: the same Response may be at several paths.
    this.#body = response.body === null ? new Uint8Array(0) : response.clone().arrayBuffer().then((body) => this.#take(new Uint8Array(body)));
    // What fails is told to the requests that wait for it.
    if (this.#body instanceof Promise) this.#body.catch(() => {});
  }

  #take(body) {
    const own = this.#headers.indexOf("etag");
    if (own >= 0) this.#etag = this.#headers[own + 1];
    else {
      this.#etag = `"${createHash("sha1").update(body).digest("hex").slice(0, 16)}"`;
      this.#headers.push("etag", this.#etag);
    }
    this.#body = body;
    return body;
  }

  /** Whether the client has it already, by the value of its If-None-Match. */
  #isKnown(request) {
    if (this.#etag === undefined || (request.method !== "GET" && request.method !== "HEAD")) return false;
    const field = request.headers.get("if-none-match");
    if (field === null) return false;
    return field.trim() === "*" || tagsOf(field).includes(this.#etag.replace(/^W\//, ""));
  }

  send(server, number, request, fail) {
    const send = (body) => {
      if (this.#isKnown(request)) native.respond(server, number, 304, this.#headers, "");
      else native.respond(server, number, this.#status, this.#headers, body);
    };
    if (this.#body instanceof Promise) this.#body.then(send).catch(fail);
    else send(this.#body);
  }

  /** As a Response of its own. */
  async toResponse() {
    const body = await this.#body;
    const headers = new Headers();
    for (let i = 0; i < this.#headers.length; i += 2) headers.append(this.#headers[i], this.#headers[i + 1]);
    return new Response(body.length === 0 ? null : body, { status: this.#status, headers });
  }
}

module.exports = { flatHeaders, isResponse, respond, StaticResponse };

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

/** Bytes that are kept up to this size. Of more, only how many there are: they are in the body's stream already. */
const KEPT = 64 * 1024;

/** What Responses were made of, where that is whole; or that it was sent. */
const sources = new WeakMap();
const SENT = Symbol("sent");

/** A FormData: its stream is long, but ends. */
const FORM = Symbol("form");
/** The content type that bytes get where the application gives none: Bun's. */
const BYTES = "application/octet-stream";

/** What a body is made of, as nobody can change it any more: text, a Blob, FORM, bytes, or of many bytes their {length}; undefined: it must be read. */
function sourceOf(body) {
  if (typeof body === "string" || body instanceof Blob) return body;
  if (body instanceof URLSearchParams) return String(body);
  if (body instanceof FormData) return FORM;
  if (body instanceof ArrayBuffer) return kept(new Uint8Array(body));
  return ArrayBuffer.isView(body) ? kept(new Uint8Array(body.buffer, body.byteOffset, body.byteLength)) : undefined;
}

const kept = (bytes) => (bytes.length > KEPT ? { length: bytes.length } : bytes.slice());

// A Response's body is otherwise a stream that must be read to be known: ten times the work for a line of text, and no length for
// a Blob. The constructor stays what it is in every other respect.
const PlatformResponse = globalThis.Response;
globalThis.Response = new Proxy(PlatformResponse, {
  construct(target, parameters, newTarget) {
    const response = Reflect.construct(target, parameters, newTarget);
    const source = sourceOf(parameters[0]);
    if (source !== undefined) sources.set(response, source);
    return response;
  },
});
PlatformResponse.prototype.constructor = globalThis.Response;

// The static method makes its Response by itself, past the constructor.
const { json } = PlatformResponse;
const JSON_TYPE = json.call(PlatformResponse, 0).headers.get("content-type");
PlatformResponse.json = {
  json(data, init = undefined) {
    const text = JSON.stringify(data);
    // What is wrong is for the platform to say.
    if (text === undefined || (init !== undefined && (init === null || typeof init !== "object"))) return json.apply(PlatformResponse, arguments);
    const headers = new Headers(init?.headers);
    if (!headers.has("content-type")) headers.set("content-type", JSON_TYPE);
    return new globalThis.Response(text, { status: init?.status, statusText: init?.statusText, headers });
  },
}.json;

// Bun has relative ones too, which the platform refuses for want of a base. Clients resolve them (RFC 9110, section 10.2.2).
const { redirect } = PlatformResponse;
PlatformResponse.redirect = {
  redirect(url, status = 302) {
    if (typeof url !== "string" || isAbsolute(url)) return redirect.apply(PlatformResponse, arguments);
    const { status: checked } = redirect.call(PlatformResponse, "http://localhost/", status);
    return new globalThis.Response(null, { status: checked, headers: { location: url } });
  },
}.redirect;

function isAbsolute(url) {
  try {
    return new URL(url) !== undefined;
  } catch {
    return false;
  }
}

const { clone } = PlatformResponse.prototype;
PlatformResponse.prototype.clone = {
  clone() {
    const copy = clone.call(this);
    const source = sources.get(this);
    if (source !== undefined && source !== SENT) sources.set(copy, source);
    return copy;
  },
}.clone;

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

/** The headers with the type of bytes. */
const withType = (headers) => (named(headers, "content-type") ? headers : [...headers, "content-type", BYTES]);

const named = (headers, name) => headers.some((word, i) => i % 2 === 0 && word === name);

/** Sends a response, with further lines of Set-Cookie. What goes wrong later is told to `fail`. */
function respond(server, number, response, cookies, fail) {
  sendable(response);
  const headers = withCookies(flatHeaders(response.headers), cookies);
  const source = sources.get(response);
  if (source !== undefined) {
    sources.set(response, SENT);
    return sendSource(server, number, response, headers, source, fail);
  }
  if (response.body === null) return native.respond(server, number, response.status, headers, "");
  if (typeof response.body?.getReader === "function") return send(server, number, response.status, headers, response.body, fail);
  // Another's Response, with a body of another kind.
  sendWhole(server, number, response, headers, fail);
}

/** Sends a response that is asked for all of its body. */
function sendWhole(server, number, response, headers, fail) {
  const whole = (body) => native.respond(server, number, response.status, headers, new Uint8Array(body));
  response.arrayBuffer().then(whole).catch(fail);
}

/** Sends what a response was made of. */
function sendSource(server, number, response, headers, source, fail) {
  const { status, body } = response;
  if (typeof source === "string") return native.respond(server, number, status, headers, source);
  if (source instanceof Uint8Array) return native.respond(server, number, status, source.length > 0 ? withType(headers) : headers, source);
  if (source instanceof Blob) return send(server, number, status, withLength(headers, source.size), body, fail);
  if (source === FORM) return sendWhole(server, number, response, headers, fail);
  return send(server, number, status, withType(withLength(headers, source.length)), body, fail);
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

"use strict";
// What `fetch` and the routes are given. A Request of the platform costs microseconds to make, so they get an object with its
// prototype that is made real only when something asks for what only a real one has.

const native = require("./native.cjs");
const { bodyOf, gone } = require("./body.cjs");
const { CookieMap } = require("./cookie-map.cjs");

/** An absolute URL of a request's target (RFC 9112, 3.2). The Host field names the host, also beside an absolute target. */
function absolute(target, host) {
  if (target.startsWith("/")) return `${host}${target}`;
  if (target === "*") return `${host}/*`;
  const path = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*(.*)$/i.exec(target)?.[1] ?? "";
  return path.startsWith("/") ? `${host}${path}` : `${host}/${path}`;
}

/** Requests whose peers are watched, because somebody has their signal. */
const watched = new Map();

/** A watched request is done with, and its peer has left before, or not. */
function peerGone(server, number, left) {
  const key = `${server}:${number}`;
  const request = watched.get(key);
  watched.delete(key);
  if (left) LazyRequest.abort(request);
}

/** Targets that are in a URL what they are on the wire, behind a host that is. */
const isPlain = (target) => target.startsWith("/") && !/[^A-Za-z0-9_~!$&()*+,;=:@/?.-]|\/\./.test(target);

/** The names and values of headers. */
function* pairs(block) {
  for (const line of block.split("\n")) {
    const end = line.indexOf(":");
    if (end > 0) yield [line.slice(0, end), line.slice(end + 1)];
  }
}

class LazyRequest {
  #server;
  #number;
  #method;
  #target;
  #block;
  #hasBody;
  #address;
  #port;
  #headers;
  #url;
  #real;
  #abort;
  #params;
  #cookies;
  #upgraded = false;
  #answered = false;

  /** `server` knows the server's `number`, `authority` and `protocol`; `block` are the headers, a line `\nname:value` for each. */
  constructor(server, number, method, target, block, hasBody, address, port) {
    this.#server = server;
    this.#number = number;
    this.#method = method;
    this.#target = target;
    this.#block = block;
    this.#hasBody = hasBody && method !== "GET" && method !== "HEAD";
    this.#address = address;
    this.#port = port;
  }

  static is(value) {
    return value !== null && typeof value === "object" && #number in value;
  }

  static number(request) {
    return LazyRequest.is(request) ? request.#number : undefined;
  }

  static server(request) {
    return request.#server.number;
  }

  /** Where it came from. */
  static origin(request) {
    if (!LazyRequest.is(request) || request.#address === undefined) return null;
    const [address, port] = [request.#address, request.#port];
    return { address, port, family: address.includes(":") ? "IPv6" : "IPv4" };
  }

  /** What the runtime may have in its hands: the real one behind a lazy one, with the headers as they are now. */
  static real(request) {
    const real = request.#made();
    for (const [name] of [...real.headers]) if (!request.#headers.has(name)) real.headers.delete(name);
    for (const [name, value] of request.#headers) if (real.headers.get(name) !== value) real.headers.set(name, value);
    return real;
  }

  /** It is a WebSocket now, and needs no answer. */
  static upgraded(request) {
    request.#upgraded = true;
  }

  /** It has got its answer. */
  static answered(request) {
    request.#answered = true;
  }

  static isUpgraded(request) {
    return request.#upgraded;
  }

  /** A route has matched. */
  static route(request, params) {
    request.#params = params;
  }

  /** The Set-Cookie lines of what was changed in `req.cookies`. */
  static cookieLines(request) {
    return request.#cookies === undefined ? [] : request.#cookies.toSetCookieHeaders();
  }

  /** The peer went before it was answered. */
  static abort(request) {
    request.#abort.abort(gone());
  }

  get method() {
    return this.#method;
  }

  get headers() {
    if (this.#headers === undefined) {
      this.#headers = new Headers();
      for (const [name, value] of pairs(this.#block)) this.#headers.append(name, value);
    }
    return this.#headers;
  }

  /** The Host field, without making Headers. */
  #host() {
    if (this.#headers !== undefined) return this.#headers.get("host");
    const at = this.#block.indexOf("\nhost:") + 6;
    if (at < 6) return "";
    const end = this.#block.indexOf("\n", at);
    return this.#block.slice(at, end < 0 ? undefined : end);
  }

  get url() {
    if (this.#url === undefined) {
      const { protocol, authority } = this.#server;
      const host = this.#host() || authority;
      const url = absolute(this.#target, `${protocol}://${host}`);
      this.#url = host === this.#server.host && isPlain(this.#target) ? url : normal(url, host, this.#server);
    }
    return this.#url;
  }

  /** The values of the route's parameters; undefined where no route has matched, as in Bun. */
  get params() {
    return this.#params;
  }

  /** The request's cookies, where a route has matched. What is changed here is sent with the response. */
  get cookies() {
    if (this.#params === undefined) return undefined;
    return (this.#cookies ??= new CookieMap(this.headers.get("cookie") ?? ""));
  }

  /** The platform's own Request, with everything that it can do. */
  #made() {
    if (this.#real === undefined) {
      const init = { method: this.#method, headers: this.headers, signal: this.signal };
      if (this.#hasBody) {
        init.duplex = "half";
        init.body = bodyOf(this.#server.number, this.#number);
      }
      this.#real = new PlatformRequest(this.url, init);
    }
    return this.#real;
  }

  /** Aborted when the peer leaves before the request is answered. */
  get signal() {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      const { number } = this.#server;
      const left = native.watch(number, this.#number);
      // Nothing is known of a request that is over: it was answered, or nobody is there any more who could be.
      if (left ?? !(this.#answered || this.#upgraded)) LazyRequest.abort(this);
      else if (left === false) watched.set(`${number}:${this.#number}`, this);
    }
    return this.#abort.signal;
  }

  get body() {
    return this.#hasBody ? this.#made().body : null;
  }

  get bodyUsed() {
    return this.#real?.bodyUsed ?? false;
  }

  clone() {
    const clone = LazyRequest.real(this).clone();
    const { params, cookies } = this;
    return params === undefined ? clone : Object.defineProperties(clone, { params: { value: params }, cookies: { value: cookies } });
  }

  [Symbol.for("nodejs.util.inspect.custom")](depth, options, inspect) {
    return inspect(this.#made(), options);
  }
}

/**
 * As the platform writes it, dots resolved and strange characters encoded; as it came when it is no URL. A host that stays as it is
 * is kept: of plain targets behind it, no URL needs to be made.
 */
function normal(given, host, server) {
  try {
    const url = new URL(given);
    if (url.host === host) server.host = host;
    return url.href;
  } catch {
    return given;
  }
}

const PlatformRequest = globalThis.Request;

// Whatever else this runtime's Request has, now or later, is the real one's.
for (const name of Object.getOwnPropertyNames(PlatformRequest.prototype)) {
  if (Object.hasOwn(LazyRequest.prototype, name)) continue;
  const { get, value } = Object.getOwnPropertyDescriptor(PlatformRequest.prototype, name);
  const member = {
    get [name]() {
      return get.call(LazyRequest.real(this));
    },
    call(...args) {
      return value.apply(LazyRequest.real(this), args);
    },
  };
  const descriptor = get === undefined ? { value: member.call, writable: true } : Object.getOwnPropertyDescriptor(member, name);
  Object.defineProperty(LazyRequest.prototype, name, { ...descriptor, configurable: true, enumerable: true });
}
Object.setPrototypeOf(LazyRequest.prototype, PlatformRequest.prototype);
delete LazyRequest.prototype.constructor; // it is a Request to everybody

// The runtime looks into a Request's private state, where a lazy one has nothing. So the two functions that take one
// are given the real one; both stay what they are in every other respect.
const seen = (args) => (LazyRequest.is(args[0]) ? [LazyRequest.real(args[0]), ...args.slice(1)] : args);
globalThis.Request = new Proxy(PlatformRequest, {
  construct: (target, args, newTarget) => Reflect.construct(target, seen(args), newTarget),
});
PlatformRequest.prototype.constructor = globalThis.Request;
globalThis.fetch = new Proxy(globalThis.fetch, { apply: (target, self, args) => Reflect.apply(target, self, seen(args)) });

module.exports = { LazyRequest, peerGone };

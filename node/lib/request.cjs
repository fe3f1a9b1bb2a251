"use strict";
// Requests and responses. A Request of the platform costs microseconds to make, so `fetch` gets an object with its prototype
// that is made real only when something asks for what only a real one has.

const native = require("./native.cjs");

/** Requests whose body is being read: number -> what to do with it. */
const reading = new Map();

class LazyRequest {
  #server;
  #number;
  #method;
  #target;
  #flat;
  #hasBody;
  #headers;
  #url;
  #real;

  constructor(server, number, method, target, flat, hasBody) {
    this.#server = server;
    this.#number = number;
    this.#method = method;
    this.#target = target;
    this.#flat = flat;
    this.#hasBody = hasBody;
  }

  static number(request) {
    return request !== null && typeof request === "object" && #number in request ? request.#number : undefined;
  }

  static server(request) {
    return request.#server.number;
  }

  get method() {
    return this.#method;
  }

  get headers() {
    if (this.#headers === undefined) {
      this.#headers = new Headers();
      for (let i = 0; i < this.#flat.length; i += 2) this.#headers.append(this.#flat[i], this.#flat[i + 1]);
    }
    return this.#headers;
  }

  get url() {
    if (this.#url === undefined) {
      const host = this.headers.get("host") || this.#server.authority;
      // An absolute target names its own host.
      this.#url = this.#target.startsWith("/") ? `${this.#server.protocol}://${host}${this.#target}` : this.#target;
    }
    return this.#url;
  }

  /** The platform's own Request, with everything that it can do. */
  #made() {
    if (this.#real === undefined) {
      const init = { method: this.#method, headers: this.headers };
      if (this.#hasBody && this.#method !== "GET" && this.#method !== "HEAD") {
        const key = `${this.#server.number}:${this.#number}`;
        const server = this.#server.number;
        const number = this.#number;
        init.duplex = "half";
        init.body = new ReadableStream({
          pull: (controller) =>
            new Promise((resolve) => {
              reading.set(key, (body) => {
                if (typeof body === "string") controller.error(new Error(body));
                else {
                  if (body.length > 0) controller.enqueue(new Uint8Array(body));
                  controller.close();
                }
                resolve();
              });
              native.readBody(server, number);
            }),
        });
      }
      this.#real = new Request(this.url, init);
    }
    return this.#real;
  }

  get body() {
    return this.#made().body;
  }

  get bodyUsed() {
    return this.#real === undefined ? false : this.#real.bodyUsed;
  }

  get signal() {
    return this.#made().signal;
  }

  clone() {
    return this.#made().clone();
  }

  text() {
    return this.#made().text();
  }

  json() {
    return this.#made().json();
  }

  arrayBuffer() {
    return this.#made().arrayBuffer();
  }

  blob() {
    return this.#made().blob();
  }

  formData() {
    return this.#made().formData();
  }
}

Object.setPrototypeOf(LazyRequest.prototype, Request.prototype);

/** The engine has read a body, or says why not. */
function bodyArrived(server, number, body) {
  const key = `${server}:${number}`;
  const give = reading.get(key);
  reading.delete(key);
  give?.(body);
}

/** Names and values of anything that a Headers object can be made of, in a flat list. */
function flatHeaders(init) {
  if (init === undefined || init === null) return [];
  // The caller's object is read, never changed. Repeated Set-Cookie lines stay apart.
  const headers = init instanceof Headers ? init : new Headers(init);
  const flat = [];
  for (const [name, value] of headers) flat.push(name, value);
  return flat;
}

/** Sends a response of `fetch`'s. */
function respond(server, number, response, fail) {
  const send = (body) => native.respond(server, number, response.status, flatHeaders(response.headers), body);
  if (response.body === null) return send("");
  response.arrayBuffer().then((body) => send(new Uint8Array(body)), fail);
}

module.exports = { LazyRequest, bodyArrived, flatHeaders, respond };

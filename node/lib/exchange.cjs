"use strict";
// What becomes of one request: the handler that answers it, what that returned, and what is done when it failed.

const native = require("./native.cjs");
const { LazyRequest } = require("./request.cjs");
const { CookieMap } = require("./cookie-map.cjs");
const { isResponse, respond } = require("./response.cjs");

const FETCH = "fetch";

/** The path of a request's target (RFC 9112, 3.2), as routes compare it: undecoded, without its query. */
function pathOf(target) {
  const path = target.startsWith("/") ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  const end = path.indexOf("?");
  return end < 0 ? path : path.slice(0, end);
}

const shown = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

/** The answer when a handler has failed and no `error` handler has one. */
function failure(error, development) {
  if (!development) return "Something went wrong!";
  return `${error?.stack ?? shown(error)}\n`;
}

class Exchange {
  #server;
  #options;
  #place;
  #number;
  #request;
  /** The name that errors give the handler. */
  #handler = FETCH;
  /** `error` has been asked. */
  #failed = false;

  /** `place` is the addon's number for the server, and `number` that of the request. */
  constructor(server, options, place, number, request) {
    this.#server = server;
    this.#options = options;
    this.#place = place;
    this.#number = number;
    this.#request = request;
  }

  /** Has the request answered. */
  begin(method, target) {
    const { routes, fetch } = this.#options;
    const route = routes.isEmpty ? undefined : routes.find(method, pathOf(target));
    if (route === undefined) {
      if (fetch === undefined) return native.respond(this.#place, this.#number, 404, [], "");
      return this.#run(fetch);
    }
    this.#handler = route.handler.name;
    if (route.handler.response !== undefined) {
      return route.handler.response.send(this.#place, this.#number, this.#request, (error) => this.#fail(error));
    }
    LazyRequest.route(this.#request, route.params);
    this.#run(route.handler.run);
  }

  #run(handler) {
    let result;
    try {
      result = handler.call(this.#server, this.#request, this.#server);
    } catch (error) {
      return this.#fail(error);
    }
    this.#settle(result);
  }

  #settle(result) {
    if (typeof result?.then !== "function") return this.#answer(result);
    result.then((response) => this.#answer(response), (error) => this.#fail(error));
  }

  #answer(response) {
    LazyRequest.answered(this.#request);
    try {
      if (isResponse(response)) {
        const cookies = LazyRequest.cookieLines(this.#request);
        return respond(this.#place, this.#number, response, cookies, (error) => this.#fail(error));
      }
      if (LazyRequest.isUpgraded(this.#request)) return;
      if (this.#failed) return this.#last(new TypeError(`Expected a Response object from error, but received ${shown(response)}`));
      console.error(new TypeError(`Expected a Response object from ${this.#handler}, but received ${shown(response)}`));
      native.respond(this.#place, this.#number, 204, [], "");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The handler failed: `error` answers, if it can. */
  #fail(error) {
    const { error: handler } = this.#options;
    if (this.#failed || handler === undefined) return this.#last(error);
    this.#failed = true;
    let result;
    try {
      result = handler.call(this.#server, error);
    } catch (again) {
      return this.#last(again);
    }
    if (result === undefined && !LazyRequest.isUpgraded(this.#request)) return this.#last(error);
    this.#settle(result);
  }

  #last(error) {
    LazyRequest.answered(this.#request);
    console.error(error);
    const lines = LazyRequest.cookieLines(this.#request).flatMap((line) => ["set-cookie", line]);
    native.respond(this.#place, this.#number, 500, ["content-type", "text/plain", ...lines], failure(error, this.#options.development));
  }
}

/** server.fetch(): answers a Request of the platform's as one from the network, without a connection. */
async function answerTo(server, options, request) {
  const route = options.routes.find(request.method, new URL(request.url).pathname);
  const name = route?.handler.name ?? FETCH;
  try {
    if (route?.handler.response !== undefined) return await route.handler.response.toResponse();
    if (route !== undefined) {
      const cookies = new CookieMap(request.headers.get("cookie") ?? "");
      Object.defineProperties(request, { params: { value: route.params }, cookies: { value: cookies } });
    }
    const handler = route?.handler.run ?? options.fetch;
    if (handler === undefined) return new Response(null, { status: 404 });
    const response = await handler.call(server, request, server);
    if (!isResponse(response)) throw new TypeError(`Expected a Response object from ${name}, but received ${shown(response)}`);
    const lines = request.cookies?.toSetCookieHeaders?.() ?? [];
    if (lines.length === 0) return response;
    const copy = new Response(response.body, response);
    for (const line of lines) copy.headers.append("set-cookie", line);
    return copy;
  } catch (error) {
    if (options.error === undefined) throw error;
    const response = await options.error.call(server, error);
    if (!isResponse(response)) throw error;
    return response;
  }
}

module.exports = { Exchange, answerTo };

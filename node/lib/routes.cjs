"use strict";
// `routes`: which handler a path and a method have. A tree by segments, in which an exact segment goes before a parameter,
// and that before a wildcard; what leads nowhere is tried again one step back.

const { invalid } = require("./errors.cjs");
const { decoded } = require("./percent.cjs");
const { isResponse, StaticResponse } = require("./response.cjs");

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
const EXPECTED = `a Response, a function (request, server), false, or an object of those by method (${METHODS.join(", ")})`;
/** Of a route that is `false`: nothing else is tried but fetch. */
const NO_HANDLER = null;

function wrong(path, message) {
  return invalid(`serve: routes[${JSON.stringify(path)}] ${message}`);
}

/** A handler, and the name that errors give it. */
function handlerOf(value, path, name) {
  if (typeof value === "function") return { name, run: value };
  if (isResponse(value)) {
    if (value.bodyUsed) throw wrong(path, "is a Response whose body has already been used");
    return { name, response: new StaticResponse(value) };
  }
  return undefined;
}

/** The handlers of a route by method; "*" is for every method. */
function handlersOf(path, value) {
  const name = `routes[${JSON.stringify(path)}]`;
  if (value === false) return new Map([["*", NO_HANDLER]]);
  const only = handlerOf(value, path, name);
  if (only !== undefined) return new Map([["*", only]]);
  if (value === null || typeof value !== "object") throw wrong(path, `must be ${EXPECTED}, not ${value === null ? "null" : typeof value}`);
  const handlers = new Map();
  for (const [method, given] of Object.entries(value)) {
    if (!METHODS.includes(method)) throw wrong(path, `must be ${EXPECTED}; ${JSON.stringify(method)} is no such method`);
    const handler = handlerOf(given, path, `${name}.${method}`);
    if (handler === undefined && given !== undefined) throw wrong(path, `has a ${method} that is neither a Response nor a function`);
    if (handler !== undefined) handlers.set(method, handler);
  }
  if (handlers.size === 0) throw wrong(path, `must be ${EXPECTED}; it is an object without any`);
  return handlers;
}

/** The segments of a route's path, checked. */
function segmentsOf(path) {
  if (!path.startsWith("/")) throw wrong(path, "is no path: it must start with '/'");
  const segments = path.slice(1).split("/");
  const star = segments.indexOf("*");
  if (star >= 0 && star !== segments.length - 1) throw wrong(path, "has a '*' that is not its last segment");
  const names = segments.filter((segment) => segment.startsWith(":")).map((segment) => segment.slice(1));
  if (new Set(names).size < names.length) throw wrong(path, "names a parameter twice");
  return { segments, names };
}

/** A place in the tree. */
const node = () => ({ exact: new Map(), parameter: undefined, routes: [], wildcards: [] });

class Routes {
  #root = node();
  /** Whether there is none. */
  isEmpty = true;

  constructor(given) {
    if (given === undefined) return;
    if (given === null || typeof given !== "object") throw new TypeError("serve: routes must be an object: path -> Response or handler");
    for (const [path, value] of Object.entries(given)) {
      if (value !== undefined) this.#add(path, value);
    }
  }

  #add(path, value) {
    const { segments, names } = segmentsOf(path);
    const route = { names, handlers: handlersOf(path, value) };
    let at = this.#root;
    this.isEmpty = false;
    for (const segment of segments) {
      if (segment === "*") return void at.wildcards.push(route);
      if (segment.startsWith(":")) at = at.parameter ??= node();
      else {
        if (!at.exact.has(segment)) at.exact.set(segment, node());
        at = at.exact.get(segment);
      }
    }
    at.routes.push(route);
  }

  /** The handler for a method and a path, with its parameters; undefined when there is none. */
  find(method, path) {
    if (this.isEmpty || !path.startsWith("/")) return undefined;
    const found = search(this.#root, path.slice(1).split("/"), 0, [], method);
    return found === undefined || found.handler === NO_HANDLER ? undefined : found;
  }
}

/** HEAD is answered as GET is, unless it has a handler of its own. */
function choose(routes, method, values) {
  for (const { names, handlers } of routes) {
    let handler = handlers.get(method);
    if (handler === undefined && method === "HEAD") handler = handlers.get("GET");
    if (handler === undefined) handler = handlers.get("*");
    if (handler !== undefined) return { handler, params: Object.fromEntries(names.map((name, i) => [name, decoded(values[i])])) };
  }
  return undefined;
}

function search(at, segments, depth, values, method) {
  if (depth === segments.length) return choose(at.routes, method, values);
  const segment = segments[depth];
  const exact = at.exact.get(segment);
  let found = exact && search(exact, segments, depth + 1, values, method);
  if (found === undefined && at.parameter !== undefined && segment !== "") {
    found = search(at.parameter, segments, depth + 1, [...values, segment], method);
  }
  return found ?? choose(at.wildcards, method, values);
}

module.exports = { Routes };

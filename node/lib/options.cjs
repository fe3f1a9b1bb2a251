"use strict";
// The options of serve(): their defaults, and errors that name the option and what was expected.

const { invalid, shown } = require("./errors.cjs");
const { Routes } = require("./routes.cjs");
const { tls } = require("./tls.cjs");
const { hint } = require("./hints.cjs");

const MAX_UINT32 = 0xffffffff;

const wrong = (name, expected, value) => invalid(`serve: ${name} must be ${expected}, not ${shown(value)}`);

// What is null was not given: so does Bun have it.

function number(object, prefix, name, fallback, least, most) {
  const value = object[name] ?? undefined;
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw wrong(prefix + name, most === Infinity ? `a number, ${least} or more` : `a number from ${least} to ${most}`, value);
  }
  return value;
}

/** A size in bytes; what is larger than the engine counts is the largest. */
function size(object, prefix, name, fallback) {
  return Math.min(number(object, prefix, name, fallback, 0, Infinity), MAX_UINT32);
}

function boolean(object, prefix, name, fallback) {
  const value = object[name] ?? undefined;
  if (value === undefined) return fallback;
  if (typeof value !== "boolean") throw wrong(prefix + name, "true or false", value);
  return value;
}

function handler(object, prefix, name) {
  const value = object[name] ?? undefined;
  if (value !== undefined && typeof value !== "function") throw wrong(prefix + name, "a function", value);
  return value;
}

function port(options) {
  const { TIDEWIRE_PORT, PORT } = process.env;
  // A variable of the environment that is empty was not given.
  const value = [options.port, TIDEWIRE_PORT, PORT].find((port) => (port ?? "") !== "") ?? 3000;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (!Number.isInteger(number) || number < 0 || number > 65535) throw wrong("port", "a whole number from 0 to 65535", value);
  return number;
}

const COMPRESSORS = ["disable", "shared", "dedicated", "3KB", "4KB", "8KB", "16KB", "32KB", "64KB", "128KB", "256KB"];

/** How one direction is compressed, by name. */
function compressor(given, name) {
  const value = given[name] ?? false;
  if (typeof value === "boolean") return value ? "shared" : "disable";
  if (COMPRESSORS.includes(value)) return value;
  throw wrong(`websocket.perMessageDeflate.${name}`, `a boolean or one of ${COMPRESSORS.join(", ")}`, value);
}

function compression(websocket) {
  const value = websocket.perMessageDeflate ?? false;
  if (typeof value !== "boolean" && typeof value !== "object") {
    throw wrong("websocket.perMessageDeflate", "a boolean or an object {compress, decompress}", value);
  }
  const given = typeof value === "boolean" ? { compress: value, decompress: value } : value;
  return { compress: compressor(given, "compress"), decompress: compressor(given, "decompress") };
}

const HANDLERS = ["open", "message", "drain", "close", "ping", "pong", "error"];
const LIMITS = [
  ...["maxPayloadLength", "idleTimeout", "backpressureLimit", "maxFragments", "closeOnBackpressureLimit", "sendPings", "publishToSelf"],
  "perMessageDeflate",
];
const NAMES = ["fetch", "websocket", "routes", "error", "port", "hostname", "unix", "tls", "reusePort", "idleTimeout", "maxRequestBodySize"];

/** The handler object and its limits. */
function webSocket(given) {
  const websocket = given ?? {};
  if (typeof websocket !== "object") throw wrong("websocket", "an object of handlers and limits", given);
  const prefix = "websocket.";
  hint("websocket", websocket, [...HANDLERS, ...LIMITS]);
  return {
    /** Without handlers a request cannot be upgraded: there would be nobody to hear of it. */
    upgrades: (given ?? undefined) !== undefined,
    handlers: Object.fromEntries(HANDLERS.map((name) => [name, handler(websocket, prefix, name)])),
    socketLimits: {
      maxPayloadLength: size(websocket, prefix, "maxPayloadLength", 16 * 1024 * 1024),
      idleTimeout: number(websocket, prefix, "idleTimeout", 120, 0, MAX_UINT32),
      // 0 is for no limit, as in Bun.
      backpressureLimit: size(websocket, prefix, "backpressureLimit", 1024 * 1024) || Number.MAX_SAFE_INTEGER,
      maxFragments: number(websocket, prefix, "maxFragments", 131072, 1, MAX_UINT32),
      closeOnBackpressureLimit: boolean(websocket, prefix, "closeOnBackpressureLimit", false),
      sendPings: boolean(websocket, prefix, "sendPings", true),
      publishToSelf: boolean(websocket, prefix, "publishToSelf", false),
      ...compression(websocket),
    },
  };
}

/** The limits of requests. */
function requestLimits(options, before) {
  return {
    httpIdleTimeout: number(options, "", "idleTimeout", before.httpIdleTimeout, 0, MAX_UINT32),
    maxRequestBodySize: number(options, "", "maxRequestBodySize", before.maxRequestBodySize, 0, Number.MAX_SAFE_INTEGER),
  };
}

const REQUEST_LIMITS = { httpIdleTimeout: 10, maxRequestBodySize: 128 * 1024 * 1024 };

/** Where to listen. */
function place(options) {
  const unix = options.unix ?? undefined;
  if (unix !== undefined && (typeof unix !== "string" || unix === "")) throw wrong("unix", "the path of a socket", unix);
  if (unix !== undefined && (options.port ?? options.hostname ?? undefined) !== undefined) {
    throw invalid("serve: unix excludes port and hostname");
  }
  const hostname = (options.hostname ?? "") === "" ? "0.0.0.0" : options.hostname;
  if (typeof hostname !== "string") throw wrong("hostname", "a string", hostname);
  return {
    unix,
    hostname,
    port: unix === undefined ? port(options) : 0,
    reusePort: boolean(options, "", "reusePort", false),
    ipv6Only: boolean(options, "", "ipv6Only", false),
  };
}

function object(options) {
  if (options === null || typeof options !== "object") throw wrong("its argument", "an object of options", options);
}

/** Bun takes an object of settings for its bundler, too. */
function development(options, fallback) {
  const value = options.development;
  return value !== null && typeof value === "object" ? true : boolean(options, "", "development", fallback);
}

function identifier(id) {
  if (id !== undefined && id !== null && typeof id !== "string") throw wrong("id", "a string", id);
  return id ?? "";
}

/** What answers requests. */
function handlers(options, before) {
  const fetch = handler(options, "", "fetch") ?? before.fetch;
  const routes = options.routes === undefined && before.routes !== undefined ? before.routes : new Routes(options.routes);
  // With handlers of sockets alone, as the documentation of Bun writes it, every request gets 404.
  if (fetch === undefined && routes.isEmpty && options.websocket === undefined) {
    throw invalid("serve: fetch must be a function (request, server), or routes an object: path -> Response or handler");
  }
  return { fetch, routes, error: handler(options, "", "error") ?? before.error };
}

/** The options of serve(). */
function read(options) {
  object(options);
  hint("serve", options, NAMES);
  return {
    ...handlers(options, {}),
    development: development(options, false),
    id: identifier(options.id),
    place: place(options),
    tls: tls(options.tls),
    requestLimits: requestLimits(options, REQUEST_LIMITS),
    ...webSocket(options.websocket),
  };
}

/** Other certificates. That a server is secured, or not, stays: a connection is one or the other from its first byte. */
function certificates(options, before) {
  if ((options.tls ?? undefined) === undefined) return before.tls;
  const given = tls(options.tls);
  if ((given === undefined) === (before.tls === undefined)) return given;
  throw invalid(`serve: tls cannot be turned ${given === undefined ? "off" : "on"} by reload(): stop the server and serve anew`);
}

/** The options of reload(): what is not given stays as it is, and so does the place. */
function reread(options, before) {
  object(options);
  return {
    ...before,
    ...handlers(options, before),
    development: development(options, before.development),
    tls: certificates(options, before),
    requestLimits: requestLimits(options, before.requestLimits),
    ...(options.websocket === undefined ? {} : webSocket(options.websocket)),
  };
}

/** All limits, as the engine takes them. */
const limits = (options) => ({ ...options.socketLimits, ...options.requestLimits });

module.exports = { read, reread, limits };

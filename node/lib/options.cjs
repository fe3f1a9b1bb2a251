"use strict";
// The options of serve(): their defaults, and errors that name the option and what was expected.

const MAX_UINT32 = 0xffffffff;

function wrong(name, expected, value) {
  const given = typeof value === "string" ? JSON.stringify(value) : value === null ? "null" : String(value);
  return new TypeError(`serve: ${name} must be ${expected}, not ${given}`);
}

function number(object, prefix, name, fallback, least, most) {
  const value = object[name];
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw wrong(prefix + name, `a number from ${least} to ${most}`, value);
  }
  return value;
}

function boolean(object, prefix, name, fallback) {
  const value = object[name];
  if (value === undefined) return fallback;
  if (typeof value !== "boolean") throw wrong(prefix + name, "true or false", value);
  return value;
}

function handler(object, prefix, name) {
  const value = object[name];
  if (value !== undefined && typeof value !== "function") throw wrong(prefix + name, "a function", value);
  return value;
}

function port(options) {
  const { TIDEWIRE_PORT, PORT } = process.env;
  const value = options.port ?? TIDEWIRE_PORT ?? PORT ?? 3000;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (!Number.isInteger(number) || number < 0 || number > 65535) throw wrong("port", "a whole number from 0 to 65535", value);
  return number;
}

/** Where to listen, the limits, and the flags as the engine takes them. */
function read(options) {
  if (options === null || typeof options !== "object") throw wrong("its argument", "an object of options", options);
  const websocket = options.websocket ?? {};
  if (typeof websocket !== "object") throw wrong("websocket", "an object of handlers and limits", options.websocket);
  if (typeof options.fetch !== "function") throw wrong("fetch", "a function (request, server)", options.fetch);
  if (options.tls !== undefined) throw new TypeError("serve: tls is not supported yet");
  const unix = options.unix;
  if (unix !== undefined && (typeof unix !== "string" || unix === "")) throw wrong("unix", "the path of a socket", unix);
  if (unix !== undefined && (options.port !== undefined || options.hostname !== undefined)) {
    throw new TypeError("serve: unix excludes port and hostname");
  }
  const hostname = options.hostname ?? "0.0.0.0";
  if (typeof hostname !== "string") throw wrong("hostname", "a string", hostname);
  const flag = (object, prefix, name, fallback, bit) => (boolean(object, prefix, name, fallback) ? bit : 0);
  const handlers = {};
  for (const name of ["open", "message", "drain", "close", "ping", "pong", "error"]) {
    handlers[name] = handler(websocket, "websocket.", name);
  }
  return {
    fetch: options.fetch,
    error: handler(options, "", "error"),
    development: boolean(options, "", "development", false),
    handlers,
    hostname,
    port: unix === undefined ? port(options) : 0,
    unix,
    flags:
      flag(websocket, "websocket.", "closeOnBackpressureLimit", false, 1) |
      flag(websocket, "websocket.", "sendPings", true, 2) |
      flag(websocket, "websocket.", "publishToSelf", false, 4) |
      flag(options, "", "reusePort", false, 8) |
      flag(options, "", "ipv6Only", false, 16),
    maxPayloadLength: number(websocket, "websocket.", "maxPayloadLength", 16 * 1024 * 1024, 0, MAX_UINT32),
    idleTimeout: number(websocket, "websocket.", "idleTimeout", 120, 0, MAX_UINT32),
    backpressureLimit: number(websocket, "websocket.", "backpressureLimit", 1024 * 1024, 0, MAX_UINT32),
    httpIdleTimeout: number(options, "", "idleTimeout", 10, 0, MAX_UINT32),
    maxRequestBodySize: number(options, "", "maxRequestBodySize", 128 * 1024 * 1024, 0, Number.MAX_SAFE_INTEGER),
    maxFragments: number(websocket, "websocket.", "maxFragments", 131072, 1, MAX_UINT32),
  };
}

module.exports = { read };

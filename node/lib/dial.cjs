"use strict";
// What `new WebSocket(url, options)` asks for, in the shape that the addon takes. What cannot be asked for throws here, as the
// standard has it, or with a TypeError that names the option.

const { sources, string, lines } = require("./tls.cjs");

const SCHEMES = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };
const UNIX_SCHEMES = ["ws+unix:", "wss+unix:"];
/** A token of HTTP (RFC 9110, section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What a header's value may not hold (RFC 9110, section 5.5): a character is a byte. */
// eslint-disable-next-line no-control-regex
const UNSENDABLE = /[\0\r\n]|[^\0-\xff]/;

const syntaxError = (message) => new DOMException(message, "SyntaxError");

/** The URL as the standard has it, ws or wss and no fragment; or Bun's ws+unix. */
function address(given) {
  let url;
  try {
    url = new URL(`${given}`);
  } catch {
    throw syntaxError(`WebSocket: ${JSON.stringify(`${given}`)} is no URL`);
  }
  if (url.href.includes("#")) throw syntaxError(`WebSocket: a URL with a fragment cannot be connected to: ${url.href}`);
  if (UNIX_SCHEMES.includes(url.protocol)) return { url: url.href, origin: "" };
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) throw syntaxError(`WebSocket: the scheme must be ws, wss, http or https, not ${url.protocol.slice(0, -1)}`);
  return { url: scheme + url.href.slice(url.protocol.length), origin: `${scheme}//${url.host}` };
}

/** A list of subprotocols, from a string or an iterable of strings. */
function subprotocols(given) {
  const list = given === undefined ? [] : typeof given === "object" && given !== null ? Array.from(given, String) : [`${given}`];
  const seen = new Set();
  for (const protocol of list) {
    if (!TOKEN.test(protocol)) throw syntaxError(`WebSocket: ${JSON.stringify(protocol)} cannot be a subprotocol`);
    if (seen.has(protocol.toLowerCase())) throw syntaxError(`WebSocket: the subprotocol ${protocol} is given twice`);
    seen.add(protocol.toLowerCase());
  }
  return list;
}

/** Names and values, flat, of Headers, pairs, or an object whose values may be lists. */
function headers(given, name) {
  if (given === undefined || given === null) return [];
  if (typeof given !== "object") throw new TypeError(`WebSocket: ${name} must be an object, Headers or an array of pairs, not ${typeof given}`);
  const flat = [];
  for (const [header, value] of typeof given[Symbol.iterator] === "function" ? given : Object.entries(given)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      const text = `${one}`.trim();
      if (!TOKEN.test(header)) throw new TypeError(`WebSocket: ${name}: ${JSON.stringify(header)} cannot be a header's name`);
      if (UNSENDABLE.test(text)) throw new TypeError(`WebSocket: ${name}: the value of ${header} has a character that cannot be sent`);
      flat.push(header, text);
    }
  }
  return flat;
}

/** How to speak TLS: certificates to trust and to show. undefined: as usual. */
function security(given, name) {
  if (given === undefined || given === null || given === true) return undefined;
  if (typeof given !== "object") throw new TypeError(`WebSocket: ${name} must be an object, not ${typeof given}`);
  if (given.checkServerIdentity !== undefined) {
    throw new TypeError(`WebSocket: ${name}.checkServerIdentity is not supported: use ${name}.ca and ${name}.serverName`);
  }
  const prefix = `WebSocket: ${name}.`;
  const [certs, keys] = [sources(given, prefix, "cert"), sources(given, prefix, "key")];
  if (keys.length > 1) throw new TypeError(`WebSocket: ${name}.key must be one key, not ${keys.length}`);
  if ((certs.length === 0) !== (keys.length === 0)) {
    throw new TypeError(`WebSocket: ${name}.cert and ${name}.key belong together: one of them is missing`);
  }
  const verify = given.rejectUnauthorized ?? true;
  if (typeof verify !== "boolean") throw new TypeError(`WebSocket: ${name}.rejectUnauthorized must be true or false, not ${typeof verify}`);
  return {
    ca: sources(given, prefix, "ca"),
    cert: certs.length === 0 ? undefined : lines(certs),
    key: keys[0],
    passphrase: string(given, prefix, "passphrase"),
    serverName: string(given, prefix, "serverName") ?? string(given, prefix, "servername"),
    verify,
  };
}

/** A proxy to go through: its URL, the headers that it gets, and how to speak TLS with it. */
function through(given, tls) {
  if (given === undefined || given === null || given === "") return undefined;
  const options = typeof given === "object" && !(given instanceof URL) ? given : { url: given };
  let url;
  try {
    url = new URL(`${options.url}`);
  } catch {
    throw new TypeError(`WebSocket: proxy must be the URL of a proxy, not ${JSON.stringify(`${options.url}`)}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`WebSocket: the scheme of proxy must be http or https, not ${url.protocol.slice(0, -1)}`);
  }
  return {
    url: url.href,
    headers: headers(options.headers, "proxy.headers"),
    tls: options.tls === undefined || options.tls === null ? tls : security(options.tls, "proxy.tls"),
  };
}

/** What to connect to, and how. */
function dialed(url, given) {
  // A list of subprotocols is iterable; options are not.
  const isOptions = typeof given === "object" && given !== null && typeof given[Symbol.iterator] !== "function";
  const options = isOptions ? given : {};
  const tls = security(options.tls, "tls");
  return {
    ...address(url),
    protocols: subprotocols(isOptions ? (options.protocols ?? options.protocol) : given),
    headers: headers(options.headers, "headers"),
    // As in Bun: offered unless it is said otherwise.
    deflate: "perMessageDeflate" in options ? Boolean(options.perMessageDeflate) : true,
    tls,
    proxy: through(options.proxy, tls),
  };
}

module.exports = { dialed };

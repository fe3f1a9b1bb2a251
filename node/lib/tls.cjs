"use strict";
// The option `tls`: certificates and keys in the forms that Bun takes, and what clients must show.

const { invalid } = require("./errors.cjs");

const FILES = ["keyFile", "certFile", "caFile", "dhParamsFile"];

const kind = (value) => (value === null ? "null" : (value?.constructor?.name ?? typeof value));

/** PEM or DER, as bytes. */
function source(value, name) {
  if (typeof value === "string") {
    if (!value.includes("-----BEGIN")) {
      throw invalid(`${name} is no PEM (there is no "-----BEGIN" in it): give what is in the file, as fs.readFileSync(path) reads it, not its path`);
    }
    return Buffer.from(value);
  }
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  const file = value instanceof Blob ? ": there is no file object of Bun's on Node.js; read it with fs.readFileSync" : "";
  throw invalid(`${name} must be PEM or DER (a string, Buffer or Uint8Array), or an array of these, not ${kind(value)}${file}`);
}

/** Those of one option; `prefix` goes before its name in errors. */
function sources(given, prefix, name) {
  const value = given[name] ?? [];
  return (Array.isArray(value) ? value : [value]).map((one) => source(one, prefix + name));
}

function string(given, prefix, name) {
  const value = given[name] ?? undefined;
  if (value !== undefined && typeof value !== "string") throw invalid(`${prefix}${name} must be a string, not ${kind(value)}`);
  return value || undefined;
}

const lines = (list) => Buffer.concat(list.flatMap((part) => [part, Buffer.from("\n")]));

/** The certificates of one entry, each with its key. */
function certificates(given, prefix) {
  if (given === null || typeof given !== "object") {
    throw invalid(`${prefix.slice(0, -1)} must be an object {key, cert, ...}, not ${kind(given)}`);
  }
  for (const name of FILES) {
    if (given[name] !== undefined) {
      throw invalid(`${prefix}${name} is not supported: give what is in the file as ${(prefix + name).replace(/^\w+: |File$/g, "")}`);
    }
  }
  const [certs, keys] = [sources(given, prefix, "cert"), sources(given, prefix, "key")];
  for (const [name, list] of [["cert", certs], ["key", keys]]) {
    if (list.length === 0) throw invalid(`${prefix}${name} is missing: a server needs a certificate and its key`);
  }
  // One key: the certificates are its chain. Several: each has one.
  const chains = keys.length === 1 ? [certs.length === 1 ? certs[0] : lines(certs)] : certs;
  if (chains.length !== keys.length) {
    throw invalid(`${prefix}key has ${keys.length} entries and cert ${certs.length}: each key needs its certificate`);
  }
  const passphrase = string(given, prefix, "passphrase");
  const serverName = string(given, prefix, "serverName");
  return keys.map((key, place) => ({ cert: chains[place], key, passphrase, serverName }));
}

/** What must be the same in all entries, because a client is asked for its certificate whatever name it asks for. */
function common(entries, prefixes, name, fallback) {
  let found;
  entries.forEach((given, place) => {
    const value = given[name] ?? undefined;
    if (value === undefined) return;
    if (typeof value !== "boolean") throw invalid(`${prefixes[place]}${name} must be true or false, not ${kind(value)}`);
    if (found !== undefined && found !== value) throw invalid(`${prefixes[place]}${name} must be the same in all entries of tls`);
    found = value;
  });
  return found ?? fallback;
}

/** What the engine needs; undefined: no TLS. */
function tls(value) {
  if (value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0)) return undefined;
  const entries = Array.isArray(value) ? value : [value];
  const prefixes = entries.map((_, place) => (Array.isArray(value) ? `serve: tls[${place}].` : "serve: tls."));
  const result = {
    certificates: entries.flatMap((given, place) => certificates(given, prefixes[place])),
    ca: entries.flatMap((given, place) => sources(given, prefixes[place], "ca")),
    requestCert: common(entries, prefixes, "requestCert", false),
    rejectUnauthorized: common(entries, prefixes, "rejectUnauthorized", true),
  };
  if (result.requestCert && result.rejectUnauthorized && result.ca.length === 0) {
    throw invalid("serve: tls.requestCert with tls.rejectUnauthorized needs tls.ca, because without one every client would be refused");
  }
  return result;
}

module.exports = { tls, sources, string, lines };

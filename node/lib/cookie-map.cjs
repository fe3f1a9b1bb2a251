"use strict";
// CookieMap as Bun has it: the cookies of a request, and what is to change in them.

const { Cookie, named, missing } = require("./cookie.cjs");
const { decoded } = require("./percent.cjs");

/** The cookies of a Cookie field: names as they are, values decoded. What is no pair is skipped. */
function ofHeader(header) {
  const cookies = [];
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim();
    if (name !== "") cookies.push({ name, value: decoded(pair.slice(equals + 1).trim()) });
  }
  return cookies;
}

function ofPair(pair) {
  if (!Array.isArray(pair)) throw new TypeError("Expected each element to be an array of two strings");
  if (pair.length !== 2) throw new TypeError("Expected arrays of exactly two strings");
  return { name: String(pair[0]), value: String(pair[1]) };
}

function cookiesOf(init) {
  if (init === undefined || init === null) return [];
  if (typeof init === "string") return ofHeader(init);
  if (typeof init !== "object") throw new TypeError("Invalid initializer type");
  return (Array.isArray(init) ? init : Object.entries(init)).map(ofPair);
}

const Iterator = Object.create(Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())), {
  [Symbol.toStringTag]: { value: "CookieMap Iterator", configurable: true },
});

/** An iterator that sees changes which are made meanwhile. */
function iterator(list, give) {
  let at = 0;
  const next = () => {
    const cookie = list()[at++];
    return cookie === undefined ? { done: true, value: undefined } : { done: false, value: give(cookie) };
  };
  return Object.create(Iterator, { next: { value: next } });
}

/** Cookies by name, with the changes that are to be made in the browser. */
class CookieMap {
  /** What the browser has, as far as it is not changed. */
  #cookies;
  /** What was set, and what was deleted, by name; the last change is last. */
  #changes = new Map();
  /** What is there now, until something changes. */
  #list;

  constructor(init) {
    this.#cookies = cookiesOf(init);
  }

  /** A change to the empty text is a deletion. */
  #all() {
    this.#list ??= [...[...this.#changes.values()].filter((cookie) => cookie.value !== ""), ...this.#cookies];
    return this.#list;
  }

  #change(cookie) {
    this.#cookies = this.#cookies.filter(({ name }) => name !== cookie.name);
    this.#changes.delete(cookie.name);
    this.#changes.set(cookie.name, cookie);
    this.#list = undefined;
  }

  #find(name) {
    return this.#all().find((cookie) => cookie.name === String(name));
  }

  get size() {
    return this.#all().length;
  }

  get(name) {
    return this.#find(name)?.value ?? null;
  }

  has(name) {
    return this.#find(name) !== undefined;
  }

  /** set(name, value, options), set(options) or set(cookie), which is kept as it is. */
  set(name, value, options) {
    if (arguments.length === 0) return;
    if (name instanceof Cookie) return this.#change(name);
    if (name !== null && typeof name === "object") return this.#change(new Cookie(name));
    if (arguments.length < 2) throw missing();
    this.#change(new Cookie(named(name), value, options));
  }

  /** delete(name, {domain, path}) or delete({name, domain, path}). */
  delete(name, options) {
    if (arguments.length === 0) return;
    if (options === null) throw new TypeError("Options must be an object");
    const given = name !== null && typeof name === "object" ? name : { ...options, name };
    if (given.name === undefined) throw new TypeError("Cookie name is required");
    const { domain, path } = given;
    this.#change(new Cookie(named(given.name), "", { domain, path, expires: 0 }));
  }

  /** The lines of Set-Cookie that make the changes in the browser. */
  toSetCookieHeaders() {
    return Array.from(this.#changes.values(), String);
  }

  entries() {
    return iterator(() => this.#all(), ({ name, value }) => [name, value]);
  }

  keys() {
    return iterator(() => this.#all(), ({ name }) => name);
  }

  values() {
    return iterator(() => this.#all(), ({ value }) => value);
  }

  forEach(callback, self) {
    if (typeof callback !== "function") throw new TypeError("Cannot call callback on a non-function");
    for (const [name, value] of this.entries()) callback.call(self, value, name, this);
  }

  /** The first value of each name. */
  toJSON() {
    const first = new Map();
    for (const [name, value] of this) if (!first.has(name)) first.set(name, value);
    return Object.fromEntries(first);
  }

  get [Symbol.toStringTag]() {
    return "CookieMap";
  }
}

Object.defineProperty(CookieMap.prototype, Symbol.iterator, { value: CookieMap.prototype.entries, writable: true, configurable: true });

module.exports = { CookieMap };

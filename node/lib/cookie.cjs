"use strict";
// Cookie as Bun has it (RFC 6265). Packages that parse cookies exist, but none has this class and the map of its changes.

const SAME_SITE = { strict: "Strict", lax: "Lax", none: "None" };
/** Bun takes more than RFC 6265's tokens for a name: what a browser sends is to be read. */
const NAME = /^[\x21-\x3a\x3c\x3e-\x7e]+$/;
/** A path is any character but controls and `;`. */
const PATH = /^[\x20-\x3a\x3c-\x7e]*$/;
const DOMAIN = /^[a-z0-9.-]*$/;

function named(name) {
  if (!NAME.test(name)) throw new TypeError("Invalid cookie name: contains invalid characters");
  return String(name);
}

function missing() {
  return Object.assign(new TypeError("Not enough arguments"), { code: "ERR_MISSING_ARGS" });
}

/** A parameter that should be an object, if it is anything. */
function optionsOf(options) {
  if (options === undefined) return {};
  if (options === null || !["object", "function"].includes(typeof options)) throw new TypeError("Options must be an object");
  return options;
}

/** Seconds since 1970, a Date, or a date as a string; undefined for none. */
function date(expires) {
  if (expires === undefined || expires === null) return undefined;
  if (expires instanceof Date) {
    if (Number.isNaN(expires.getTime())) throw new RangeError("expires must be a valid Date (or Number)");
    return new Date(expires);
  }
  if (typeof expires === "number") {
    if (!Number.isFinite(expires)) throw new RangeError("expires must be a valid Number (or Date)");
    return new Date(expires * 1000);
  }
  if (typeof expires !== "string") throw new TypeError("Invalid expires value. Must be a Date or a number");
  const parsed = dateOf(expires);
  if (parsed === undefined) throw new TypeError("Invalid cookie expiration date");
  return parsed;
}

/** The date that a text of RFC 6265, 5.1.1 stands for: with the name of a month, and in UTC. */
function dateOf(text) {
  if (!/[a-z]{3}/i.test(text)) return undefined;
  const time = new Date(/(gmt|utc|z|[+-]\d{4})$/i.test(text) ? text : `${text} GMT`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** One cookie: name, value and attributes. */
class Cookie {
  #name;
  #value;
  #domain = null;
  #path = "/";
  #expires;
  #maxAge;
  #sameSite = "lax";
  #secure = false;
  #httpOnly = false;
  #partitioned = false;

  constructor(name, value, options) {
    let given = options ?? undefined;
    if (arguments.length < 2) {
      if (name === undefined || name === null) throw missing();
      if (typeof name !== "object") return Cookie.parse(name);
      given = name;
      ({ name = "", value = "" } = name);
    }
    if (name === "") throw new TypeError("name is required");
    this.#name = named(name);
    this.#value = scalar(value);
    this.#take(optionsOf(given));
  }

  #take({ domain, path, expires, maxAge, sameSite, secure, httpOnly, partitioned }) {
    if (domain !== undefined && domain !== null && domain !== "") this.domain = domain;
    if (path !== undefined && path !== null) this.path = path;
    this.expires = expires;
    if (typeof maxAge === "number" && !Number.isNaN(maxAge)) this.#maxAge = maxAge;
    if (sameSite !== undefined && sameSite !== null) this.sameSite = sameSite;
    this.secure = secure;
    this.httpOnly = httpOnly;
    this.partitioned = partitioned;
  }

  get name() {
    return this.#name;
  }

  // A cookie's name stays; that assigning it is no error is Bun's.
  set name(_) {}

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = scalar(value);
  }

  get domain() {
    return this.#domain;
  }

  /** null and undefined take it away. */
  set domain(domain) {
    if (!DOMAIN.test(domain ?? "")) throw new TypeError("Invalid cookie domain: contains invalid characters");
    this.#domain = domain === undefined || domain === null ? null : String(domain);
  }

  get path() {
    return this.#path;
  }

  /** The empty path leaves it to the browser; null and undefined stand for the default. */
  set path(path) {
    if (!PATH.test(path ?? "/")) throw new TypeError("Invalid cookie path: contains invalid characters");
    this.#path = String(path ?? "/");
  }

  get expires() {
    return this.#expires;
  }

  set expires(expires) {
    this.#expires = date(expires);
  }

  get maxAge() {
    return this.#maxAge;
  }

  set maxAge(maxAge) {
    const seconds = maxAge === undefined || maxAge === null ? undefined : Number(maxAge);
    if (seconds !== undefined && !Number.isFinite(seconds)) throw new TypeError("The provided value is non-finite");
    this.#maxAge = seconds;
  }

  get sameSite() {
    return this.#sameSite;
  }

  set sameSite(sameSite) {
    if (!Object.hasOwn(SAME_SITE, sameSite)) throw new TypeError("Invalid sameSite value. Must be 'strict', 'lax', or 'none'");
    this.#sameSite = sameSite;
  }

  get secure() {
    return this.#secure;
  }

  set secure(secure) {
    this.#secure = Boolean(secure);
  }

  get httpOnly() {
    return this.#httpOnly;
  }

  set httpOnly(httpOnly) {
    this.#httpOnly = Boolean(httpOnly);
  }

  get partitioned() {
    return this.#partitioned;
  }

  set partitioned(partitioned) {
    this.#partitioned = Boolean(partitioned);
  }

  /** Max-Age goes before Expires (RFC 6265, 5.3). */
  isExpired() {
    if (this.#maxAge !== undefined) return this.#maxAge <= 0;
    return this.#expires !== undefined && this.#expires.getTime() < Date.now();
  }

  /** The value of a Set-Cookie field. */
  serialize() {
    let text = `${this.#name}=${encodeURIComponent(this.#value)}`;
    if (this.#domain) text += `; Domain=${this.#domain}`;
    if (this.#path) text += `; Path=${this.#path}`;
    if (this.#expires !== undefined) text += `; Expires=${this.#expires.toUTCString()}`;
    if (this.#maxAge !== undefined) text += `; Max-Age=${this.#maxAge}`;
    if (this.#secure) text += "; Secure";
    if (this.#httpOnly) text += "; HttpOnly";
    if (this.#partitioned) text += "; Partitioned";
    return `${text}; SameSite=${SAME_SITE[this.#sameSite]}`;
  }

  toString() {
    return this.serialize();
  }

  /** What is not set is left out. */
  toJSON() {
    const { name, value, path, secure, sameSite, httpOnly, partitioned } = this;
    const domain = this.#domain ? { domain: this.#domain } : {};
    const expires = this.#expires === undefined ? {} : { expires: this.expires };
    const maxAge = this.#maxAge === undefined ? {} : { maxAge: this.#maxAge };
    return { __proto__: null, name, value, ...domain, path, ...expires, ...maxAge, secure, sameSite, httpOnly, partitioned };
  }

  get [Symbol.toStringTag]() {
    return "Cookie";
  }

  static from(name, value, options) {
    if (arguments.length < 2) throw missing();
    return new Cookie(name, value, options);
  }

  /** Reads a Set-Cookie line. Unknown and unreadable attributes are ignored (RFC 6265, 5.2); the value is taken as it is. */
  static parse(line) {
    if (arguments.length === 0) throw missing();
    const [pair, ...attributes] = header(line).split(";");
    const equals = pair.indexOf("=");
    if (equals < 0) throw new TypeError("Invalid cookie string: no '=' found");
    const name = pair.slice(0, equals).trim();
    if (name === "") throw new TypeError("Invalid cookie string: name cannot be empty");
    const cookie = new Cookie(name, pair.slice(equals + 1).trim());
    for (const attribute of attributes) {
      const at = attribute.indexOf("=");
      const key = (at < 0 ? attribute : attribute.slice(0, at)).trim().toLowerCase();
      if (Object.hasOwn(ATTRIBUTES, key)) ATTRIBUTES[key](cookie, at < 0 ? "" : attribute.slice(at + 1).trim());
    }
    return cookie;
  }
}

/** What may stand in a header's value (RFC 9110, 5.5): bytes without line ends, and no blanks around them. */
function header(line) {
  if (typeof line !== "string" || line === "") throw new TypeError("Invalid cookie string: empty");
  if (line !== line.trim() || /[\0\r\n]|[^\0-\xff]/.test(line)) throw new TypeError("cookie string is not a valid HTTP header value");
  return line;
}

/** What an attribute of a Set-Cookie line does. */
const ATTRIBUTES = {
  domain: (cookie, value) => {
    if (value !== "") cookie.domain = value.toLowerCase();
  },
  path: (cookie, value) => {
    if (value.startsWith("/")) cookie.path = value;
  },
  expires: (cookie, value) => {
    cookie.expires = dateOf(value) ?? cookie.expires;
  },
  "max-age": (cookie, value) => {
    const seconds = Number.parseInt(value, 10);
    if (Number.isSafeInteger(seconds)) cookie.maxAge = seconds;
  },
  secure: (cookie) => (cookie.secure = true),
  httponly: (cookie) => (cookie.httpOnly = true),
  partitioned: (cookie) => (cookie.partitioned = true),
  samesite: (cookie, value) => {
    if (Object.hasOwn(SAME_SITE, value.toLowerCase())) cookie.sameSite = value.toLowerCase();
  },
};

/** Text without lone surrogates, which no header can carry. */
function scalar(value) {
  return String(value).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

module.exports = { Cookie, named, missing };

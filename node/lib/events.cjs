"use strict";
// The events of a WebSocket. Where the platform has the class of an event, ours is an instance of it, too: so `instanceof`
// works as users expect. They are made here because the platform's own constructors check and convert what we know already,
// which costs more than everything else about a message.

/** Has instances of `ours` be instances of the platform's class as well; gives the class to be exported. */
function standing(ours, theirs) {
  if (theirs === undefined) return ours;
  Object.setPrototypeOf(ours.prototype, theirs.prototype);
  Object.defineProperty(ours.prototype, "constructor", { value: theirs, writable: true, configurable: true });
  return theirs;
}

const accessor = { enumerable: true };

class Message extends Event {
  #data;
  #origin;

  constructor(type, { data = null, origin = "" } = {}) {
    super(type);
    this.#data = data;
    this.#origin = origin;
  }

  get data() {
    return this.#data;
  }

  get origin() {
    return this.#origin;
  }

  get lastEventId() {
    return "";
  }

  get source() {
    return null;
  }

  get ports() {
    return [];
  }
}

class Closing extends Event {
  #code;
  #reason;
  #wasClean;

  constructor(type, { code = 0, reason = "", wasClean = false } = {}) {
    super(type);
    this.#code = code;
    this.#reason = reason;
    this.#wasClean = wasClean;
  }

  get code() {
    return this.#code;
  }

  get reason() {
    return this.#reason;
  }

  get wasClean() {
    return this.#wasClean;
  }
}

class Failure extends Event {
  #message;
  #error;

  constructor(type, { message = "", error = null } = {}) {
    super(type);
    this.#message = message;
    this.#error = error;
  }

  get message() {
    return this.#message;
  }

  get error() {
    return this.#error;
  }

  /** As on the error itself: ECONNREFUSED, ENOTFOUND and their like. */
  get code() {
    return this.#error?.code;
  }

  get filename() {
    return "";
  }

  get lineno() {
    return 0;
  }

  get colno() {
    return 0;
  }
}

for (const [ours, name] of [
  [Message, "MessageEvent"],
  [Closing, "CloseEvent"],
  [Failure, "ErrorEvent"],
]) {
  for (const [key, { get }] of Object.entries(Object.getOwnPropertyDescriptors(ours.prototype))) {
    if (get !== undefined) Object.defineProperty(ours.prototype, key, accessor);
  }
  Object.defineProperty(ours, "name", { value: name });
}

module.exports = {
  Message,
  Closing,
  Failure,
  MessageEvent: standing(Message, globalThis.MessageEvent),
  CloseEvent: standing(Closing, globalThis.CloseEvent),
  ErrorEvent: standing(Failure, globalThis.ErrorEvent),
};

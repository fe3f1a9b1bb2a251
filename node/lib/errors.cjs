"use strict";
// The errors of wrong arguments, with the code that Bun and Node.js give them.

const invalid = (message) => Object.assign(new TypeError(message), { code: "ERR_INVALID_ARG_TYPE" });

/** What was given, in a message. */
const shown = (value) => (typeof value === "string" ? JSON.stringify(value) : value === null ? "null" : String(value));

module.exports = { invalid, shown };

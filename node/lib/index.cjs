"use strict";

// Under Bun itself, everything is Bun's own.
const { serve, Cookie, CookieMap } = process.versions.bun === undefined ? require("./tidewire.cjs") : globalThis.Bun;

module.exports = { serve, Cookie, CookieMap };

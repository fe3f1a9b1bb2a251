"use strict";

// Under Bun itself, everything is Bun's own.
const own = process.versions.bun === undefined && require("./tidewire.cjs");
const { serve, Cookie, CookieMap } = own || globalThis.Bun;
const { WebSocket, CloseEvent, ErrorEvent, MessageEvent } = own || globalThis;

module.exports = { serve, Cookie, CookieMap, WebSocket, CloseEvent, ErrorEvent, MessageEvent };

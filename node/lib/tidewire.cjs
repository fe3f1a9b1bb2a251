"use strict";

const { Cookie } = require("./cookie.cjs");
const { CookieMap } = require("./cookie-map.cjs");
const { CloseEvent, ErrorEvent, MessageEvent } = require("./events.cjs");
const { serve } = require("./serve.cjs");
const { WebSocket } = require("./websocket.cjs");

module.exports = { serve, Cookie, CookieMap, WebSocket, CloseEvent, ErrorEvent, MessageEvent };

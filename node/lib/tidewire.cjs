"use strict";

const { Cookie } = require("./cookie.cjs");
const { CookieMap } = require("./cookie-map.cjs");
const { serve } = require("./serve.cjs");

module.exports = { serve, Cookie, CookieMap };

"use strict";

module.exports = { serve: require("./serve.cjs").serve };

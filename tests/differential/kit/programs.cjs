"use strict";
// Handlers that many scenarios' programs share.

/** Notes everything that a socket is told. */
const witness = ({ note }) => ({
  open: () => note("open"),
  message: (ws, data) => note("message", data),
  ping: (ws, data) => note("ping", data),
  pong: (ws, data) => note("pong", data),
  close: (ws, code, reason) => note("close", code, reason),
});

/** A program that only looks. */
const witnessing = (site) => ({ websocket: witness(site) });

module.exports = { witness, witnessing };

"use strict";
// Makes a Bun program run: `node --import tidewire/bun server.ts`. There is a global Bun, and "bun" can be imported.

const module_ = require("node:module");
const { pathToFileURL } = require("node:url");
const tidewire = require("./index.cjs");

globalThis.Bun ??= tidewire;
// Node.js has one from 22 on, but without Bun's options and with Blobs for messages that are Buffers in Bun.
if (globalThis.Bun === tidewire) globalThis.WebSocket = tidewire.WebSocket;
// Where Node.js has none, or no events for it.
for (const name of ["WebSocket", "CloseEvent", "ErrorEvent", "MessageEvent"]) globalThis[name] ??= tidewire[name];
// And where it is hidden behind a flag (Node.js 18).
globalThis.crypto ??= require("node:crypto").webcrypto;

const IMPORTED = pathToFileURL(require.resolve("./index.mjs")).href;
const REQUIRED = pathToFileURL(require.resolve("./index.cjs")).href;

/** Where "bun" is found, as Node.js asks for it. */
function resolve(specifier, context, next) {
  if (specifier !== "bun") return next(specifier, context);
  const required = context.conditions?.includes("require");
  return { url: required ? REQUIRED : IMPORTED, format: required ? "commonjs" : "module", shortCircuit: true };
}

if (process.versions.bun === undefined) {
  // Node.js 22.15 and later ask in this thread; 18.19 and later in one of their own, which gets the function as text.
  if (module_.registerHooks !== undefined) module_.registerHooks({ resolve });
  else {
    const source = `const IMPORTED = ${JSON.stringify(IMPORTED)}; const REQUIRED = ${JSON.stringify(REQUIRED)}; export ${resolve}`;
    module_.register?.(`data:text/javascript,${encodeURIComponent(source)}`);
  }
}

module.exports = tidewire;

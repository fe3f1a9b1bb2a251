// The npm package as the Autobahn test suite meets it: every message goes back as it came, compressed where that was agreed on.
//
//     cargo xtask node && cargo xtask conformance server quick -- node tests/conformance/echo.mjs

import { createRequire } from "node:module";

const { serve } = createRequire(import.meta.url)("../../node");

const server = serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (server.upgrade(request)) return undefined;
    return new Response("Upgrade failed", { status: 400 });
  },
  websocket: {
    perMessageDeflate: true,
    message(ws, message) {
      ws.send(message, true);
    },
  },
});

console.log(`listening on ${server.url}`);

// "Timeouts and Limits". Left out in the documentation, and filled in here: the upgrade in `fetch`.

Bun.serve({
  fetch(req, server) {
    server.upgrade(req);
  },
  websocket: {
    idleTimeout: 60, // Seconds (default: 120)
    maxPayloadLength: 1024 * 1024, // Bytes (default: 16 MB)
  },
});

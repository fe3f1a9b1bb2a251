// "Compression". Left out in the documentation, and filled in here: the upgrade in `fetch`, and where the `ws` comes from.

Bun.serve({
  fetch(req, server) {
    server.upgrade(req);
  },
  websocket: {
    perMessageDeflate: true,
    open(ws) {
      // Per-message compression
      ws.send("Hello world", true);
    },
  },
});

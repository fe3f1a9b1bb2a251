// "Configuration Options". Left out in the documentation, and filled in here: the upgrade in `fetch`.

Bun.serve({
  fetch(req, server) {
    server.upgrade(req);
  },
  websocket: {
    maxPayloadLength: 16 * 1024 * 1024, // 16 MB default
    idleTimeout: 120, // seconds
    backpressureLimit: 1024 * 1024, // 1 MB
    closeOnBackpressureLimit: false,
    sendPings: true,
    publishToSelf: false,
    perMessageDeflate: true,
  },
});

// "Basic Setup": an echo.

Bun.serve({
  fetch(req, server) {
    // Upgrade the request to WebSocket
    if (server.upgrade(req)) {
      return; // do not return a Response
    }
    return new Response("Upgrade failed", { status: 500 });
  },
  websocket: {
    message(ws, message) {
      ws.send(message); // echo back
    },
    open(ws) {},
    close(ws, code, message) {},
    drain(ws) {},
  },
});

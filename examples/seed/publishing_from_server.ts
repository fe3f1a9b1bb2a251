// "Publishing from Server". Left out in the documentation, and filled in here: the handlers, and what the external event is.

const server = Bun.serve({
  fetch(req, server) {
    server.upgrade(req);
  },
  websocket: {
    open(ws) {
      ws.subscribe("the-group-chat");
    },
  },
});

process.stdin.once("data", () => {
  // External event broadcast
  server.publish("the-group-chat", "Hello world");
});

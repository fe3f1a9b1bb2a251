// "Sending Messages". Left out in the documentation, and filled in here: `response`, and the upgrade in `fetch`.

const response = new Response("of an ArrayBuffer");

Bun.serve({
  fetch(req, server) {
    server.upgrade(req);
  },
  websocket: {
    async message(ws, message) {
      ws.send("Hello world"); // string
      ws.send(await response.arrayBuffer()); // ArrayBuffer
      ws.send(new Uint8Array([1, 2, 3])); // TypedArray | DataView
    },
  },
});

// "WebSocket Client". Left out in the documentation, and filled in here: the custom headers. Its second `socket` is `socket3` here.

const socket = new WebSocket("ws://localhost:3000");

// With subprotocol negotiation
const socket2 = new WebSocket("ws://localhost:3000", ["soap", "wamp"]);

// Bun extension: custom headers (won't work in browsers)
const socket3 = new WebSocket("ws://localhost:3000", {
  headers: { Authorization: "Bearer of-a-token" },
});

// Event listeners
socket.addEventListener("message", event => {});
socket.addEventListener("open", event => {});
socket.addEventListener("close", event => {});
socket.addEventListener("error", event => {});

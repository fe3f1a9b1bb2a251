// Loaded before a client of the documentation: what it knows as ws://localhost:3000 is at `PORT`.

globalThis.WebSocket = class extends globalThis.WebSocket {
  constructor(url, ...rest) {
    super(url.replace("localhost:3000", `127.0.0.1:${process.env.PORT}`), ...rest);
  }
};

// The npm package `ws` as a peer: `node ws.js echo|chat`, the same programs as `tidewire echo` and `tidewire chat`, but that nobody
// is told who enters and leaves: with thousands of connections that takes minutes here, and none of it is measured.
'use strict';

const { WebSocketServer, WebSocket } = require('ws');

const program = process.argv[2];
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate: false });

const programs = {
  echo(socket) {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  },

  chat(socket, request) {
    const name = new URL(request.url, 'ws://localhost').searchParams.get('name');
    const publish = (text) => {
      for (const client of server.clients) {
        if (client.readyState === WebSocket.OPEN) client.send(text);
      }
    };
    socket.on('message', (data) => publish(`${name}: ${data}`));
  },
};

if (!(program in programs)) throw new Error(`which program? one of ${Object.keys(programs).join(', ')}`);
server.on('connection', (socket, request) => {
  // The load ends with a reset.
  socket.on('error', () => {});
  programs[program](socket, request);
});
server.on('listening', () => console.log(`ws ${program} listening on http://127.0.0.1:${server.address().port}`));

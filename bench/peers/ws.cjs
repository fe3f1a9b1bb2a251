// The npm package `ws`: `node ws.cjs echo|chat [--compress] [CERT KEY]`, the same programs as `tidewire echo` and `tidewire chat --quiet`.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { WebSocketServer, WebSocket } = require('ws');

const compress = process.argv.includes('--compress');
const [program, cert, key] = process.argv.slice(2).filter((argument) => argument !== '--compress');

const web = cert ? https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }) : http.createServer();
// Every message is compressed, by itself, as by the others.
const deflate = { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true };
const server = new WebSocketServer({ server: web, perMessageDeflate: compress && deflate });

const programs = {
  echo(socket) {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  },

  chat(socket, request) {
    const name = new URL(request.url, 'ws://localhost').searchParams.get('name');
    socket.on('message', (data) => {
      for (const client of server.clients) {
        if (client.readyState === WebSocket.OPEN) client.send(`${name}: ${data}`);
      }
    });
  },
};

if (!(program in programs)) throw new Error(`which program? one of ${Object.keys(programs).join(', ')}`);
server.on('connection', (socket, request) => {
  socket.on('error', () => {});
  programs[program](socket, request);
});
web.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(`ws ${program} listening on http${cert ? 's' : ''}://127.0.0.1:${web.address().port}`);
});

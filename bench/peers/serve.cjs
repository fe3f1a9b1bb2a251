// Bun's server and ours on Node.js: `bun serve.cjs echo|chat [--compress] [CERT KEY]`, or the same with node. With a certificate through
// TLS. The same programs as `tidewire echo` and `tidewire chat --quiet`.
'use strict';

const fs = require('node:fs');

const serve = globalThis.Bun ? Bun.serve : require('../../node').serve;
const name = globalThis.Bun ? 'bun' : 'tidewire on Node.js';
const compress = process.argv.includes('--compress');
const [program, cert, key] = process.argv.slice(2).filter((argument) => argument !== '--compress');
const TOPIC = 'the-group-chat';

const programs = {
  echo: {
    message(ws, message) {
      ws.send(message, compress);
    },
  },

  chat: {
    open(ws) {
      ws.subscribe(TOPIC);
    },
    message(ws, message) {
      server.publish(TOPIC, `${ws.data.name}: ${message}`, compress);
    },
  },
};

if (!(program in programs)) throw new Error(`which program? one of ${Object.keys(programs).join(', ')}`);

const server = serve({
  hostname: '127.0.0.1',
  port: 0,
  tls: cert && { cert: fs.readFileSync(cert), key: fs.readFileSync(key) },
  fetch(request, server) {
    const name = new URL(request.url).searchParams.get('name');
    return server.upgrade(request, { data: { name } }) ? undefined : new Response('upgrade required', { status: 426 });
  },
  websocket: { ...programs[program], perMessageDeflate: compress },
});

console.log(`${name} ${program} listening on http${cert ? 's' : ''}://127.0.0.1:${server.port}`);

// Bun as a peer: `bun bun.js echo|chat [--compress] [CERT KEY]`, with a certificate through TLS, the same programs as `tidewire echo` and
// `tidewire chat`, but that nobody is told who enters and leaves, as in ws.js.

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
      server.publish(TOPIC, `${ws.data.name}: ${message}`);
    },
  },
};

if (!(program in programs)) throw new Error(`which program? one of ${Object.keys(programs).join(', ')}`);

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  tls: cert && { cert: Bun.file(cert), key: Bun.file(key) },
  fetch(request, server) {
    const name = new URL(request.url).searchParams.get('name');
    return server.upgrade(request, { data: { name } }) ? undefined : new Response('upgrade required', { status: 426 });
  },
  websocket: { ...programs[program], perMessageDeflate: compress },
});

console.log(`bun ${program} listening on http${cert ? 's' : ''}://127.0.0.1:${server.port}`);

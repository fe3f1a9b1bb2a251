// A WebSocket client on an echo server, one message under way on each connection: `client.cjs tidewire|ws|own URL [CONNECTIONS]
// [SECONDS]`. `own` is the runtime's own class. Prints one line of JSON: what a message costs this process.
'use strict';

const [who, url, connections = '16', seconds = '1.2'] = process.argv.slice(2);
const BYTES = 20;

function connect() {
  if (who === 'tidewire') return new (require('../../node').WebSocket)(url, { perMessageDeflate: false });
  if (who === 'ws') return new (require('ws').WebSocket)(url, { perMessageDeflate: false });
  return new WebSocket(url, process.versions.bun ? { perMessageDeflate: false } : undefined);
}

const text = 'x'.repeat(BYTES);
const sockets = Array.from({ length: Number(connections) }, connect);
let [open, messages] = [0, 0];

function measured() {
  const [cpu, time] = [process.cpuUsage(), process.hrtime.bigint()];
  messages = 0;
  setTimeout(() => {
    const { user, system } = process.cpuUsage(cpu);
    const elapsed = Number(process.hrtime.bigint() - time) / 1000;
    console.log(JSON.stringify({ cpu_us_per_message: (user + system) / messages, messages, busy: (user + system) / elapsed }));
    process.exit(0);
  }, Number(seconds) * 1000);
}

for (const socket of sockets) {
  socket.onopen = () => {
    if (++open < sockets.length) return;
    for (const each of sockets) each.send(text);
    setTimeout(measured, 300); // its code is compiled by then
  };
  socket.onmessage = ({ data }) => {
    if (data.length !== BYTES) throw new Error(`${data.length} bytes came back, not ${BYTES}`);
    messages += 1;
    socket.send(text);
  };
  socket.onerror = ({ message }) => {
    console.error(`${who}: ${message}`);
    process.exit(1);
  };
}

// Deno's own server: `deno run --allow-net deno.js echo|chat`, the same programs as `tidewire echo` and `tidewire chat --quiet`.

const [program] = Deno.args;
const room = new Set();

const programs = {
  echo(socket) {
    socket.onmessage = (event) => socket.send(event.data);
  },

  chat(socket, name) {
    socket.onopen = () => room.add(socket);
    socket.onclose = () => room.delete(socket);
    socket.onmessage = (event) => {
      for (const member of room) {
        if (member.readyState === WebSocket.OPEN) member.send(`${name}: ${event.data}`);
      }
    };
  },
};

if (!(program in programs)) throw new Error(`which program? one of ${Object.keys(programs).join(', ')}`);

const onListen = ({ port }) => console.log(`deno ${program} listening on http://127.0.0.1:${port}`);
Deno.serve({ hostname: '127.0.0.1', port: 0, onListen }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.binaryType = 'arraybuffer';
  programs[program](socket, new URL(request.url).searchParams.get('name'));
  return response;
});

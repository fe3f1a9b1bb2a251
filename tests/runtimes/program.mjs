// A server that talks to itself: run by every runtime, with the same output. How microtasks run between messages is each runtime's own.
import { serve, CookieMap } from "tidewire";

const log = [];
const back = serve({ port: 0, fetch: async (req) => new Response(`${req.method} ${await req.text()} ${req.headers.get("x")}`) });
const server = serve({
  port: 0,
  routes: {
    "/room/:name": (req) => new Response(req.params.name + req.cookies.get("user")),
    "/forward": (req) => (req.headers.set("x", "y"), fetch(new Request(back.url, req))),
  },
  async fetch(req, server) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (server.upgrade(req, { data: { user: new CookieMap(req.headers.get("cookie") ?? "user=nobody").get("user") } })) return;
    return new Response("no page", { status: 404 });
  },
  websocket: {
    open(ws) {
      ws.subscribe("room");
      ws.send(`hello ${ws.data.user}`);
    },
    message(ws, message) {
      ws.send(message);
      server.publish("room", "to everybody");
      setTimeout(() => ws.send(new Uint8Array([1, 2, 3])), 1);
    },
    close: (ws, code, reason) => log.push(`close ${code} ${reason} ${ws.readyState}`),
  },
});

const text = async (path, init) => (await fetch(new URL(path, server.url), init)).text();
log.push(await text("/room/caf%C3%A9", { headers: { cookie: "user=Ada" } }), await text("/none"));
log.push(await text("/forward", { method: "POST", body: "body" }));

if (globalThis.WebSocket !== undefined) {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}`);
  client.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    client.onerror = reject;
    client.onopen = () => client.send("sent");
    client.onmessage = ({ data }) => {
      log.push(typeof data === "string" ? data : [...new Uint8Array(data)].join());
      if (typeof data !== "string") client.close(1000, "bye");
    };
    client.onclose = ({ code }) => resolve(log.push(`closed ${code}`));
  });
}
console.log(log.join("\n"));
await back.stop(true);
server.unref(); // and the process ends

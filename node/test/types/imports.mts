// What the package exports, to a module.
import tidewire, { serve, Cookie, CookieMap, WebSocket } from "tidewire";
import type { BinaryType, Data, Server, ServerWebSocket, ServeOptions, WebSocketHandler } from "tidewire";

const handler: WebSocketHandler<{ name: string }> = { open: (ws: ServerWebSocket<{ name: string }>) => void ws.send(ws.data.name) };
const options: ServeOptions<{ name: string }> = { fetch: () => new Response(), websocket: { ...handler, maxFragments: 5 } };
const server: Server<{ name: string }> = serve(options);
const data: Data = new SharedArrayBuffer(1);
const binaryType: BinaryType = "blob";
// Here a server may be asked by URL, and a cookie be set as it is.
console.log(await server.fetch(new URL("http://a/")), data, binaryType, tidewire.serve === serve);
new CookieMap(null).set(new Cookie("a", "b"));

const client = new WebSocket(new URL("wss://a/"), { headers: { a: ["b", "c"] }, tls: { rejectUnauthorized: false }, proxy: "http://b" });
client.addEventListener("close", ({ code, wasClean }) => console.log(code.toFixed(), wasClean));
client.onerror = ({ error }) => console.log(error.code);
client.onmessage = ({ data }) => client.send(data);
client.close(1000, "done");
// And a server may be without fetch.
serve({ port: 0, websocket: { message: (ws, message) => void ws.send(message) } });

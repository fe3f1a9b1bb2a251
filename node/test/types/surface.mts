// Programs that use everything both have. They are typed against this package and against bun-types: what holds there holds here.

type Data = { name: string; room: number };

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T | undefined => undefined;

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 30,
  reusePort: true,
  ipv6Only: false,
  maxRequestBodySize: 1024,
  development: false,
  id: "mine",
  tls: { key: "key", cert: ["cert", new Uint8Array(1)], ca: new ArrayBuffer(1), passphrase: "", serverName: "a.test", requestCert: true, rejectUnauthorized: false },
  routes: {
    "/static": new Response("static"),
    "/off": false,
    "/orgs/:org/repos/:repo": (req, server) => {
      is<Same<typeof req.params, { org: string; repo: string }>>();
      // @ts-expect-error
      req.params.none;
      req.cookies.set("a", req.params.org, { maxAge: 5, sameSite: "strict" });
      server.upgrade(req, { data: { name: req.params.repo, room: 1 } });
      return new Response();
    },
    "/files/*": async (req) => Response.json([req.method, await req.text(), req.cookies.get("a")]),
    "/methods/:id": {
      GET: (req) => new Response(req.params.id),
      POST: new Response("posted"),
      async PUT(req, server) {
        await req.json();
        if (!server.upgrade(req, { data: { name: "", room: 1 } })) return new Response(null, { status: 400 });
      },
    },
  },
  async fetch(req, server) {
    is<Same<typeof server.port, number | undefined>>();
    this.publish("a", "b");
    const address = server.requestIP(req);
    if (address !== null) console.log(address.address.length, address.port.toFixed(), address.family);
    server.timeout(req, 60);
    // @ts-expect-error: data is not optional where websocket.data has a type
    server.upgrade(req);
    // @ts-expect-error: and it has that type
    server.upgrade(req, { data: { name: 5 } });
    if (server.upgrade(req, { data: { name: "Ada", room: 1 }, headers: [["Sec-WebSocket-Protocol", "chat"]] })) return;
    if (server.upgrade(req, { data: { name: "Ada", room: 1 }, headers: new Headers() })) return undefined;
    return new Response("no", { status: 400 });
  },
  error(error) {
    console.log(error.message, error.stack, error.code);
    return new Response(error.name, { status: 500 });
  },
  websocket: {
    data: {} as Data,
    open(ws) {
      is<Same<typeof ws.data, Data>>();
      ws.binaryType = "uint8array";
      const state: 0 | 1 | 2 | 3 = ws.readyState;
      const numbers: number[] = [
        ...[ws.send(""), ws.send(new Uint8Array(1), true), ws.send(new DataView(new ArrayBuffer(1))), ws.send(new Blob([]))],
        ...[ws.sendText("", false), ws.sendBinary(new ArrayBuffer(1)), ws.publish("t", "x", true), ws.publishText("t", "x")],
        ...[ws.publishBinary("t", new Uint16Array(1)), ws.ping(), ws.pong("x"), ws.getBufferedAmount()],
      ];
      const booleans: boolean[] = [ws.subscribe("t"), ws.unsubscribe("t"), ws.isSubscribed("t"), ws.isPaused];
      const corked: string = ws.cork((same) => same.data.name);
      // @ts-expect-error
      ws.sendText(new Uint8Array(1));
      // @ts-expect-error
      ws.send(Promise.resolve("x"));
      console.log(state, numbers, booleans, corked, ws.remoteAddress.length, ws.subscriptions.length);
    },
    async message(ws, message) {
      if (typeof message === "string") ws.send(message.toUpperCase());
      else ws.send(message.subarray(1).toString("hex"));
      ws.data.room++;
      ws.pause();
      ws.resume();
    },
    drain: async (ws) => console.log(ws.data.name),
    close(ws, code, reason) {
      console.log(code.toFixed(), reason.length, ws.data.room);
    },
    ping: (ws, data) => void ws.pong(data),
    pong: (_, data) => console.log(data.length),
    error(error, ws) {
      console.log(error.message);
      ws.close(1011, "failed");
      ws.terminate();
    },
    maxPayloadLength: 1,
    idleTimeout: 1,
    backpressureLimit: 1,
    closeOnBackpressureLimit: true,
    sendPings: false,
    publishToSelf: true,
    perMessageDeflate: { compress: "shared", decompress: "16KB" },
  },
});

is<Same<typeof server, Bun.Server<Data>>>();
const url: URL = server.url;
console.log(url.href, server.port, server.hostname?.length, server.protocol, server.development, server.id.length);
console.log(server.pendingRequests + server.pendingWebSockets + server.subscriberCount("t") + server.publish("t", new Uint8Array(1), false));
server.reload({ fetch: () => new Response(), websocket: { data: {} as Data, message() {} } });
server.ref();
server.unref();
await server.stop(true);
await using other = { [Symbol.asyncDispose]: async () => server.stop() };
using closed: Disposable = server;
console.log((await server.fetch("/x")).status, (await server.fetch(new Request("http://a/"))).ok, other, closed);

// Without websocket.data there is none to attach.
Bun.serve({ unix: "./a.sock", fetch: (req, server) => (server.upgrade(req) ? undefined : new Response()), websocket: { message: (ws) => void is<Same<typeof ws.data, undefined>>() } });
Bun.serve({ routes: { "/": new Response() } });
// @ts-expect-error: neither fetch nor routes
Bun.serve({ port: 0 });
// @ts-expect-error: unix excludes port
Bun.serve({ unix: "./a.sock", port: 0, fetch: () => new Response() });
// @ts-expect-error: fetch gives a Response
Bun.serve({ fetch: () => 5 });
// @ts-expect-error
Bun.serve({ fetch: () => new Response(), websocket: { perMessageDeflate: { compress: "1KB" } } });

// Parts with names of their own.
const handler: Bun.WebSocketHandler<Data> = { message: (ws: Bun.ServerWebSocket<Data>) => void ws.data.name };
const route = (req: Bun.BunRequest<"/a/:b">): Response => new Response(req.params.b + req.clone().params.b);
const options = { fetch: () => new Response(), routes: { "/a/:b": route }, websocket: handler } satisfies Bun.Serve.Options<Data, "/a/:b">;
const compressor: Bun.WebSocketCompressor = "dedicated";
console.log(options, compressor);

const cookie = new Bun.Cookie("a", "b", { domain: "a.test", path: "/", expires: new Date(), secure: true, sameSite: "none", httpOnly: true, partitioned: true, maxAge: 1 });
console.log(cookie.isExpired(), cookie.serialize(), cookie.toJSON().name, cookie.expires?.getTime(), cookie.maxAge?.toFixed(), cookie.sameSite === "lax");
cookie.value = Bun.Cookie.parse("a=b").value + Bun.Cookie.from("a", "b", { maxAge: 1 }).name + new Bun.Cookie("a=b").path + new Bun.Cookie({ name: "a" });
// @ts-expect-error
cookie.name = "c";

const cookies: Bun.CookieMap = new Bun.CookieMap([["a", "b"]]);
cookies.set("a", "b", { path: "/" });
cookies.set({ name: "a", value: "b" });
cookies.delete("a", { domain: "a.test" });
cookies.delete({ name: "a", path: "/" });
for (const [name, value] of cookies) console.log(name.length, value.length, cookies.get(name)?.length, cookies.has(name), cookies.size);
cookies.forEach((value, name, map) => console.log(value.length, name.length, map.size));
const lines: string[] = cookies.toSetCookieHeaders();
console.log(lines, cookies.toJSON().a, [...cookies.keys(), ...cookies.values(), ...cookies.entries()]);

export {};

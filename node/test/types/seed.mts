// The seed's programs, with the edits that the contract allows. They are typed against this package and against bun-types.

declare function generateSessionId(): Promise<string>;
declare function getUserFromToken(token: string | null): { id: number };
declare function saveMessageToDatabase(message: { channel: string | null; message: string; userId: number }): Promise<void>;
declare function getUsernameFromReq(req: Request): string;
declare const response: Response;

Bun.serve({
  fetch(req, server) {
    if (server.upgrade(req)) {
      return;
    }
    return new Response("Upgrade failed", { status: 500 });
  },
  websocket: {
    message(ws, message) {
      ws.send(message);
    },
    open(ws) {},
    close(ws, code, message) {},
    drain(ws) {},
  },
});

Bun.serve({
  fetch(req, server) {},
  websocket: {
    async message(ws, message) {
      ws.send("Hello world");
      ws.send(await response.arrayBuffer());
      ws.send(new Uint8Array([1, 2, 3]));
    },
  },
});

Bun.serve({
  async fetch(req, server) {
    const sessionId = await generateSessionId();
    server.upgrade(req, {
      headers: {
        "Set-Cookie": `SessionId=${sessionId}`,
      },
    });
  },
  websocket: {},
});

type WebSocketData = {
  createdAt: number;
  channelId: string | null;
  authToken: string | null;
};

Bun.serve({
  fetch(req, server) {
    const cookies = new Bun.CookieMap(req.headers.get("cookie")!);

    server.upgrade(req, {
      data: {
        createdAt: Date.now(),
        channelId: new URL(req.url).searchParams.get("channelId"),
        authToken: cookies.get("X-Token"),
      },
    });
    return undefined;
  },
  websocket: {
    data: {} as WebSocketData,
    async message(ws, message) {
      const user = getUserFromToken(ws.data.authToken);
      await saveMessageToDatabase({
        channel: ws.data.channelId,
        message: String(message),
        userId: user.id,
      });
    },
  },
});

const chat = Bun.serve({
  fetch(req, server) {
    const url = new URL(req.url);
    if (url.pathname === "/chat") {
      const username = getUsernameFromReq(req);
      const success = server.upgrade(req, { data: { username } });
      return success ? undefined : new Response("Upgrade error", { status: 400 });
    }
    return new Response("Hello world");
  },
  websocket: {
    data: {} as { username: string },
    open(ws) {
      const msg = `${ws.data.username} has entered the chat`;
      ws.subscribe("the-group-chat");
      chat.publish("the-group-chat", msg);
    },
    message(ws, message) {
      chat.publish("the-group-chat", `${ws.data.username}: ${message}`);
      console.log(ws.subscriptions);
    },
    close(ws) {
      const msg = `${ws.data.username} has left the chat`;
      ws.unsubscribe("the-group-chat");
      chat.publish("the-group-chat", msg);
    },
  },
});

Bun.serve({
  fetch: () => new Response(),
  websocket: {
    perMessageDeflate: true,
    maxPayloadLength: 16 * 1024 * 1024,
    idleTimeout: 120,
    backpressureLimit: 1024 * 1024,
    closeOnBackpressureLimit: false,
    sendPings: true,
    publishToSelf: false,
    message(ws) {
      ws.send("Hello world", true);
    },
  },
});

// "ServerWebSocket API": the interface as it is written there. Left out in the documentation, and filled in here: a program that
// asks a socket for all of it.

interface ServerWebSocket {
  readonly data: any;
  readonly readyState: number;
  readonly remoteAddress: string;
  readonly subscriptions: string[];

  send(message: string | ArrayBuffer | Uint8Array, compress?: boolean): number;
  close(code?: number, reason?: string): void;
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  publish(topic: string, message: string | ArrayBuffer | Uint8Array): void;
  isSubscribed(topic: string): boolean;
  cork(cb: (ws: ServerWebSocket) => void): void;
}

function enter(ws: ServerWebSocket) {
  ws.subscribe("room");
  ws.subscribe("hall");
  ws.unsubscribe("hall");
  ws.cork(ws => {
    ws.send(`${ws.data.name} from ${ws.remoteAddress}, state ${ws.readyState}`);
    ws.send(`in ${ws.subscriptions}: ${ws.isSubscribed("room")}, hall: ${ws.isSubscribed("hall")}`, true);
    ws.send(new Uint8Array([1, 2, 3]));
    ws.send(new Uint8Array([4, 5, 6]).buffer);
  });
  ws.publish("room", `${ws.data.name} is here`);
}

function left(ws: ServerWebSocket) {
  console.log(`${ws.data.name}: state ${ws.readyState}, in [${ws.subscriptions}], ${ws.send("late")}`);
}

Bun.serve({
  fetch(req, server) {
    server.upgrade(req, { data: { name: new URL(req.url).searchParams.get("name") ?? "Somebody" } });
  },
  websocket: {
    data: {} as { name: string },
    open(ws) {
      enter(ws);
    },
    message(ws, message) {
      ws.close(4000, "bye");
    },
    close(ws) {
      left(ws);
    },
  },
});

// "Contextual Data". Left out in the documentation, and filled in here: `getUserFromToken` and `saveMessageToDatabase`.

type WebSocketData = {
  createdAt: number;
  channelId: string;
  authToken: string;
};

function getUserFromToken(token: string) {
  return { id: `user of ${token}` };
}

async function saveMessageToDatabase(row: { channel: string; message: string; userId: string }) {
  console.log(JSON.stringify(row));
}

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
    // Type ws.data
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

// "Headers". Left out in the documentation, and filled in here: `generateSessionId`.

async function generateSessionId() {
  return crypto.randomUUID();
}

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

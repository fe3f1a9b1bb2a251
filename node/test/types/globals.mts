// Importing "tidewire/bun" is enough for the global's types.
import tidewire from "tidewire/bun";

const server: Bun.Server = Bun.serve({ fetch: () => new Response() });
console.log(tidewire.serve === Bun.serve, server.port);

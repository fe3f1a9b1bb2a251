// What the package exports, to CommonJS.
import tidewire = require("tidewire");

const server: tidewire.Server = tidewire.serve({ fetch: () => new Response() });
console.log(server.port, new tidewire.CookieMap("a=b").get("a"));

"use strict";
// `tidewire/bun`: Bun programs on Node.js.

const assert = require("node:assert");
const { execFile } = require("node:child_process");
const { mkdtempSync, rmSync, symlinkSync, mkdirSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");
const { test } = require("node:test");

/** A folder with programs in it, from which the package is found. */
function project(t, programs) {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-bun-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(join(__dirname, ".."), join(folder, "node_modules/tidewire"));
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(folder, name), text);
  return folder;
}

const run = (folder, ...flags) =>
  new Promise((resolve) => {
    execFile(process.execPath, flags, { cwd: folder }, (error, stdout, stderr) => resolve(error === null ? stdout : `${stdout}${stderr}`));
  });

/** A Bun program in TypeScript that asks itself. */
const PROGRAM = `
  type Data = { name: string };
  const server: Bun.Server<Data> = Bun.serve({
    port: 0,
    fetch(req, server) {
      const cookies = new Bun.CookieMap(req.headers.get("cookie")!);
      return new Response(cookies.get("name"));
    },
    websocket: { data: {} as Data },
  });
  const response = await fetch(server.url, { headers: { cookie: "name=Ada" } });
  console.log(await response.text());
  await server.stop(true);`;

const [major, minor] = process.versions.node.split(".").map(Number);
/** From here on Node.js strips types by itself. */
const strips = major > 22 || (major === 22 && minor >= 18);
/** From here on a program's imports can be asked for. */
const hooks = major >= 20 || (major === 18 && minor >= 19);

test("a Bun program in TypeScript runs: by itself from Node.js 22.18 on", { skip: strips ? false : "this Node.js does not strip types" }, async (t) => {
  const folder = project(t, { "server.ts": PROGRAM, "package.json": '{"type":"module"}' });
  assert.strictEqual(await run(folder, "--import", "tidewire/bun", "server.ts"), "Ada\n");
});

test("and through tsx on every Node.js", { skip: hooks ? false : "tsx wants --import" }, async (t) => {
  const folder = project(t, { "server.ts": PROGRAM, "package.json": '{"type":"module"}' });
  const tsx = pathToFileURL(require.resolve("tsx")).href;
  assert.strictEqual(await run(folder, "--import", tsx, "--import", "tidewire/bun", "server.ts"), "Ada\n");
});

test('"bun" can be imported and required', { skip: hooks ? false : "this Node.js has no hooks for imports" }, async (t) => {
  const folder = project(t, {
    "module.mjs": 'import Bun, { serve, CookieMap } from "bun"; console.log(serve === globalThis.Bun.serve, CookieMap === Bun.CookieMap);',
    "common.cjs": 'console.log(require("bun").serve === Bun.serve);',
  });
  assert.strictEqual(await run(folder, "--import", "tidewire/bun", "module.mjs"), "true true\n");
  if (require("node:module").registerHooks !== undefined) {
    assert.strictEqual(await run(folder, "--import", "tidewire/bun", "common.cjs"), "true\n");
  }
});

test("it provides Bun with the package's exports, by import and by require, and leaves one that is there", async (t) => {
  const print = 'console.log(Object.keys(Bun).join(), Bun.serve === require("tidewire").serve)';
  const folder = project(t, {
    "required.cjs": `require("tidewire/bun"); ${print}`,
    "imported.cjs": print,
    "there.cjs": 'globalThis.Bun = { mine: 1 }; const ws = globalThis.WebSocket; require("tidewire/bun"); console.log(Object.keys(Bun).join(), !ws || WebSocket === ws)',
    "client.cjs": 'require("tidewire/bun"); console.log(WebSocket === require("tidewire").WebSocket, crypto.randomUUID().length)',
  });
  assert.strictEqual(await run(folder, "required.cjs"), "serve,Cookie,CookieMap,WebSocket,CloseEvent,ErrorEvent,MessageEvent true\n");
  if (hooks) assert.strictEqual(await run(folder, "--import", "tidewire/bun", "imported.cjs"), "serve,Cookie,CookieMap,WebSocket,CloseEvent,ErrorEvent,MessageEvent true\n");
  assert.strictEqual(await run(folder, "there.cjs"), "mine true\n");
  assert.strictEqual(await run(folder, "client.cjs"), "true 36\n");
});

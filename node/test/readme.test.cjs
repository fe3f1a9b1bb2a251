"use strict";
// The programs of the READMEs, as they stand there but for the port or the address: a newcomer copies them.

const assert = require("node:assert");
const { execFile, spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { test } = require("node:test");
const { pathToFileURL } = require("node:url");
const { promisify } = require("node:util");
const { serve } = require("tidewire");
const { certificate } = require("./certificates.cjs");
const { connect, take, PATIENCE } = require("./kit.cjs");

/** The programs of a README, by their first words. */
function programs(file) {
  const text = readFileSync(join(__dirname, file), "utf8");
  return [...text.matchAll(/^```(?:js|ts)\n([^]*?)^```$/gm)].map(([, program]) => program);
}

const [server, browser, client, ...others] = programs("../README.md");
const ofAll = programs("../../README.md");

const [major, minor] = process.versions.node.split(".").map(Number);
/** How types are stripped, as the README says; Node.js before 18.19 has no way to ask for tsx. */
const STRIPPING = major > 22 || (major === 22 && minor >= 18) ? [] : ["--import", pathToFileURL(require.resolve("tsx")).href];
const skip = major === 18 && minor < 19 ? "tsx wants --import" : false;

/** A folder with a program, from which the package is found. */
function project(t, name, program) {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-readme-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(join(__dirname, ".."), join(folder, "node_modules/tidewire"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, name), program);
  return folder;
}

/** A program that runs; what it prints is in `lines`. */
function start(t, folder, name) {
  const child = spawn(process.execPath, [...STRIPPING, name], { cwd: folder });
  t.after(() => child.kill("SIGKILL"));
  child.text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (data) => {
      child.text += data;
      child.emit("text");
    });
  }
  return child;
}

async function prints(child, words) {
  const signal = AbortSignal.timeout(PATIENCE);
  while (!words.test(child.text)) await once(child, "text", { signal }).catch(() => assert.fail(`it has not printed ${words}: ${child.text}`));
  return words.exec(child.text);
}

/** A program that cannot know its port. */
const anyPort = (program) => {
  assert.match(program, /port: 3000,/);
  return program.replace("port: 3000,", "port: 0,");
};

test("every program is run here", () => {
  assert.deepStrictEqual([others, ofAll.length], [[], 1]);
});

test("the package's server", { skip }, async (t) => {
  const child = start(t, project(t, "server.ts", anyPort(server)), "server.ts");
  const [, port] = await prints(child, /^listening on http:\/\/localhost:(\d+)\/\n$/);
  const page = await fetch(`http://127.0.0.1:${port}/`);
  assert.match(await page.text(), /^open ws:\/\/localhost:3000\/room\/lobby\?name=Ada$/);
  const [ada, bob, other] = [await connect({ port }, "/room/lobby?name=Ada"), await connect({ port }, "/room/lobby"), await connect({ port }, "/room/b")];
  ada.send("hello");
  for (const one of [ada, bob]) assert.deepStrictEqual(await take(one, 1), ["Ada: hello"]);
  other.send("alone");
  assert.deepStrictEqual(await take(other, 1), ["somebody: alone"]);
  assert.strictEqual((await fetch(`http://127.0.0.1:${port}/room/lobby`)).status, 426);
  for (const one of [ada, bob, other]) one.terminate();

  // And what is typed in a browser's console.
  const at = `ws://127.0.0.1:${port}/room/lobby?name=Ada`;
  const page2 = `import { WebSocket } from "tidewire";\n${browser.replace("ws://localhost:3000/room/lobby?name=Ada", at)}`;
  await prints(start(t, project(t, "page.mjs", page2), "page.mjs"), /^Ada: hello\n$/);
});

test("its types", async (t) => {
  const folder = project(t, "server.ts", server);
  mkdirSync(join(folder, "node_modules/@types"));
  symlinkSync(join(__dirname, "../node_modules/@types/node"), join(folder, "node_modules/@types/node"));
  const tsc = join(require.resolve("typescript/package.json"), "../bin/tsc");
  const flags = ["--ignoreConfig", "--noEmit", "--strict", "--module", "nodenext", "--target", "esnext", "--types", "node", "--skipLibCheck"];
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, ...flags, "server.ts"], { cwd: folder }).catch((error) => error);
  assert.strictEqual(stdout, "");
});

test("the package's client", async (t) => {
  const { cert, key } = certificate(["localhost"]);
  const seen = [];
  const site = serve({
    port: 0,
    tls: { cert, key },
    fetch: (req, server) => void (seen.push(new URL(req.url).pathname, req.headers.get("authorization")), server.upgrade(req)),
    websocket: { message: (ws, text) => (ws.send(`back: ${text}`), ws.close(1000, "done")) },
  });
  t.after(() => site.stop(true));
  assert.match(client, /wss:\/\/example\.com\/chat/);
  const folder = project(t, "client.mjs", client.replace("wss://example.com/", `wss://localhost:${site.port}/`));
  writeFileSync(join(folder, "ca.pem"), cert);
  await prints(start(t, folder, "client.mjs"), /^back: hello\n1000 done true\n$/);
  assert.deepStrictEqual(seen, ["/chat", "Bearer of-a-token"]);
});

test("the server of the repository's first page", async (t) => {
  const [chat] = ofAll;
  // It says nothing, so it is asked for its port.
  const folder = project(t, "chat.mjs", `${anyPort(chat)}\nconsole.log(server.port);`);
  const [, port] = await prints(start(t, folder, "chat.mjs"), /^(\d+)\n$/);
  const [ada, bob] = [await connect({ port }, "/?name=Ada"), await connect({ port }, "/?name=Bob")];
  ada.send("hello");
  for (const one of [ada, bob]) assert.deepStrictEqual(await take(one, 1), ["Ada: hello"]);
  bob.close();
  assert.deepStrictEqual(await take(ada, 1), ["Bob has left the chat"]);
  ada.terminate();
  assert.strictEqual((await fetch(`http://127.0.0.1:${port}/`)).status, 500);
});

"use strict";
// The package as it is published: what is in it, how it installs, and what it says where the native part is missing.

const assert = require("node:assert");
const { execFile, execFileSync } = require("node:child_process");
const { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { before, after, test } = require("node:test");
const { promisify } = require("node:util");
const { packAll } = require("../scripts/pack.cjs");

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "tidewire-package-"));
/** The paths of the tarballs: tidewire's, and that of this platform. */
let tarballs;

before(() => (tarballs = packAll(folder)));
after(() => rmSync(folder, { recursive: true }));

const contents = (tarball) => execFileSync("tar", ["tzf", tarball], { encoding: "utf8" }).trim().split("\n").sort();
const text = (tarball, file) => execFileSync("tar", ["xzOf", tarball, `package/${file}`], { encoding: "utf8" });

test("the package has the library, its types, its licenses, and no script that runs at install", () => {
  const files = contents(tarballs[0]).map((file) => file.replace("package/", ""));
  const outside = files.filter((file) => !file.startsWith("lib/"));
  const expected = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "bun.d.mts", "bun.d.ts", "client.d.ts", "index.d.mts", "index.d.ts", "package.json"];
  assert.deepStrictEqual(outside, expected);
  assert.deepStrictEqual(files.filter((file) => file.startsWith("lib/")), readdirSync(join(__dirname, "../lib")).map((file) => `lib/${file}`).sort());
  const { scripts, devDependencies, dependencies, optionalDependencies, version } = JSON.parse(text(tarballs[0], "package.json"));
  assert.deepStrictEqual([scripts, devDependencies, dependencies], [undefined, undefined, undefined]);
  const names = readdirSync(join(__dirname, "../npm")).map((name) => [`tidewire-${name}`, version]);
  assert.deepStrictEqual(optionalDependencies, Object.fromEntries(names));
});

test("a platform's package has its addon, and installs on that platform only", () => {
  const manifest = JSON.parse(text(tarballs[1], "package.json"));
  const files = contents(tarballs[1]).map((file) => file.replace("package/", ""));
  assert.deepStrictEqual(files, ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json", manifest.main].sort());
  assert.deepStrictEqual([manifest.os, manifest.cpu], [[process.platform], [process.arch]]);
  for (const name of readdirSync(join(__dirname, "../npm"))) {
    const { name: full, main, os, cpu, libc = [] } = JSON.parse(readFileSync(join(__dirname, "../npm", name, "package.json"), "utf8"));
    const abi = { glibc: "gnu", musl: "musl" }[libc[0]];
    assert.deepStrictEqual([full, main], [`tidewire-${name}`, `tidewire.${name}.node`]);
    assert.strictEqual([...os, ...cpu, abi].filter(Boolean).join("-"), name);
  }
});

test("publint has nothing to say", async () => {
  const { publint } = await import("publint");
  const { formatMessage } = await import("publint/utils");
  const tarball = readFileSync(tarballs[0]);
  const { messages, pkg } = await publint({ pack: { tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.length) }, strict: true });
  // Where the sources are is not known before they are published.
  const said = messages.filter(({ code }) => code !== "SUGGEST_REPOSITORY").map((message) => formatMessage(message, pkg, { color: false }));
  assert.deepStrictEqual(said, []);
});

test("the types are right for every way to import", async () => {
  const { checkPackage, createPackageFromTarballData } = await import("@arethetypeswrong/core");
  const { problems, types } = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(tarballs[0]))));
  // Resolution before `exports` was known (TypeScript's "node10") has no subpaths.
  const real = problems.filter(({ resolutionKind, entrypoint }) => !(resolutionKind === "node10" && entrypoint === "./bun"));
  assert.deepStrictEqual(real, []);
  assert.strictEqual(types.kind, "included");
});

test("the tarballs install into an empty folder, where a server runs; without the platform's package the error says what to do", async () => {
  const place = mkdtempSync(join(folder, "install-"));
  writeFileSync(join(place, "package.json"), '{"private":true}');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...tarballs], { cwd: place });
  const program = `
    import { serve } from "tidewire";
    const server = serve({ port: 0, fetch: () => new Response("installed") });
    console.log(await (await fetch(server.url)).text());
    await server.stop(true);`;
  writeFileSync(join(place, "server.mjs"), program);
  const { stdout } = await run(process.execPath, ["server.mjs"], { cwd: place });
  assert.strictEqual(stdout, "installed\n");

  const { name } = JSON.parse(text(tarballs[1], "package.json"));
  const native = join(place, "node_modules", name);
  const failure = () => run(process.execPath, ["server.mjs"], { cwd: place }).then(() => "", ({ stderr }) => stderr);
  writeFileSync(join(native, `tidewire.${name.replace("tidewire-", "")}.node`), "no library");
  assert.match(await failure(), /tidewire: the native part is there, but does not load: .*/);
  renameSync(native, join(place, "moved"));
  assert.match(await failure(), new RegExp(`the native part is missing: the package ${name} is not installed .*npm install ${name}.*cargo xtask node`, "s"));
});

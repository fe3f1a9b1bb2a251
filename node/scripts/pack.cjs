"use strict";
// Writes the packages as they are published: `tidewire`, and that of this platform with its addon. Usage: node pack.cjs FOLDER
//
// What only a published package has is added here: the optional dependencies on the packages of all platforms, and the licenses.

const { execFileSync } = require("node:child_process");
const { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { join, resolve } = require("node:path");

const PACKAGE = join(__dirname, "..");
const LICENSES = ["LICENSE-APACHE", "LICENSE-MIT"];

const manifest = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

/** Copies a package, changed, to a folder of its own. */
function stage(from, files, to, change = (given) => given) {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const file of files) cpSync(join(from, file), join(to, file), { recursive: true });
  for (const license of LICENSES) cpSync(join(PACKAGE, "..", license), join(to, license));
  const given = manifest(from);
  const published = change({ ...given, files: [...given.files, ...LICENSES] });
  writeFileSync(join(to, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
}

/** Packs a folder; gives the tarball's path. */
function pack(folder, into) {
  const command = process.platform === "win32" ? "npm.cmd" : "npm";
  const output = execFileSync(command, ["pack", "--json", "--silent", "--pack-destination", into], { cwd: folder, encoding: "utf8" });
  const [{ filename }] = Object.values(JSON.parse(output));
  return join(into, filename);
}

/** Names, by folder, of the packages with an addon; all have the version of `tidewire`. */
function platforms(version) {
  const folders = readdirSync(join(PACKAGE, "npm"));
  for (const folder of folders) {
    const given = manifest(join(PACKAGE, "npm", folder)).version;
    if (given !== version) throw new Error(`npm/${folder}/package.json has version ${given}, and package.json ${version}: make them one`);
  }
  return folders;
}

/** Packs everything that can be packed here; gives the tarballs' paths. */
function packAll(into) {
  mkdirSync(into, { recursive: true });
  const { version, files } = manifest(PACKAGE);
  const all = platforms(version);
  const built = all.filter((name) => readdirSync(PACKAGE).includes(`tidewire.${name}.node`));
  if (built.length === 0) throw new Error("there is no addon: run `cargo xtask node` first");
  const staging = join(into, "staging");
  stage(PACKAGE, [...files, "README.md"], join(staging, "tidewire"), ({ scripts, devDependencies, ...published }) => ({
    ...published,
    optionalDependencies: Object.fromEntries(all.map((name) => [`tidewire-${name}`, version])),
  }));
  for (const name of built) {
    const to = join(staging, name);
    stage(join(PACKAGE, "npm", name), ["README.md"], to);
    cpSync(join(PACKAGE, `tidewire.${name}.node`), join(to, `tidewire.${name}.node`));
  }
  const tarballs = ["tidewire", ...built].map((name) => pack(join(staging, name), into));
  rmSync(staging, { recursive: true });
  return tarballs;
}

module.exports = { packAll };

if (require.main === module) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error("usage: node pack.cjs FOLDER");
  for (const tarball of packAll(resolve(folder))) console.log(tarball);
}

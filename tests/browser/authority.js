// Certificates for a test, made by the command openssl: an authority of its own, and a server's certificate that it signs.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];

/** A certificate for `localhost` and 127.0.0.1, in files that `remove` removes. */
export class Certificate {
  #folder = mkdtempSync(join(tmpdir(), "tidewire-browser-"));

  constructor() {
    const [ca, caKey, request] = ["ca.pem", "ca.key", "server.csr"].map((name) => this.#file(name));
    openssl(["req", "-x509", ...CURVE, "-subj", "/CN=an authority for tests", "-keyout", caKey, "-out", ca]);
    openssl(["req", ...CURVE, "-subj", "/CN=localhost", "-keyout", this.key, "-out", request]);
    const extensions = this.#file("extensions");
    writeFileSync(extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    const signed = openssl(["x509", "-req", "-days", "2", "-in", request, "-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-extfile", extensions]);
    // The chain as a server sends it, the authority included: Chromium is told to trust its key.
    writeFileSync(this.cert, Buffer.concat([signed, openssl(["x509", "-in", ca])]));
    this.#authority = ca;
  }

  #authority;

  get cert() {
    return this.#file("server.pem");
  }

  get key() {
    return this.#file("server.key");
  }

  /** The SHA-256 of the authority's public key, in base64. */
  get authorityHash() {
    const pem = openssl(["x509", "-in", this.#authority, "-noout", "-pubkey"]);
    const der = openssl(["pkey", "-pubin", "-outform", "DER"], pem);
    return openssl(["dgst", "-sha256", "-binary"], der).toString("base64");
  }

  remove() {
    rmSync(this.#folder, { recursive: true });
  }

  #file(name) {
    return join(this.#folder, name);
  }
}

function openssl(args, input) {
  return execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "pipe"] });
}

"use strict";
// Certificates for tests, made anew each time (X.509 v3, RFC 5280, with P-256 keys).

const { createPublicKey, generateKeyPairSync, sign } = require("node:crypto");

const der = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const long = body.length > 255 ? [0x82, body.length >> 8, body.length & 255] : [0x81, body.length];
  return Buffer.concat([Buffer.from([tag, ...long]), body]);
};
const sequence = (...parts) => der(0x30, ...parts);
const oid = (...bytes) => der(0x06, Buffer.from(bytes));
const name = (text) => sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(text)))));
const time = (text) => der(0x17, Buffer.from(text));
const extension = (id, critical, value) => sequence(id, ...(critical ? [Buffer.from([1, 1, 255])] : []), der(0x04, value));

const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
let serial = 0;

/** A certificate for DNS names, issued by `issuer` or by itself: {cert, key} in PEM. */
function certificate(names, { issuer, authority = false, passphrase } = {}) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const alternatives = sequence(...names.map((dns) => der(0x82, Buffer.from(dns))));
  const extensions = [extension(oid(0x55, 0x1d, 0x11), false, alternatives)];
  if (authority) extensions.push(extension(oid(0x55, 0x1d, 0x13), true, sequence(Buffer.from([1, 1, 255]))));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([++serial])),
    ECDSA_SHA256,
    name(issuer?.name ?? names[0]),
    sequence(time("200101000000Z"), time("490101000000Z")),
    name(names[0]),
    createPublicKey(privateKey).export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", body, issuer?.privateKey ?? privateKey);
  const bytes = sequence(body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature));
  const lines = bytes.toString("base64").match(/.{1,64}/g).join("\n");
  const cipher = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  return {
    name: names[0],
    privateKey,
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    der: bytes,
    key: privateKey.export({ type: "pkcs8", format: "pem", ...cipher }),
  };
}

module.exports = { certificate };

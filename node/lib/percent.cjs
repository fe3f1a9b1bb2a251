"use strict";
// Percent-encoding, read as Bun reads it: what is not UTF-8, and no encoding at all, becomes U+FFFD and is never an error.

const decoder = new TextDecoder();

/** How many bytes a UTF-8 sequence has that begins with this one. */
const lengthOf = (lead) => (lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1);

/** One character of the bytes from `at`, and where the next begins. A sequence that is broken is one U+FFFD. */
function character(bytes, at) {
  let end = at + 1;
  const most = Math.min(at + lengthOf(bytes[at]), bytes.length);
  while (end < most && (bytes[end] & 0xc0) === 0x80) end++;
  const text = decoder.decode(bytes.subarray(at, end));
  return [text.includes("\ufffd") ? "\ufffd" : text, end];
}

/** A run of encoded bytes, `%41%c3%a9` for instance. */
function run(encoded) {
  const bytes = Uint8Array.from(encoded.slice(1).split("%"), (hex) => Number.parseInt(hex, 16));
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const [one, next] = character(bytes, at);
    text += one;
    at = next;
  }
  return text;
}

/** The text that a percent-encoded one stands for. */
function decoded(text) {
  if (!text.includes("%")) return text;
  return text.replace(/((?:%[0-9a-f]{2})+)|%..|%/gis, (_, encoded) => (encoded === undefined ? "\ufffd" : run(encoded)));
}

module.exports = { decoded };

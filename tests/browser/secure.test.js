// Chromium with the command's servers as they are run in earnest: https and wss by a certificate of an authority of our own, and every
// message compressed.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Certificate } from "./authority.js";
import { startServer } from "./server.js";
import { Visitor, launch } from "./visitor.js";

/** A bound for one test on a busy machine, in milliseconds. */
const timeout = 180_000;
/** What `--compress` agrees on with a browser: every message by itself, in both directions. */
const AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

describe("through TLS, compressed", () => {
  let certificate;
  let browser;
  before(async () => {
    certificate = new Certificate();
    browser = await launch({ trusts: certificate.authorityHash });
  });
  after(async () => {
    await browser?.close();
    certificate?.remove();
  });

  async function withServer(program, test) {
    const server = await startServer({ program, flags: ["--compress", "--cert", certificate.cert, "--key", certificate.key] });
    try {
      await test(server.url.replace("127.0.0.1", "localhost"));
    } finally {
      await server.kill();
    }
  }

  it("people chat, and the browser says what was agreed on", { timeout }, () => withServer("chat", async (url) => {
    assert.match(url, /^https:/);
    const handshakes = [];
    const [alice, bob] = [await Visitor.arrive(browser, url), await Visitor.arrive(browser, url)];
    const devtools = await alice.page.context().newCDPSession(alice.page);
    await devtools.send("Network.enable");
    devtools.on("Network.webSocketHandshakeResponseReceived", ({ response }) => handshakes.push(response));
    await alice.join("alice");
    await bob.join("bob");
    const long = "a wave, and another wave, and one more wave; ".repeat(5).trim();
    await alice.says(long);
    for (const [visitor, from] of [[alice, "You"], [bob, "alice"]]) await visitor.sees(visitor.message(from, long));
    await bob.says("I hear you");
    await alice.sees(alice.message("bob", "I hear you"));

    assert.equal(handshakes.length, 1);
    const headers = Object.entries(handshakes[0].headers).map(([name, value]) => [name.toLowerCase(), value]);
    assert.equal(Object.fromEntries(headers)["sec-websocket-extensions"], AGREED);
    for (const visitor of [alice, bob]) {
      visitor.assertNoComplaints();
      await visitor.leave();
    }
  }));

  it("an echo gives back what it got, from nothing to a mebibyte", { timeout }, () => withServer("echo", async (url) => {
    const page = await browser.newPage();
    const seen = await page.evaluate(echoes, url.replace(/^https/, "wss"));
    assert.deepEqual(seen, { extensions: AGREED, wrong: [], count: 6, code: 1000 });
    await page.close();
  }));

  it("who does not trust the authority gets nothing", { timeout }, () => withServer("chat", async (url) => {
    const stranger = await launch();
    try {
      const page = await stranger.newPage();
      await assert.rejects(page.goto(url), /ERR_CERT_AUTHORITY_INVALID/);
    } finally {
      await stranger.close();
    }
  }));
});

/** Runs in the page: sends messages one after the other, and gives those that did not come back as they were. */
function echoes(url) {
  const bytes = (size, value) => new Uint8Array(size).map((_, at) => value(at));
  const texts = ["", "hello", "größer 🌊 ".repeat(5_000)];
  const messages = [...texts, bytes(1, () => 7), bytes(100_000, (at) => (at * at) >> 3), bytes(1 << 20, (at) => at >> 12)];
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const wrong = [];
    let count = 0;
    socket.binaryType = "arraybuffer";
    const same = (sent, got) =>
      typeof sent === "string" ? sent === got : got instanceof ArrayBuffer && String(sent) === String(new Uint8Array(got));
    socket.onopen = () => socket.send(messages[0]);
    socket.onerror = () => reject(new Error("the socket has failed"));
    socket.onmessage = ({ data }) => {
      if (!same(messages[count], data)) wrong.push(count);
      count += 1;
      if (count < messages.length) socket.send(messages[count]);
      else socket.close(1000);
    };
    socket.onclose = ({ code }) => resolve({ extensions: socket.extensions, wrong, count, code });
  });
}

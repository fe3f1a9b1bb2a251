"use strict";
// The kit itself: what it writes is what it reads, and it excuses nothing that is not there.

const assert = require("node:assert");
const { once } = require("node:events");
const net = require("node:net");
const { test } = require("node:test");
const { excuse } = require("./kit/allowed.cjs");
const http = require("./kit/http.cjs");
const { Peer } = require("./kit/peer.cjs");
const { Frames, frame, text, binary, more, ping, pong, close, packed } = require("./kit/wire.cjs");

const SAID = [
  [text("hello"), "text hello"],
  [text(""), "text"],
  [text("é", { mask: false }), "text é"],
  [text("part", { fin: false }), "text unfinished part"],
  [more("rest"), "continuation rest"],
  [binary([1, 2, 255]), "binary 0102ff"],
  [binary(Buffer.alloc(70_000)), "binary of 70000 bytes 4f85676b773b"],
  [ping("p"), "ping p"],
  [pong(""), "pong"],
  [close(), "close empty"],
  [close(1000, "bye"), "close 1000 bye"],
  [frame(8, [3]), "close of one byte"],
  [packed("hello hello hello"), "text compressed hello hello hello"],
  [frame(3, "x", { rsv: 2 }), "opcode 3 rsv 2 x"],
  [text("x", { wide: 8 }), "text x"],
];

test("frames are said in words, however they are cut", () => {
  for (const [bytes, words] of SAID.filter(([bytes]) => bytes.length < 1000)) {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const frames = new Frames();
      assert.deepStrictEqual([...frames.push(bytes.subarray(0, cut)), ...frames.push(bytes.subarray(cut))], [words]);
    }
  }
  const all = new Frames().push(Buffer.concat(SAID.map(([bytes]) => bytes)));
  assert.deepStrictEqual(
    all,
    SAID.map(([, words]) => words),
  );
});

test("a compressor that keeps its context is understood", () => {
  const { deflateRawSync } = require("node:zlib");
  const options = { finishFlush: 2, dictionary: Buffer.from("the same words") };
  const second = text(deflateRawSync("the same words", options).subarray(0, -4), { rsv: 4 });
  assert.ok(second.length < packed("the same words").length);
  assert.deepStrictEqual(
    new Frames().push(Buffer.concat([packed("the same words"), second])),
    Array(2).fill("text compressed the same words"),
  );
});

test("responses are taken apart, however they are cut", () => {
  const bytes = Buffer.from(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nB: 2\r\nA: 1\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
  );
  for (let cut = 0; cut < bytes.length; cut += 1) {
    const [head, rest] = http.head(bytes.subarray(0, cut)) ?? [];
    if (head !== undefined) assert.strictEqual(http.body(head, rest, {}), undefined);
  }
  const [head, rest] = http.head(bytes);
  const [content, behind] = http.body(head, rest, {});
  assert.deepStrictEqual([http.response(head, content), behind.length], ["200 {a: 1; b: 2} onetwo", 0]);
});

test("only the difference that is there is excused", () => {
  const because = "invalid close codes refused";
  const sides = () => ({ bun: { a: ["1", "2", "3"] }, tidewire: { a: ["1", "4", "3"] } });
  const excused = sides();
  excuse(excused, [{ because, bun: ["2"], tidewire: ["4"] }]);
  assert.deepStrictEqual(excused.bun, excused.tidewire);
  const wrong = [
    { because: "I like it so", bun: ["2"], tidewire: ["4"] },
    { because, bun: ["2"], tidewire: ["2"] },
    { because, bun: ["2"], tidewire: ["5"] },
    { because, bun: ["4"], tidewire: ["4", "3"] },
    { because, bun: ["1", "3"], tidewire: ["4"] },
  ];
  for (const difference of wrong) assert.throws(() => excuse(sides(), [difference]), assert.AssertionError);
});

test("a peer as a client and a peer as a server", async (t) => {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const [[socket], client] = await Promise.all([
    once(server, "connection"),
    Peer.dial("a", { port: server.address().port, host: "127.0.0.1" }),
  ]);
  const host = new Peer("b", socket, "request");
  t.after(() => [client, host].forEach((peer) => peer.destroy()));
  const upgraded = client.upgrade({
    path: "/p",
    headers: { "Sec-WebSocket-Version": null, "X-Two": ["1", "2"] },
    glued: [text("early")],
  });
  await host.sees("GET");
  host.switches({ "X-Mine": "1" }, text("glued", { mask: false }));
  await upgraded;
  await client.sees("text glued");
  await host.sees("text early");
  await client.trickle(ping("slow"));
  await host.sees("ping slow");
  host.write(close(1000, "", { mask: false }));
  await client.sees("close");
  client.finish();
  await host.sees("end");
  await client.sees("end");
  assert.deepStrictEqual(client.entries, ["101", "text glued", "close 1000", "end"]);
  const request =
    "GET /p HTTP/1.1 {connection: Upgrade; host: HOST; sec-websocket-key: KEY; upgrade: websocket; x-two: 1; x-two: 2}";
  assert.deepStrictEqual(host.entries, [request, "text early", "ping slow", "end"]);
});

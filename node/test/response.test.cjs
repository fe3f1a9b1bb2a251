"use strict";
// Responses whose body is there whole: they go whole, and stay what the platform makes of them.

const assert = require("node:assert");
const { test } = require("node:test");
const { runInNewContext } = require("node:vm");
const { serve } = require("tidewire");

/** What a client gets of a Response: its headers, and its body. */
async function answer(t, make) {
  const failed = [];
  const server = serve({ port: 0, fetch: make, error: (error) => (failed.push(error), new Response("failed", { status: 500 })) });
  t.after(() => server.stop(true));
  const response = await fetch(server.url);
  return { failed, status: response.status, headers: response.headers, body: new Uint8Array(await response.arrayBuffer()), response };
}

test("a form goes whole, however long it is", async (t) => {
  const form = new FormData();
  form.append("name", "é");
  form.append("file", new Blob([Buffer.alloc(300_000, 1)]), "file.bin");
  const { headers, body } = await answer(t, () => new Response(form));
  assert.strictEqual(headers.get("content-length"), String(body.length));
  const read = await new Response(body, { headers }).formData();
  assert.strictEqual(read.get("name"), "é");
  assert.deepStrictEqual(Buffer.from(await read.get("file").arrayBuffer()), Buffer.alloc(300_000, 1));
});

test("what was changed after the Response was made does not arrive, little or much", async (t) => {
  for (const length of [2, 64 * 1024, 64 * 1024 + 1, 1_000_000]) {
    const make = () => {
      const bytes = new Uint8Array(length).fill(1);
      const response = new Response(bytes);
      bytes.fill(2);
      return response;
    };
    const { headers, body } = await answer(t, make);
    assert.deepStrictEqual([headers.get("content-length"), headers.get("content-type")], [String(length), "application/octet-stream"]);
    assert.ok(body.length === length && body.every((byte) => byte === 1));
  }
});

test("bytes of another realm are bytes", async (t) => {
  const { body } = await answer(t, () => new Response(runInNewContext("new Uint8Array([1, 2, 3])")));
  assert.deepStrictEqual([...body], [1, 2, 3]);
});

test("a Response can be read by who made it, and is refused then", async (t) => {
  const { failed, status } = await answer(t, async () => {
    const response = new Response(new Uint8Array([104, 105]));
    assert.strictEqual(await response.text(), "hi");
    return response;
  });
  assert.deepStrictEqual([status, failed.length, failed[0].code], [500, 1, "ERR_BODY_ALREADY_USED"]);
});

test("a kept Response is sent as often as it is cloned", async (t) => {
  const kept = [new Response("text"), new Response(new Uint8Array(100_000)), Response.json([1])];
  for (const response of kept) {
    for (let i = 0; i < 3; i++) {
      const { headers, body } = await answer(t, () => response.clone());
      assert.strictEqual(headers.get("content-length"), String(body.length));
      assert.ok(body.length > 0);
    }
  }
});

test("Response.json is the platform's, but for the way that it goes", async (t) => {
  const { value } = Object.getOwnPropertyDescriptor(Response, "json");
  assert.deepStrictEqual([value.name, value.length], ["json", 1]);
  const response = Response.json({ a: 1 }, { status: 201, statusText: "Made", headers: [["x-mine", "1"]] });
  assert.ok(response instanceof Response);
  assert.deepStrictEqual([...response.headers], [["content-type", "application/json"], ["x-mine", "1"]]);
  assert.deepStrictEqual([response.status, response.statusText, await response.json()], [201, "Made", { a: 1 }]);
  for (const data of [null, 0, "", false]) assert.deepStrictEqual(await Response.json(data).json(), data);
  for (const wrong of [() => Response.json(), () => Response.json(undefined), () => Response.json(1n), () => Response.json(1, 5)]) {
    assert.throws(wrong, TypeError);
  }
  assert.throws(() => Response.json(1, { status: 204 }), TypeError);
  assert.throws(() => Response.json(1, { status: 99 }), RangeError);
  const { headers, body } = await answer(t, () => Response.json({ a: "é".repeat(100_000) }));
  assert.deepStrictEqual([headers.get("content-length"), headers.get("content-type")], [String(body.length), "application/json"]);
});

test("Response.redirect takes relative addresses too, as in Bun; others are the platform's", () => {
  const { value } = Object.getOwnPropertyDescriptor(Response, "redirect");
  assert.deepStrictEqual([value.name, value.length], ["redirect", 1]);
  const location = (...given) => [Response.redirect(...given)].map(({ status, headers }) => [status, headers.get("location")])[0];
  assert.deepStrictEqual(location("/there"), [302, "/there"]);
  assert.deepStrictEqual(location("there", 307), [307, "there"]);
  assert.deepStrictEqual(location("http://a.test", 301), [301, "http://a.test/"]);
  assert.deepStrictEqual(location(new URL("http://a.test/x")), [302, "http://a.test/x"]);
  assert.throws(() => Response.redirect("/there", 200), RangeError);
  assert.throws(() => Response.redirect("/there\r\nx: y"), TypeError);
  assert.throws(() => Response.redirect(), TypeError);
});

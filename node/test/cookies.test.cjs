"use strict";
// Cookie and CookieMap: every line was seen on Bun 1.4.5.

const assert = require("node:assert");
const { test } = require("node:test");
const { Cookie, CookieMap } = require("tidewire");

const gone = (name, attributes = "; Path=/") => `${name}=${attributes}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax`;

test("a cookie is written with its attributes, its value encoded", () => {
  const cases = [
    [["a", "b"], "a=b; Path=/; SameSite=Lax"],
    [["a", 'b c;d"é'], "a=b%20c%3Bd%22%C3%A9; Path=/; SameSite=Lax"],
    [["a", "\ud800"], "a=%EF%BF%BD; Path=/; SameSite=Lax"],
    [["a", "b", { path: "" }], "a=b; SameSite=Lax"],
    [["a", "b", { maxAge: 0 }], "a=b; Path=/; Max-Age=0; SameSite=Lax"],
    [["a", "b", { maxAge: "5", domain: "", sameSite: null }], "a=b; Path=/; SameSite=Lax"],
    [["a", "b", { expires: 1e3 }], "a=b; Path=/; Expires=Thu, 01 Jan 1970 00:16:40 GMT; SameSite=Lax"],
    [["a", "b", { expires: "Wed, 19-Mar-2025 15:03:26" }], "a=b; Path=/; Expires=Wed, 19 Mar 2025 15:03:26 GMT; SameSite=Lax"],
    [["a", null], "a=null; Path=/; SameSite=Lax"],
    [[{ name: "x" }], "x=; Path=/; SameSite=Lax"],
    [[new Cookie("a", "b", { path: "/q" })], "a=b; Path=/q; SameSite=Lax"],
    [
      [{ name: "a", value: "v", domain: "x.com", path: "/p", expires: new Date(0), maxAge: 5, secure: true, httpOnly: true, partitioned: true, sameSite: "strict" }],
      "a=v; Domain=x.com; Path=/p; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=5; Secure; HttpOnly; Partitioned; SameSite=Strict",
    ],
  ];
  for (const [parameters, line] of cases) {
    const cookie = new Cookie(...parameters);
    assert.deepStrictEqual([cookie.serialize(), cookie.toString(), `${cookie}`], [line, line, line]);
  }
  assert.strictEqual(Cookie.from("a", "b", { maxAge: 3 }).toString(), "a=b; Path=/; Max-Age=3; SameSite=Lax");
});

test("what cannot be a cookie throws", () => {
  const cases = [
    [[], TypeError, /Not enough arguments/],
    [[null], TypeError, /Not enough arguments/],
    [[{}], TypeError, /name is required/],
    [["", "b"], TypeError, /name is required/],
    [["a b", "b"], TypeError, /Invalid cookie name/],
    [["a=", "b"], TypeError, /Invalid cookie name/],
    [["é", "b"], TypeError, /Invalid cookie name/],
    [["a", "b", 5], TypeError, /Options must be an object/],
    [["a", "b", { domain: "a b" }], TypeError, /Invalid cookie domain/],
    [["a", "b", { domain: "Ex.com" }], TypeError, /Invalid cookie domain/],
    [["a", "b", { path: "/a;b" }], TypeError, /Invalid cookie path/],
    [["a", "b", { path: "/a\r\n" }], TypeError, /Invalid cookie path/],
    [["a", "b", { sameSite: "Strict" }], TypeError, /Invalid sameSite value/],
    [["a", "b", { expires: NaN }], RangeError, /expires must be a valid Number/],
    [["a", "b", { expires: new Date(NaN) }], RangeError, /expires must be a valid Date/],
    [["a", "b", { expires: "2025-03-19" }], TypeError, /Invalid cookie expiration date/],
    [["a", "b", { expires: {} }], TypeError, /Invalid expires value/],
  ];
  for (const [parameters, type, message] of cases) {
    assert.throws(() => new Cookie(...parameters), (error) => error instanceof type && message.test(error.message), JSON.stringify(parameters));
  }
  assert.throws(() => Cookie.from("a"), /Not enough arguments/);
  assert.throws(() => Cookie("a", "b"), TypeError);
});

test("a line of Set-Cookie is read; what is unknown or unreadable in it is ignored", () => {
  const full = "a=b; Path=/x; HttpOnly; Secure; SameSite=None; Max-Age=10; Expires=Wed, 19 Mar 2025 15:03:26 GMT; Domain=Foo.com; Partitioned";
  const cases = {
    [full]: "a=b; Domain=foo.com; Path=/x; Expires=Wed, 19 Mar 2025 15:03:26 GMT; Max-Age=10; Secure; HttpOnly; Partitioned; SameSite=None",
    "a=b; samesite=weird; max-age=abc; expires=garbage; foo=bar": "a=b; Path=/; SameSite=Lax",
    "a=b; path=relative; expires=2025": "a=b; Path=/; SameSite=Lax",
    "a=b; Max-Age=-5; Max-Age=1.5; Max-Age=zz": "a=b; Path=/; Max-Age=1; SameSite=Lax",
    "a=b; Path=/x;; ; Secure=false": "a=b; Path=/x; Secure; SameSite=Lax",
    "a=b=c": "a=b%3Dc; Path=/; SameSite=Lax",
  };
  for (const [line, written] of Object.entries(cases)) assert.strictEqual(Cookie.parse(line).toString(), written, line);
  assert.strictEqual(new Cookie("a=b; Path=/z").path, "/z");
  assert.strictEqual(Cookie.parse("a=b%20c").value, "b%20c");
  for (const [line, message] of [["abc", /no '='/], ["=b", /name cannot be empty/], [" a=b", /not a valid HTTP header/], ["a=b\nc", /not a valid/], ["a b=c", /name/]]) {
    assert.throws(() => Cookie.parse(line), (error) => error instanceof TypeError && message.test(error.message), line);
  }
});

test("attributes can be changed, but for the name, and say when a cookie has expired", () => {
  const cookie = new Cookie("a", "b");
  const { name, value, domain, path, expires, maxAge, secure, sameSite, partitioned, httpOnly } = cookie;
  assert.deepStrictEqual([name, value, domain, path, expires, maxAge], ["a", "b", null, "/", undefined, undefined]);
  assert.deepStrictEqual([secure, sameSite, partitioned, httpOnly], [false, "lax", false, false]);
  Object.assign(cookie, { name: "x", value: "x y", domain: "q.com", path: "/z", secure: 1, httpOnly: "", maxAge: "7", expires: 5, sameSite: "none" });
  assert.strictEqual(cookie.toString(), "a=x%20y; Domain=q.com; Path=/z; Expires=Thu, 01 Jan 1970 00:00:05 GMT; Max-Age=7; Secure; SameSite=None");
  assert.throws(() => (cookie.maxAge = "x"), TypeError);
  assert.throws(() => (cookie.sameSite = null), TypeError);
  Object.assign(cookie, { domain: null, maxAge: undefined, expires: null });
  assert.strictEqual(cookie.toString(), "a=x%20y; Path=/z; Secure; SameSite=None");
  assert.strictEqual(JSON.stringify(cookie), '{"name":"a","value":"x y","path":"/z","secure":true,"sameSite":"none","httpOnly":false,"partitioned":false}');
  const expired = (options) => new Cookie("a", "b", options).isExpired();
  assert.deepStrictEqual([expired(), expired({ maxAge: 0 }), expired({ maxAge: 10, expires: 0 }), expired({ expires: 0 })], [false, true, false, true]);
  assert.deepStrictEqual([`${Object.prototype.toString.call(cookie)}`, Object.keys(cookie)], ["[object Cookie]", []]);
});

test("a map is made of a header, of pairs, of an object, or of nothing", () => {
  const cases = [
    [undefined, []],
    [null, []],
    ["", []],
    ["a=b; c=d; a=e", [["a", "b"], ["c", "d"], ["a", "e"]]],
    ["a=b;c=d;;x; =y; z=;\t q = r ", [["a", "b"], ["c", "d"], ["z", ""], ["q", "r"]]],
    ['a="b"; b=%20; c=%zz; d=é; e=a=b; g=%E2%82%AC; h%20=+', [["a", '"b"'], ["b", " "], ["c", "\ufffd"], ["d", "é"], ["e", "a=b"], ["g", "€"], ["h%20", "+"]]],
    [{ a: "%20", "a b": 5 }, [["a", "%20"], ["a b", "5"]]],
    [[["a", "b"], ["a", "c"]], [["a", "b"], ["a", "c"]]],
  ];
  for (const [init, pairs] of cases) assert.deepStrictEqual([...new CookieMap(init)], pairs, String(init));
  for (const init of [5, true, [["a"]], [["a", "b", "c"]], ["ab"]]) assert.throws(() => new CookieMap(init), TypeError);
});

test("changes are seen in the map and written as Set-Cookie, the last change last", () => {
  const map = new CookieMap("a=1; a=2; b=3; c=4");
  assert.deepStrictEqual([map.size, map.get("a"), map.get("none"), map.has("b"), map.has("none")], [4, "1", null, true, false]);
  map.set("x", "y");
  map.set("a", "9");
  map.delete("b");
  map.set("x", "z", { httpOnly: true });
  map.delete({ name: "none", path: "/q", domain: "y.com" });
  map.delete("c", { path: "" });
  assert.deepStrictEqual([...map], [["a", "9"], ["x", "z"]]);
  const lines = ["a=9; Path=/; SameSite=Lax", gone("b"), "x=z; Path=/; HttpOnly; SameSite=Lax", gone("none", "; Domain=y.com; Path=/q"), gone("c", "")];
  assert.deepStrictEqual(map.toSetCookieHeaders(), lines);
  assert.deepStrictEqual([map.size, map.has("b"), map.get("b"), map.toJSON()], [2, false, null, { a: "9", x: "z" }]);
  map.set("b", "again");
  assert.deepStrictEqual(map.toSetCookieHeaders().at(-1), "b=again; Path=/; SameSite=Lax");
});

test("set takes a name and a value, an object, or a Cookie, which it keeps", () => {
  const map = new CookieMap();
  const cookie = new Cookie("x", "1");
  assert.strictEqual(map.set({ name: "a", value: "b", maxAge: 4 }), undefined);
  map.set(cookie);
  cookie.value = "2";
  assert.deepStrictEqual([...map], [["a", "b"], ["x", "2"]]);
  for (const parameters of [["a"], ["a b", "c"], ["", "c"], [{ value: "c" }], ["a", "b", 5]]) assert.throws(() => map.set(...parameters), TypeError);
  for (const parameters of [[{}], [""], ["é"], ["a", null], ["a", { domain: "b;c" }]]) assert.throws(() => map.delete(...parameters), TypeError);
});

test("it is iterated like a Map, and sees changes that are made meanwhile", () => {
  const map = new CookieMap("a=b; c=d; __proto__=e");
  assert.deepStrictEqual([[...map.keys()], [...map.values()]], [["a", "c", "__proto__"], ["b", "d", "e"]]);
  assert.deepStrictEqual([map.entries, Object.prototype.toString.call(map.keys())], [map[Symbol.iterator], "[object CookieMap Iterator]"]);
  assert.strictEqual(JSON.stringify(map), '{"a":"b","c":"d","__proto__":"e"}');
  const calls = [];
  map.forEach(function (value, name, given) { calls.push([value, name, given === map, this.self]); }, { self: 7 });
  assert.deepStrictEqual(calls[0], ["b", "a", true, 7]);
  assert.throws(() => map.forEach(), TypeError);
  const names = [];
  for (const [name] of map) if (names.push(name) === 1) map.delete("c");
  assert.deepStrictEqual(names, ["a", "__proto__"]);
});

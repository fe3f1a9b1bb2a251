"use strict";
// CookieMap, by itself and as a request's `cookies`.

/** A program that only calls. */
const calling = (call) => ({
  serve(site) {
    call(site);
    site.note("done");
    return { fetch: () => new Response() };
  },
  async drive({ program }) {
    await program.sees("done");
  },
});

/** One request, whose cookies the program reads and writes. */
const asked = (cookie, handle) => ({
  serve: (site) => ({
    routes: {
      "/": (req) => {
        handle(req.cookies, site);
        return new Response("x");
      },
    },
  }),
  async drive({ dial }) {
    const peer = await dial();
    peer.ask("GET", "/", { headers: cookie ? { Cookie: cookie } : {} });
    await peer.sees("200");
  },
});

module.exports = {
  "made of a header": calling(({ note, CookieMap }) => {
    const map = new CookieMap("a=1; b=two; c=%C3%A9; d=; e");
    note(
      map.size,
      map.get("a"),
      map.get("b"),
      map.get("c"),
      map.get("d"),
      map.get("e"),
      map.get("nothing"),
      map.has("a"),
      map.has("z"),
    );
    note([...map], [...map.keys()], [...map.values()], map.toJSON());
  }),
  "made of an object, of pairs and of nothing": calling(({ note, CookieMap }) => {
    note(
      [...new CookieMap({ a: "1", b: "2" })],
      [
        ...new CookieMap([
          ["a", "1"],
          ["a", "2"],
        ]),
      ],
      [...new CookieMap()],
      [...new CookieMap("")],
    );
  }),
  "a name twice in a header": calling(({ note, CookieMap }) => note([...new CookieMap("a=1; a=2; b=3")])),
  "spaces, quotes and signs": calling(({ note, CookieMap }) =>
    note([...new CookieMap('a = 1 ;b="quoted"; c=a=b;;  d=x%20y; e=%zz')]),
  ),
  "set and delete": calling(({ note, CookieMap }) => {
    const map = new CookieMap("a=1; b=2");
    map.set("c", "3");
    map.set("a", "changed");
    map.delete("b");
    note(map.size, [...map].sort(), map.get("b"), map.toSetCookieHeaders());
  }),
  "set with attributes": calling(({ note, CookieMap }) => {
    const map = new CookieMap();
    map.set("a", "1", { path: "/p", domain: "example.test", maxAge: 60, httpOnly: true, secure: true, sameSite: "strict" });
    map.set({ name: "b", value: "é;=", expires: new Date(0), sameSite: "none", partitioned: true });
    map.delete("gone", { path: "/p", domain: "example.test" });
    note(map.toSetCookieHeaders());
  }),
  "forEach": calling(({ note, CookieMap }) => new CookieMap("a=1; b=2").forEach((value, key) => note(key, value))),
  "what is no cookie": calling(({ note, attempt, CookieMap }) => {
    note(
      attempt(() => new CookieMap(1)),
      attempt(() => new CookieMap().set()),
      attempt(() => new CookieMap().set("a;b", "1")),
    );
    note(
      attempt(() => new CookieMap().set("a", "1", { sameSite: "wrong" })),
      attempt(() => new CookieMap().get()),
    );
  }),
  "a request's cookies are read": asked("a=1; b=two", (cookies, { note }) =>
    note(cookies.get("a"), cookies.get("b"), cookies.get("c"), cookies.size),
  ),
  "a request without cookies": asked("", (cookies, { note }) => note(cookies.size, cookies.get("a"))),
  "what a handler sets is answered": asked("a=1", (cookies) => {
    cookies.set("b", "2", { path: "/p" });
    cookies.delete("a");
  }),
};

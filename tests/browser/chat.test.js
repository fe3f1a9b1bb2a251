// The chat page as people use it: two browsers, a keyboard each, and the real server, with one worker and with several.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startServer } from "./server.js";
import { Visitor, focused, launch } from "./visitor.js";

/** A bound for one test on a busy machine, in milliseconds. */
const timeout = 180_000;
const PHONE = { width: 375, height: 700 };
const NARROW = { width: 320, height: 568 };

for (const workers of [1, 4]) {
  describe(`the chat page, --workers ${workers}`, () => {
    let browser;
    before(async () => (browser = await launch()));
    after(() => browser?.close());

    /** Runs a test in a room of its own: `arrive` brings people, and everything that was started ends with it. */
    async function inRoom(test) {
      const server = await startServer({ workers });
      const room = {
        server,
        visitors: [],
        async arrive(options) {
          const visitor = await Visitor.arrive(browser, server.url, options);
          room.visitors.push(visitor);
          return visitor;
        },
        async restart() {
          const { port } = room.server;
          room.server = await startServer({ workers, port });
        },
      };
      try {
        await test(room);
      } finally {
        await Promise.all(room.visitors.map((visitor) => visitor.leave()));
        await room.server.kill();
      }
    }

    it("shows who enters, speaks and leaves", { timeout }, () => inRoom(async ({ arrive }) => {
      const bob = await arrive();
      await bob.join("bob");
      await bob.sees(bob.notice("bob has entered the chat (you)"));
      const alice = await arrive();
      await alice.join("alice");
      await bob.sees(bob.notice("alice has entered the chat"));
      await alice.sees(alice.notice("alice has entered the chat (you)"));
      await bob.sees(bob.person("alice"));

      await alice.says("Is the tide in?");
      await alice.sees(alice.message("You", "Is the tide in?"));
      await bob.sees(bob.message("alice", "Is the tide in?"));
      assert.equal(await alice.messageField.inputValue(), "");
      await bob.says("Nearly: at 11:40.");
      await bob.sees(bob.message("You", "Nearly: at 11:40."));
      await alice.sees(alice.message("bob", "Nearly: at 11:40."));
      // Alice came later and knows of bob since he spoke.
      await alice.sees(alice.person("bob"));

      alice.assertNoComplaints();
      await alice.leave();
      await bob.sees(bob.notice("alice has left the chat"));
      await bob.person("alice").waitFor({ state: "detached" });
      bob.assertNoComplaints();
    }));

    it("takes what people type for text", { timeout }, () => inRoom(async ({ arrive }) => {
      const [alice, bob] = [await arrive(), await arrive()];
      await bob.join("bob");
      await alice.join("<b>alice</b>");
      await bob.sees(bob.notice("<b>alice</b> has entered the chat"));
      const attack = `<img src="x" onerror="alert('owned')"><script>alert("owned")</script>`;
      const arrival = "eve has entered the chat";
      for (const text of [attack, arrival]) {
        await alice.says(text);
        await alice.sees(alice.message("You", text));
        await bob.sees(bob.message("<b>alice</b>", text));
      }
      // What reads like an arrival is still alice's words: nobody called eve is here.
      assert.equal(await bob.person("eve").count(), 0);
      for (const visitor of [alice, bob]) {
        assert.equal(await visitor.log.getByRole("img").count(), 0);
        visitor.assertNoComplaints();
      }
    }));

    it("is used by keyboard alone, in the order in which it is read", { timeout }, () => inRoom(async ({ arrive }) => {
      const alice = await arrive({ size: PHONE });
      const { keyboard } = alice;
      await alice.sees(focused(alice.nameField));
      for (const [name, complaint] of [["", "Please give a name."], ["a: b", "A name cannot contain a colon."]]) {
        await keyboard.type(name);
        await keyboard.press("Enter");
        await alice.sees(alice.page.getByRole("alert").filter({ hasText: complaint }));
        await alice.sees(focused(alice.nameField));
      }
      await keyboard.press("ControlOrMeta+A");
      await keyboard.press("Tab");
      await alice.sees(focused(alice.button("Join the chat")));
      await keyboard.press("Shift+Tab");
      await keyboard.press("ControlOrMeta+A");
      await alice.join("alice");

      const order = [alice.peopleButton, alice.button("Leave"), alice.log, alice.messageField, alice.button("Send")];
      for (const stop of order.slice(0, -2).reverse()) {
        await keyboard.press("Shift+Tab");
        await alice.sees(focused(stop));
      }
      for (const stop of order.slice(1)) {
        await keyboard.press("Tab");
        await alice.sees(focused(stop));
      }

      await alice.peopleButton.focus();
      await keyboard.press("Enter");
      await alice.sees(alice.person("alice"));
      await keyboard.press("Escape");
      await alice.people.waitFor({ state: "hidden" });
      await alice.sees(focused(alice.peopleButton));
      await keyboard.press("Tab");
      await keyboard.press("Enter");
      // The name is remembered for the next time.
      await alice.sees(focused(alice.nameField));
      assert.equal(await alice.nameField.inputValue(), "alice");
      alice.assertNoComplaints();
    }));

    it("sends with Enter and starts a line with Shift+Enter", { timeout }, () => inRoom(async ({ arrive }) => {
      const alice = await arrive();
      await alice.join("alice");
      await alice.keyboard.type("one");
      await alice.keyboard.press("Shift+Enter");
      await alice.keyboard.type("two");
      await alice.keyboard.press("Enter");
      const words = alice.message("You", "one two").getByText("one two");
      assert.match(await words.innerText(), /^one\ntwo$/);
      alice.assertNoComplaints();
    }));

    it("fits a small phone", { timeout }, () => inRoom(async (room) => {
      const alice = await room.arrive({ size: NARROW });
      assert.equal(await alice.overhang(), 0, "at the door");
      const name = "W".repeat(32);
      await alice.join(name);
      const long = "unbreakable".repeat(40);
      await alice.says(long);
      await alice.sees(alice.message("You", long));
      assert.equal(await alice.overhang(), 0, "in the room");
      await alice.peopleButton.click();
      await alice.sees(alice.person(name));
      assert.equal(await alice.overhang(), 0, "with the list of people");
      await room.server.stop();
      await alice.sees(alice.retryButton);
      assert.equal(await alice.overhang(), 0, "without a connection");
      alice.assertNoComplaints({ outage: true });
    }));

    it("leaves a reader where they are, and says that there is more", { timeout }, () => inRoom(async ({ arrive }) => {
      const [alice, bob] = [await arrive({ size: NARROW }), await arrive()];
      await bob.join("bob");
      await alice.join("alice");
      for (let line = 1; line <= 12; line += 1) await bob.says(`line ${line}`);
      const [first, last] = [alice.notice("alice has entered the chat"), alice.message("bob", "line 12")];
      await alice.sees(last);
      await inView(last);
      await alice.log.focus();
      await alice.keyboard.press("Home");
      await inView(first);
      await bob.says("one more");
      const jump = alice.button(/^1 new message/);
      await alice.sees(jump);
      await inView(first);
      await jump.focus();
      await alice.keyboard.press("Enter");
      await inView(alice.message("bob", "one more"));
      await jump.waitFor({ state: "hidden" });
      await alice.sees(focused(alice.log));
      alice.assertNoComplaints();
    }));

    it("gives back what the server has not confirmed", { timeout }, () => inRoom(async ({ arrive }) => {
      let broken = false;
      const alice = await arrive({
        onSocket(page) {
          const server = page.connectToServer();
          // The first message gets lost, and the connection with it.
          page.onMessage((text) => {
            if (broken) return server.send(text);
            broken = true;
            return page.close({ code: 1011, reason: "broken by the test" });
          });
        },
      });
      await alice.join("alice");
      await alice.says("lost on its way");
      await alice.sees(alice.log.getByText("Disconnected: The connection was closed (1011)"));
      await alice.sees(alice.page.getByRole("status").filter({ hasText: "The server had not confirmed this" }));
      assert.equal(await alice.messageField.inputValue(), "lost on its way");
      assert.equal(await alice.log.getByText("lost on its way").count(), 0);
      await alice.sees(alice.page.getByRole("status").filter({ hasText: "Connected as alice" }));
      await alice.keyboard.press("Enter");
      await alice.sees(alice.message("You", "lost on its way"));
      alice.assertNoComplaints();
    }));

    it("keeps what is typed while the server is away, and comes back", { timeout }, () => inRoom(async (room) => {
      const bob = await room.arrive();
      await bob.join("bob");
      // Alice's clock will stand still, so that it is her key that brings her back, and bob's page comes back by itself.
      const alice = await room.arrive({ stopsClock: true });
      await alice.join("alice");
      await bob.sees(bob.notice("alice has entered the chat"));
      await alice.page.clock.pauseAt(await alice.page.evaluate(() => Date.now() + 1_000));

      assert.deepEqual(await room.server.stop(), [0, null], "SIGTERM ends the server in good order");
      for (const visitor of [alice, bob]) {
        await visitor.sees(visitor.log.getByText("Disconnected: The server is going away (1001)"));
        await visitor.sees(visitor.page.getByRole("status").filter({ hasText: "Reconnecting" }));
        await visitor.sees(visitor.retryButton);
      }
      await alice.sees(alice.page.getByText(/^Reconnecting in \d+ s$/));
      await alice.says("a thought worth keeping");
      await alice.sees(alice.page.getByRole("status").filter({ hasText: "Not connected: your message stays here" }));
      assert.equal(await alice.messageField.inputValue(), "a thought worth keeping");
      assert.equal(await alice.log.getByText("a thought worth keeping").count(), 0);

      await room.restart();
      await bob.sees(bob.page.getByRole("status").filter({ hasText: "Connected as bob" }));
      await alice.keyboard.press("Shift+Tab");
      await alice.sees(focused(alice.retryButton));
      await alice.keyboard.press("Enter");
      await alice.sees(alice.page.getByRole("status").filter({ hasText: "Connected as alice" }));
      await alice.page.clock.resume();
      await bob.sees(bob.notice("alice has entered the chat").nth(1));
      await alice.retryButton.waitFor({ state: "hidden" });

      await alice.sees(focused(alice.messageField));
      await alice.keyboard.press("Enter");
      await alice.sees(alice.message("You", "a thought worth keeping"));
      await bob.sees(bob.message("alice", "a thought worth keeping"));
      for (const visitor of [alice, bob]) visitor.assertNoComplaints({ outage: true });
    }));
  });
}

/** Waits until the middle of an element is inside its scrolled log. */
async function inView(locator) {
  const element = await locator.elementHandle();
  await locator.page().waitForFunction((node) => {
    const { top, bottom } = node.closest("[role=log]").getBoundingClientRect();
    const box = node.getBoundingClientRect();
    const middle = (box.top + box.bottom) / 2;
    return middle > top && middle < bottom;
  }, element);
}

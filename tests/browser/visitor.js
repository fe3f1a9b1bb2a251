// A person at a browser: what they can press and what they can see. Elements are found by role, name and text, never by the page's insides.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { browserPath } from "./chromium.js";

/** How long a person would wait for anything, in milliseconds: a bound for a busy machine, not an expectation. */
const PATIENCE = 30_000;
/** Chromium says this for each try while the server is away; a page cannot keep it from doing so. */
const REFUSED = /^WebSocket connection to '.*' failed: /;

/**
 * Starts Chromium.
 *
 * @param {object} options
 * @param {string} [options.trusts] the SHA-256, in base64, of the public key of an authority whose certificates are taken for good
 */
export function launch({ trusts } = {}) {
  return chromium.launch({
    executablePath: browserPath(),
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...(trusts ? [`--ignore-certificate-errors-spki-list=${trusts}`] : []),
    ],
  });
}

/** One person with a browser profile of their own, so that nobody's stored name is another's. */
export class Visitor {
  /** What the browser complained of, and requests to anybody but the server. */
  #complaints = [];

  /**
   * @param {import("playwright-core").Browser} browser
   * @param {string} url the server's
   * @param {object} options
   * @param {{ width: number, height: number }} [options.size] of the page, in CSS pixels
   * @param {boolean} [options.stopsClock] whether the page's clock can be stopped
   * @param {(route: import("playwright-core").WebSocketRoute) => void} [options.onSocket] sits between the page and the server
   */
  static async arrive(browser, url, { size = { width: 1000, height: 700 }, stopsClock = false, onSocket } = {}) {
    const context = await browser.newContext({ viewport: size });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const visitor = new Visitor(page);
    visitor.#listen(new URL(url).host);
    if (stopsClock) await page.clock.install();
    if (onSocket) await page.routeWebSocket(/\/chat\?/, onSocket);
    await page.goto(url);
    return visitor;
  }

  constructor(page) {
    this.page = page;
    this.keyboard = page.keyboard;
    this.log = page.getByRole("log", { name: "Messages" });
    this.people = page.getByRole("complementary", { name: /^Seen here/ });
    this.nameField = page.getByRole("textbox", { name: "Your name" });
    this.messageField = page.getByRole("textbox", { name: "Message" });
    this.peopleButton = page.getByRole("button", { name: /^\d+ seen here$/ });
    this.retryButton = page.getByRole("button", { name: "Try now" });
  }

  button(name) {
    return this.page.getByRole("button", { name });
  }

  #listen(host) {
    this.page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#complaints.push(message.text());
    });
    this.page.on("pageerror", (error) => this.#complaints.push(String(error)));
    this.page.on("dialog", (dialog) => {
      this.#complaints.push(`a dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    this.page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.host !== host) this.#complaints.push(`a request to ${url}`);
    });
  }

  /** Fails if the browser complained; `outage`: of anything but a server that was away. */
  assertNoComplaints({ outage = false } = {}) {
    assert.deepEqual(this.#complaints.filter((text) => !(outage && REFUSED.test(text))), []);
  }

  /** Joins as somebody would who has no mouse. */
  async join(name) {
    await this.sees(focused(this.nameField));
    await this.keyboard.type(name);
    await this.keyboard.press("Enter");
    await this.sees(this.page.getByRole("status").filter({ hasText: `Connected as ${name}` }));
    await this.sees(focused(this.messageField));
  }

  /** Types a message and presses Enter; the focus must be in the field, as it is after joining. */
  async says(text) {
    await this.sees(focused(this.messageField));
    await this.keyboard.type(text);
    await this.keyboard.press("Enter");
  }

  sees(locator) {
    return locator.waitFor({ state: "visible" });
  }

  /** A message in the conversation, with its sender's name ("You" for one's own); one that is still being sent is not part of it. */
  message(from, text) {
    return this.log
      .getByRole("listitem")
      .filter({ hasText: `${from}: ` })
      .filter({ has: this.page.getByText(text, { exact: true }) })
      .filter({ hasNotText: "sending\u2026" });
  }

  /** A line of the log that is not a message: somebody enters or leaves. */
  notice(text) {
    return this.log.getByRole("listitem").filter({ hasText: text }).filter({ hasNotText: /: / });
  }

  person(name) {
    return this.people.getByRole("listitem").filter({ hasText: name });
  }

  /** How far the page, its log included, reaches past its right edge, in pixels. */
  async overhang() {
    const past = (element) => element.scrollWidth - element.clientWidth;
    const parts = [this.page.locator("html"), this.page.locator("body"), this.page.getByRole("main")];
    if (await this.log.isVisible()) parts.push(this.log);
    return Math.max(...(await Promise.all(parts.map((part) => part.evaluate(past)))));
  }

  leave() {
    return this.page.context().close();
  }
}

/** The same element, once it has the focus. */
export function focused(locator) {
  return locator.and(locator.page().locator(":focus"));
}

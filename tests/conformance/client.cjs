"use strict";
// The npm package's client in the Autobahn test suite: asks a `wstest --mode fuzzingserver` how many cases there are, sends every
// message of each back, and has the reports written. `cargo xtask conformance client` sets the two variables.

const { WebSocket } = require("../../node");

const { AUTOBAHN_URL: url, AUTOBAHN_AGENT: agent } = process.env;

/** Runs one connection to its end; gives the last message. */
function run(path, echo) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url + path);
    let open = false;
    let last;
    ws.onopen = () => (open = true);
    ws.onmessage = ({ data }) => {
      last = data;
      if (echo) ws.send(data);
    };
    // However it ends is the suite's to judge, but every handshake must succeed.
    ws.onerror = ({ message }) => open || reject(new Error(message));
    ws.onclose = () => resolve(last);
  });
}

(async () => {
  const count = Number(await run("/getCaseCount", false));
  for (let number = 1; number <= count; number++) await run(`/runCase?case=${number}&agent=${agent}`, true);
  // A WebSocket has closed when both have said so; its connection may end later. The suite has seen that end when it answers again.
  await run("/getCaseCount", false);
  await run(`/updateReports?agent=${agent}`, false);
})();

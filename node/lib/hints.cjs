"use strict";
// Names of options that nobody reads, and that look as if somebody should: without types a slip is silent, as in Bun.

/** Names of other libraries, and what is meant here. */
const ELSEWHERE = {
  maxpayload: "maxPayloadLength",
  maxbackpressure: "backpressureLimit",
  closeonbackpressure: "closeOnBackpressureLimit",
  sendpingsautomatically: "sendPings",
  compression: "perMessageDeflate",
  permessagecompression: "perMessageDeflate",
  host: "hostname",
  ws: "websocket",
};

/** A name without its usual slips: letters of another case, `_` and `-`, `on` before it, an `s` behind it. */
const plain = (name) => name.toLowerCase().replace(/[_-]/g, "");

function meant(name, known) {
  const given = plain(name);
  const other = ELSEWHERE[given];
  if (known.includes(other)) return other;
  return known.find((one) => [one, `on${one}`, `${one}s`, `${one}handler`].some((slip) => plain(slip) === given));
}

const told = new Set();

/** Warns once of each name that is not known and close to one that is. */
function hint(place, object, known) {
  for (const name of Object.keys(object)) {
    const instead = known.includes(name) ? undefined : meant(name, known);
    if (instead === undefined || instead in object || told.has(`${place} ${name}`)) continue;
    told.add(`${place} ${name}`);
    process.emitWarning(`serve: nothing reads the option ${name}${place === "serve" ? "" : ` of ${place}`}; did you mean ${instead}?`, { code: "TIDEWIRE_OPTION" });
  }
}

module.exports = { hint };

// Replaces undici's fetch with dodici's.
//
// What lives here: the checkout's index.js with our `fetch`, and the number of calls left to undici's.
// preload.cjs calls it for `--fetch`. It must not know which test runs.
"use strict";

const { appendFileSync } = require("node:fs");
const { join } = require("node:path");

/**
 * @param {string} checkout the suite's root
 * @param {{ fetch: Function, counters(): { fetches: number, fetchesByPeer: number } }} ours
 * @param {{ keepFetch(fetch: Function): void }} peer dodici's peer
 */
exports.put = function put(checkout, ours, peer) {
  const index = require(join(checkout, "index.js"));
  peer.keepFetch(index.fetch);
  index.fetch = ours.fetch;
  const file = process.env.DODICI_CONFORMANCE_MARKER;
  if (file === undefined) return;
  process.on("exit", () => {
    const { fetches, fetchesByPeer } = ours.counters();
    if (fetches > 0) appendFileSync(file, `${JSON.stringify({ fetches, fetchesByPeer })}\n`);
  });
};

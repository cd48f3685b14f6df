// undici's own dispatchers, loaded from the checkout before anything is substituted.
//
// What lives here: the list of substituted files and their classes. preload.cjs calls it. It must
// not load the checkout's index.js or lib/global.js: the latter defines a global Agent that cannot
// be redefined.
"use strict";

const { existsSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");
const { countConstructions } = require("./marker.cjs");

/**
 * Files below lib/dispatcher and the class that each exports, those that others need first; undici 7
 * lacks some.
 */
const FILES = {
  "client.js": "Client",
  "pool.js": "Pool",
  "balanced-pool.js": "BalancedPool",
  "round-robin-pool.js": "RoundRobinPool",
  "agent.js": "Agent",
  "socks5-proxy-agent.js": "Socks5ProxyAgent",
  "proxy-agent.js": "ProxyAgent",
  "env-http-proxy-agent.js": "EnvHttpProxyAgent",
  "h2c-client.js": "H2CClient",
};

/**
 * @param {string} checkout
 * @param {'delegates' | 'subclasses'} mode `delegates`: the classes are what dodici delegates to, so
 *   what undici's Client does for them is counted; `subclasses`: they stand in for ours themselves,
 *   as subclasses that change nothing
 */
exports.load = function load(checkout, mode) {
  /** @type {Map<string, Function>} class name → the class that dodici gets as undici's own */
  const classes = new Map();
  /** @type {Map<string, string>} class name → the file that exports it */
  const files = new Map();
  /** @type {Map<string, unknown>} file → what it exports to dodici */
  const byFile = new Map();
  for (const [name, className] of Object.entries(FILES)) {
    const path = join(checkout, "lib", "dispatcher", name);
    if (!existsSync(path)) continue;
    const file = require.resolve(path);
    let value = require(file);
    if (mode === "subclasses") value = subclass(value, className);
    // All of undici's transport is in Client; its other classes, loaded next, take it from here.
    else if (className === "Client") value = countConstructions(value, "delegated");
    Module._cache[file].exports = value;
    classes.set(className, value);
    files.set(className, file);
    byFile.set(file, value);
  }
  return { classes, files, byFile };
};

function subclass(Original, name) {
  const Subclass = class extends Original {
    dispatch(...args) {
      return super.dispatch(...args);
    }
  };
  Object.defineProperty(Subclass, "name", { value: name });
  return countConstructions(Subclass, "constructed");
}

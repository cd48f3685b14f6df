// The names that undici exports and dodici lacks, and ours of the same options, as JSON on stdout.
//
// What lives here: what only a process knows that has loaded both. diff.mjs runs it with the
// directory of the undici to load, as dodici's peer, and with dodici's main file.
"use strict";

const Module = require("node:module");
const { dirname, join } = require("node:path");

const [peerFolder, main] = process.argv.slice(2);
const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (request !== "undici" && !request.startsWith("undici/")) {
    return resolveFilename.call(this, request, ...rest);
  }
  return require.resolve(join(peerFolder, request.slice("undici".length)));
};

const undici = require(peerFolder);
const dodici = require(main);
const missing = [];

/** Own names of the prototypes of a class, up to those that ours inherits as well. */
function members(Class) {
  const names = new Set(Object.getOwnPropertyNames(Class).map((name) => `.${name}`));
  for (
    let at = Class.prototype;
    at && at !== undici.Dispatcher.prototype && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(`#${name}`);
  }
  return names;
}

for (const [name, theirs] of Object.entries(undici)) {
  const ours = dodici[name];
  if (ours === theirs) continue;
  if (typeof ours !== typeof theirs) missing.push(name);
  else if (typeof theirs === "object") {
    for (const key of Object.keys(theirs)) if (!(key in ours)) missing.push(`${name}.${key}`);
  } else if (theirs.prototype !== undefined && /^class\b/.test(String(theirs))) {
    for (const member of members(theirs)) {
      const [kind] = member;
      const key = member.slice(1);
      const isThere = kind === "." ? key in ours : key in ours.prototype;
      if (!isThere) missing.push(`${name}${member}`);
    }
  }
}

const { parseSettings } = require(join(dirname(main), "internal", "options", "options.js"));
const { connect, h2, ...rest } = parseSettings("https://localhost", {}, "pool");
const settings = { ...connect, ...rest, ...h2 };
const defaults = Object.fromEntries(
  Object.entries(settings).filter(([, value]) => value === null || typeof value !== "object"),
);
process.stdout.write(JSON.stringify({ missing, defaults }));

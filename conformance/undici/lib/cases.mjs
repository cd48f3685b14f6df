// The cases of a pin, and what each says about our classes.
//
// cases-v<version>.json maps a file to its cases by class, as names (a name that a file uses twice
// is listed twice):
//   a   reaches a socket or a constructor through the public API only
//   b1  as a, and reads symbols that a class can offer, or needs a fake clock
//   b2  as a, and needs internals of undici's engine
//   c   no transport: passes whatever our classes do
//   x   drives undici's own protocol code with fakes: says nothing about us
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HERE } from "./pins.mjs";

/** Classes that the conformance figure counts. */
export const COUNTED = ["a", "b1", "b2"];
/** All classes, in the order of the report. */
export const CLASSES = [...COUNTED, "c", "x"];

/** Files that test the bundle for Node, which is not part of a checkout. */
const BUNDLE = "undici-fetch.js";
const NEEDS_BUNDLE = new Set([
  "test/fetch/bundle.js",
  "test/fetch/client-node-max-header-size.js",
  "test/fetch/export-env-proxy-agent.js",
  "test/fetch/user-agent.js",
]);

/** Folders of tests that use fetch. */
export const FETCH_FOLDERS = [
  "test/fetch/",
  "test/node-fetch/",
  "test/eventsource/",
  "test/cookie/",
  "test/webidl/",
];

/** Folders of which undici's own test script gives the tests a callable `gc`. */
const EXPOSES_GC = ["test", "test/fetch", "test/eventsource"];

/** Names of files and cases that are about HTTP/2. */
const HTTP2_FILE = /http2|h2/i;
const HTTP2_CASE = /http\/?2|\bh2c?\b/i;

/** Whether a case is about HTTP/2, by its name or its file's. */
export function isHttp2(file, name) {
  return HTTP2_FILE.test(file) || HTTP2_CASE.test(name);
}

/**
 * @param {string} version
 * @param {boolean} withFetch also those that matter only for fetch, from a separate list
 * @returns {Map<string, { name: string, class: string }[]>} by file
 */
export function readCases(version, withFetch = false) {
  const lists = [`cases-v${version}.json`, ...(withFetch ? [`cases-fetch-v${version}.json`] : [])];
  const files = new Map();
  for (const [file, byClass] of lists.flatMap(readList)) {
    const cases = [];
    for (const [name, names] of Object.entries(byClass)) {
      cases.push(...names.map((text) => ({ name: text, class: name })));
    }
    files.set(file, cases);
  }
  return files;
}

function readList(name) {
  const file = join(HERE, name);
  return existsSync(file) ? Object.entries(JSON.parse(readFileSync(file, "utf8"))) : [];
}

/** Whether this file can run on the checkout. */
export function isRunnable(suite, file) {
  return !NEEDS_BUNDLE.has(file) || existsSync(join(suite, BUNDLE));
}

/** Whether undici runs this file with `--expose-gc`. */
export function exposesGc(file) {
  return EXPOSES_GC.includes(directoryOf(file));
}

/** The directory of a file, for the report. */
export function directoryOf(file) {
  return file.slice(0, file.lastIndexOf("/"));
}

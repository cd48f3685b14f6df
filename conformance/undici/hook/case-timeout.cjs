// `--test-timeout` for Nodes that know it only together with `--test` (Node 20).
//
// What lives here: a default for the `timeout` option of tests that have none.
// Without it, one hanging case would hide the results of all others in its file.
//
// Node would then report this file as the location of the test, so the line of the caller is
// kept for the reporter, by the test's name, in the order of the calls.
"use strict";

const Module = require("node:module");

/** Not `describe` and `suite`: their timeout would apply to all cases in them. */
const FUNCTIONS = ["test", "it", "default"];
const VARIANTS = ["skip", "todo", "only"];

/** @type {Map<string, number[]>} lines of the tests of each name */
const lines = new Map();

exports.install = function install() {
  const timeout = Number(process.env.DODICI_CONFORMANCE_CASE_MS);
  if (!(timeout > 0)) return;
  globalThis[Symbol.for("dodici.conformance.lines")] = lines;
  const load = Module._load;
  let wrapped;
  Module._load = function (request, ...rest) {
    const loaded = load.call(this, request, ...rest);
    if (request !== "node:test" && request !== "test") return loaded;
    wrapped ??= wrapModule(loaded, timeout);
    return wrapped;
  };
};

function wrapModule(original, timeout) {
  const made = wrap(original, timeout);
  for (const name of Object.keys(original)) {
    const value = original[name];
    const isRunner = FUNCTIONS.includes(name) && typeof value === "function";
    made[name] = value === original ? made : isRunner ? wrap(value, timeout) : value;
  }
  return made;
}

function wrap(original, timeout) {
  const run = (...args) => {
    noteLine(args);
    const at = args.findIndex((arg) => typeof arg === "object" && arg !== null);
    if (at >= 0) {
      args[at] = { timeout, ...args[at] };
    } else {
      const before = args.findIndex((arg) => typeof arg === "function");
      args.splice(before < 0 ? args.length : before, 0, { timeout });
    }
    return original(...args);
  };
  for (const variant of VARIANTS) {
    if (typeof original[variant] === "function") run[variant] = original[variant];
  }
  return run;
}

/** Keeps the line of the call, for tests in the main file. */
function noteLine([first]) {
  const name = typeof first === "function" ? first.name : first;
  const caller = new Error().stack.split("\n").find((line) => line.includes(process.argv[1]));
  const line = Number(/:(\d+):\d+\)?$/.exec(caller ?? "")?.[1]);
  if (typeof name !== "string" || !(line > 0)) return;
  const known = lines.get(name) ?? [];
  known.push(line);
  lines.set(name, known);
}

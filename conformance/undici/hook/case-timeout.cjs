// `--test-timeout` for Nodes that know it only together with `--test` (Node 20).
//
// What lives here: a default for the `timeout` option of tests, where the test has none of its own.
// Without it one hung case would keep the results of all others in its file from being known.
'use strict';

const Module = require('node:module');

const FUNCTIONS = ['test', 'it', 'describe', 'suite', 'default'];
const VARIANTS = ['skip', 'todo', 'only'];

exports.install = function install() {
  const timeout = Number(process.env.DODICI_CONFORMANCE_CASE_MS);
  if (!(timeout > 0)) return;
  const load = Module._load;
  let wrapped;
  Module._load = function (request, ...rest) {
    const loaded = load.call(this, request, ...rest);
    if (request !== 'node:test' && request !== 'test') return loaded;
    wrapped ??= wrapModule(loaded, timeout);
    return wrapped;
  };
};

function wrapModule(original, timeout) {
  const made = wrap(original, timeout);
  for (const name of Object.keys(original)) {
    const value = original[name];
    const isRunner = FUNCTIONS.includes(name) && typeof value === 'function';
    made[name] = value === original ? made : isRunner ? wrap(value, timeout) : value;
  }
  return made;
}

function wrap(original, timeout) {
  const run = (...args) => {
    const at = args.findIndex((arg) => typeof arg === 'object' && arg !== null);
    if (at >= 0) {
      args[at] = { timeout, ...args[at] };
    } else {
      const before = args.findIndex((arg) => typeof arg === 'function');
      args.splice(before < 0 ? args.length : before, 0, { timeout });
    }
    return original(...args);
  };
  for (const variant of VARIANTS) {
    if (typeof original[variant] === 'function') run[variant] = original[variant];
  }
  return run;
}

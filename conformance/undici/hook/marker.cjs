// Proof that our classes did the work: counts constructions and dispatches, in this process.
//
// What lives here: the counters, and the lines they write to the file that DODICI_CONFORMANCE_MARKER
// names: one as soon as there is anything to report (a killed process reports no more), one at the end.
// Constructions of undici's own Client are counted apart, with the line of the test that led there.
"use strict";

const { appendFileSync } = require("node:fs");
const { join } = require("node:path");
const { isMainThread } = require("node:worker_threads");

/** Enough to reach from a Client's constructor to the test that started it. */
const STACK_DEPTH = 100;

const file = process.env.DODICI_CONFORMANCE_MARKER;
const counters = { constructed: 0, dispatched: 0 };
let isAnnounced = false;

function announce() {
  if (isAnnounced || file === undefined) return;
  isAnnounced = true;
  write({ ...counters });
  // What was written before is subtracted, so that the lines can be added up.
  const said = { ...counters };
  process.on("exit", () => {
    write({
      constructed: counters.constructed - said.constructed,
      dispatched: counters.dispatched - said.dispatched,
    });
  });
}

function write(line) {
  appendFileSync(file, `${JSON.stringify({ ...line, main: isMainThread })}\n`);
}

/** Lines of the main file that are on the stack, outermost last. */
function linesOnStack() {
  const main = process.argv[1];
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_DEPTH;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return stack
    .split("\n")
    .filter((line) => main !== undefined && line.includes(main))
    .map((line) => Number(/:(\d+):\d+\)?$/.exec(line)?.[1]))
    .filter((line) => line > 0);
}

/**
 * A class that counts its instances and is otherwise the same.
 *
 * @param {'constructed' | 'delegated'} kind
 */
exports.countConstructions = function countConstructions(Class, kind) {
  const counting = new Proxy(Class, {
    construct(target, args, newTarget) {
      if (kind === "constructed") {
        counters.constructed++;
        announce();
      } else if (file !== undefined) {
        write({ delegated: 1, lines: linesOnStack() });
      }
      return Reflect.construct(target, args, newTarget);
    },
  });
  Object.defineProperty(Class.prototype, "constructor", {
    value: counting,
    writable: true,
    configurable: true,
    enumerable: false,
  });
  return counting;
};

/** Counts calls of the `dispatch` that `Class` has or inherits, once for each owner. */
function countDispatches(Class, Dispatcher, done) {
  for (let owner = Class.prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
    if (owner === Dispatcher.prototype || done.has(owner)) return;
    done.add(owner);
    const descriptor = Object.getOwnPropertyDescriptor(owner, "dispatch");
    if (typeof descriptor?.value !== "function") continue;
    const { value: dispatch } = descriptor;
    const counted = function (...args) {
      counters.dispatched++;
      announce();
      return Reflect.apply(dispatch, this, args);
    };
    Object.defineProperty(counted, "name", { value: dispatch.name });
    Object.defineProperty(counted, "length", { value: dispatch.length });
    Object.defineProperty(owner, "dispatch", { ...descriptor, value: counted });
  }
}

/**
 * Marks the classes that stand in for undici's.
 *
 * @param {Map<string, Function | undefined>} classes class name → class
 * @returns {Map<string, unknown>} file → what it must export. A class that is undici's own, or that
 *   dodici does not have, stays unmarked: it says nothing about ours.
 */
exports.mark = function mark(classes, originals, checkout) {
  const Dispatcher = require(join(checkout, "lib", "dispatcher", "dispatcher.js"));
  const done = new Set([...originals.classes.values()].map((Class) => Class.prototype));
  const marked = new Map();
  for (const [name, original] of originals.classes) {
    const Class = classes.get(name) ?? original;
    const isOurs = Class !== original;
    if (isOurs) countDispatches(Class, Dispatcher, done);
    const exported = isOurs ? exports.countConstructions(Class, "constructed") : Class;
    marked.set(originals.files.get(name), exported);
  }
  return marked;
};

/** As `mark`, for subclasses of undici's classes, whose constructions are counted already. */
exports.markSubclasses = function markSubclasses(originals) {
  for (const Class of originals.classes.values())
    countDispatches(Class, { prototype: null }, new Set());
};

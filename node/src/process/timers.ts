/**
 * Node's timers as they were when the package was loaded.
 *
 * What lives here: no logic. A fake clock installed later by a user's test suite must not affect the
 * package's internals.
 */

import { performance } from 'node:perf_hooks';
import timers = require('node:timers');

/** As the global of this name. */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate;

/** As the global of this name. */
export const setTimeout: typeof timers.setTimeout = timers.setTimeout;

/** As the global of this name. */
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout;

/** As the global of this name. */
export const setInterval: typeof timers.setInterval = timers.setInterval;

/** As `performance.now()`: milliseconds. */
export const now: () => number = performance.now.bind(performance);

/** As the global of this name. */
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;

/**
 * Node's timers as they were when the package was loaded.
 *
 * What lives here: no logic. A fake clock that a test suite of a user installs later must not stop
 * what the package tells itself.
 */

import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

/** As the global of this name. */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate;

/** As the global of this name. */
export const setInterval: typeof timers.setInterval = timers.setInterval;

/** As `performance.now()`: milliseconds. */
export const now: () => number = performance.now.bind(performance);

/** As the global of this name. */
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;

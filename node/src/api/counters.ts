/**
 * What crossed the boundary between JavaScript and Rust, counted.
 *
 * What lives here: the addon's counters under names. Benchmarks and the demo print them; nothing
 * in the package reads them.
 */

import { openedSession } from '../session';
import { Counter } from '../wire';

/**
 * How often what happened in this thread (the main thread or one worker), since its first request:
 *
 * - `submitCalls`: native calls that handed over submissions; `submissions` and `submissionBytes`:
 *   what they carried. `submissions / submitCalls` tells how well requests share calls.
 * - `doorbells`: wake-ups of this thread; `batches`: what they delivered, one after the other;
 *   `completions` and `completionBytes`: the records in them. `completions / doorbells` tells how
 *   well responses share wake-ups.
 * - `largeChunks`: body chunks that travelled as a Buffer of their own.
 * - `oversizedBatches`: batches that did not fit the inbound Buffer.
 * - `staleCompletions`: records dropped because their request had been aborted.
 */
export type Counters = Readonly<Record<Uncapitalize<keyof typeof Counter>, number>>;

const NAMES = Object.entries(Counter).map(
  ([name, index]) => [name.charAt(0).toLowerCase() + name.slice(1), index] as const,
);

/** The counters at this moment; all zero before the first request. */
export function counters(): Counters {
  const values = openedSession()?.counters;
  return Object.fromEntries(NAMES.map(([name, index]) => [name, values?.[index] ?? 0])) as Counters;
}

/**
 * Counters of the boundary between JavaScript and Rust.
 *
 * What lives here: the addon's counters, named. Benchmarks and the demo print them; nothing in the
 * package reads them.
 */

import { fetchCounters } from '../fetch';
import { openedSession } from '../session';
import { Counter } from '../wire';

/**
 * Counts for this thread (the main thread or one worker) since its first request:
 *
 * - `submitCalls`: native calls with submissions; `submissions` and `submissionBytes`: their records.
 *   `submissions / submitCalls` shows how well requests share calls.
 * - `doorbells`: wake-ups of this thread; `batches`: batches they delivered; `completions` and
 *   `completionBytes`: the records in them. `completions / doorbells` shows how well responses share
 *   wake-ups.
 * - `largeChunks`: body chunks delivered in slabs.
 * - `oversizedBatches`: batches that did not fit into the inbound Buffer.
 * - `staleCompletions`: records dropped because their request had been aborted.
 * - `fetches`: calls of `fetch`; `fetchesByPeer`: those that undici's own fetch served.
 */
export type Counters = Readonly<Record<Uncapitalize<keyof typeof Counter>, number>> &
  ReturnType<typeof fetchCounters>;

/** The current counters; all zero before the first request. */
export function counters(): Counters {
  const values = openedSession()?.counters;
  const counts = Object.fromEntries(
    Object.entries(Counter).map(([name, index]) => [
      name.charAt(0).toLowerCase() + name.slice(1),
      values?.[index] ?? 0,
    ]),
  );
  return { ...counts, ...fetchCounters() } as Counters;
}

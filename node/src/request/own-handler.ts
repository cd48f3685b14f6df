/**
 * Handlers of this package, which may be told more cheaply than others.
 *
 * What lives here: the class that says so. `fetch` has such a handler; what wraps it, as interceptors do,
 * is told as everybody is. It must not know requests.
 */

import type { DispatchController } from '../undici';

/** See above. */
export abstract class OwnHandler {
  /** Whether its callbacks reach nothing of the user's, so that nobody misses the caller's context. */
  abstract readonly isContextFree: boolean;

  /**
   * A final head, in the place of `onResponseStart`: the fields stand in `text` from `start` on, as
   * `parseFields` takes them.
   */
  abstract onHead(
    controller: DispatchController,
    status: number,
    text: string,
    start: number,
    statusText: string,
  ): void;
}

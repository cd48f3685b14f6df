/**
 * Handlers of this package, which can be called more cheaply than others.
 *
 * What lives here: their base class. `fetch` has such a handler; a wrapper, as of an interceptor,
 * is called like any other handler. It must not know requests.
 */

import type { DispatchController } from '../undici';

/** See above. */
export abstract class OwnHandler {
  /** Whether its callbacks run no code of the user's, so that no one misses the caller's context. */
  abstract readonly isContextFree: boolean;

  /**
   * A final head, instead of `onResponseStart`: the fields are in `text` from `start` on, as
   * `parseFields` expects them.
   */
  abstract onHead(
    controller: DispatchController,
    status: number,
    text: string,
    start: number,
    statusText: string,
  ): void;
}

/**
 * When a dispatcher's caller should wait, and when `drain` is emitted.
 *
 * What lives here: undici's flag `needDrain` and the moment of the event. `OriginDispatcher` has one. It
 * must not know why a dispatcher is busy.
 */

import { queueMicrotask } from '../process';

/** What it needs from the dispatcher. */
export interface DrainHost {
  /** Whether the next request would have to wait. */
  readonly isBusy: boolean;
  readonly isDestroyed: boolean;
  /** The event is due. */
  drained(): void;
}

/** See above. */
export class Drain {
  readonly #host: DrainHost;
  #needed = false;
  #scheduled = false;

  constructor(host: DrainHost) {
    this.#host = host;
  }

  /** Whether the caller should wait for the event. */
  get isNeeded(): boolean {
    return this.#needed;
  }

  /** There are more requests, or less capacity. */
  fill(): void {
    if (this.#host.isBusy) this.#needed = true;
  }

  /** There may be capacity: in a microtask, so that `drain` follows the callbacks that freed it. */
  check(): void {
    if (!this.#needed || this.#scheduled || this.#host.isBusy) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#needed || this.#host.isBusy || this.#host.isDestroyed) return;
      this.#needed = false;
      this.#host.drained();
    });
  }
}

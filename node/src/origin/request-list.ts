/**
 * The unsettled requests of one origin, in the order of their dispatch.
 *
 * What lives here: a list through the exchanges themselves, so that a request costs no node of its
 * own. `OriginPool` has one. It must not know connections or counters.
 */

import type { Exchange } from '../exchange';

/** See above. */
export class RequestList {
  #first: Exchange | null = null;
  #last: Exchange | null = null;
  #size = 0;

  /** The oldest one. */
  get first(): Exchange | null {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  push(exchange: Exchange): void {
    exchange.previous = this.#last;
    if (this.#last === null) this.#first = exchange;
    else this.#last.next = exchange;
    this.#last = exchange;
    this.#size++;
  }

  /** `exchange`, which is on the list, leaves it. */
  remove(exchange: Exchange): void {
    const { previous, next } = exchange;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    exchange.previous = null;
    exchange.next = null;
    this.#size--;
  }

  some(test: (exchange: Exchange) => boolean): boolean {
    for (let exchange = this.#first; exchange !== null; exchange = exchange.next) {
      if (test(exchange)) return true;
    }
    return false;
  }

  /** At most so many from `start` on; a copy, because settling one takes it off the list. */
  take(start: Exchange | null, count = Infinity): Exchange[] {
    const taken: Exchange[] = [];
    for (
      let exchange = start;
      exchange !== null && taken.length < count;
      exchange = exchange.next
    ) {
      taken.push(exchange);
    }
    return taken;
  }

  /** A copy. */
  all(): Exchange[] {
    return this.take(this.#first);
  }

  /** Fails all from `start` on. */
  failFrom(start: Exchange | null, error: Error): void {
    for (const exchange of this.take(start)) exchange.destroyWith(error);
  }
}

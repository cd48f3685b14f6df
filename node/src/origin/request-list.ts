/**
 * The unsettled requests of one origin, in the order of their dispatch.
 *
 * What lives here: an intrusive list, so that a request needs no list node. `OriginDispatcher` has one. It
 * must not know connections or counters.
 */

import type { Request } from '../request';

/** See above. */
export class RequestList {
  #first: Request | null = null;
  #last: Request | null = null;
  #size = 0;

  /** The oldest one. */
  get first(): Request | null {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  push(request: Request): void {
    request.previous = this.#last;
    if (this.#last === null) this.#first = request;
    else this.#last.next = request;
    this.#last = request;
    this.#size++;
  }

  /** Removes `request`, which must be on the list. */
  remove(request: Request): void {
    const { previous, next } = request;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    request.previous = null;
    request.next = null;
    this.#size--;
  }

  some(test: (request: Request) => boolean): boolean {
    for (let request = this.#first; request !== null; request = request.next) {
      if (test(request)) return true;
    }
    return false;
  }

  /** At most this many starting at `start`; a copy, because settling one removes it from the list. */
  take(start: Request | null, count = Infinity): Request[] {
    const taken: Request[] = [];
    for (let request = start; request !== null && taken.length < count; request = request.next) {
      taken.push(request);
    }
    return taken;
  }

  /** A copy. */
  all(): Request[] {
    return this.take(this.#first);
  }

  /** Fails all but the `count` oldest, which it returns. */
  failAllBut(count: number, error: Error): Request[] {
    const all = this.all();
    for (const request of all.slice(count)) request.destroyWith(error);
    return all.slice(0, count);
  }
}

/**
 * The order in which requests are submitted for an origin with a single connection.
 *
 * What lives here: requests held back, because a body that can be read only once must not be touched
 * before all earlier requests have ended. A client's dispatcher has one. It must not know counters or
 * events.
 */

import type { Request } from '../request';

/** What it needs from the dispatcher. */
export interface HeldHost {
  readonly isConnected: boolean;
  /** Whether the connection is about to end because of an earlier request; `goOn` follows. */
  readonly isEnding: boolean;
  /** Opens a connection for `request` if there is none, in parallel with reading its body. */
  open(request: Request): void;
  /** Whether the body of `request` may be read yet; if not, `goOn` follows, unless that settles it. */
  mayRead(request: Request): boolean;
  /** It is the turn of `request`, and its body is available. */
  send(request: Request): void;
  /** Whether the connection still serves requests with another TLS server name. */
  waitsForServername(request: Request): boolean;
}

interface Held {
  readonly request: Request;
  state: 'queued' | 'reading' | 'ready';
}

/** See above. */
export class HeldRequests {
  readonly #host: HeldHost;
  #held: Held[] = [];

  constructor(host: HeldHost) {
    this.#host = host;
  }

  /** Whether none is held. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Adds a request that may be submitted only when it is its turn. */
  submit(request: Request): void {
    if (request.leavesLater) {
      this.#held.push({ request, state: 'queued' });
      // Without a connection, a source is not touched before the caller has returned.
      if (this.#host.isConnected) this.goOn();
      else process.nextTick(() => this.goOn());
    } else if (this.#held.length > 0 || this.#mustWait(request)) {
      this.#held.push({ request, state: 'ready' });
    } else this.#host.send(request);
  }

  #mustWait(request: Request): boolean {
    return this.#host.isEnding || this.#host.waitsForServername(request);
  }

  /** Removes and returns all held requests. */
  take(): Request[] {
    const requests = this.#held.map(({ request }) => request);
    this.#held = [];
    return requests;
  }

  /** Submits every request whose turn it is. */
  goOn(): void {
    for (;;) {
      const [next] = this.#held;
      if (next === undefined) return;
      const { request } = next;
      if (next.state === 'queued' && !request.settled && !this.#begin(next)) return;
      if (next.state !== 'ready' && !request.settled) return;
      if (!request.settled && this.#mustWait(request)) return;
      // The wait can end immediately, in which case this loop has continued inside it.
      if (this.#held[0] !== next) continue;
      this.#held.shift();
      this.#host.send(request);
    }
  }

  /** Reads the source of a request whose turn it is. Returns whether it is. */
  #begin(held: Held): boolean {
    const { request } = held;
    // A source can be read only once, so none is touched before all earlier requests have ended.
    if (request.previous !== null || this.#host.isEnding) return false;
    if (request.needsSource && !this.#host.mayRead(request)) return request.settled;
    held.state = 'reading';
    request.measureStream();
    if (request.settled) return true;
    if (request.needsSource) this.#host.open(request);
    if (request.settled) return true;
    const ready = (): void => {
      held.state = 'ready';
      this.goOn();
    };
    if (request.needsSource) request.waitForSource(ready);
    else ready();
    return true;
  }
}

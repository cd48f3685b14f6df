/**
 * The order in which requests leave for an origin with a single connection.
 *
 * What lives here: the requests that wait, because a body that can be read once only must not be
 * touched before all earlier requests are over. The pool of a client has one. It must not know
 * counters or events.
 */

import type { Exchange } from '../exchange';

/** What holding requests back needs of the pool. */
export interface HeldHost {
  readonly isConnected: boolean;
  /** Whether the connection is about to end, because of a request before; `goOn` follows. */
  readonly isEnding: boolean;
  /** Opens a connection for `exchange` if there is none, beside the first look at its body. */
  open(exchange: Exchange): void;
  /** The turn of `exchange` has come, and its body is at hand. */
  send(exchange: Exchange): void;
  /** Whether the connection still serves requests with another TLS server name. */
  waitsForServername(exchange: Exchange): boolean;
}

interface Held {
  readonly exchange: Exchange;
  state: 'queued' | 'reading' | 'ready';
}

/** See above. */
export class HeldRequests {
  readonly #host: HeldHost;
  #held: Held[] = [];

  constructor(host: HeldHost) {
    this.#host = host;
  }

  /** Whether none waits. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** A request that may leave only when it is its turn. */
  submit(exchange: Exchange): void {
    if (exchange.leavesLater) {
      this.#held.push({ exchange, state: 'queued' });
      // Where there is no connection yet, a source is not touched before the caller is done.
      if (this.#host.isConnected) this.goOn();
      else process.nextTick(() => this.goOn());
    } else if (this.#held.length > 0 || this.#mustWait(exchange)) {
      this.#held.push({ exchange, state: 'ready' });
    } else this.#host.send(exchange);
  }

  #mustWait(exchange: Exchange): boolean {
    return this.#host.isEnding || this.#host.waitsForServername(exchange);
  }

  /** All that wait, which from now on do so no longer. */
  take(): Exchange[] {
    const exchanges = this.#held.map(({ exchange }) => exchange);
    this.#held = [];
    return exchanges;
  }

  /** Lets every request leave whose turn it is. */
  goOn(): void {
    for (;;) {
      const [next] = this.#held;
      if (next === undefined) return;
      const { exchange } = next;
      if (next.state === 'queued' && !exchange.settled && !this.#begin(next)) return;
      if (next.state !== 'ready' && !exchange.settled) return;
      if (!exchange.settled && this.#mustWait(exchange)) return;
      // The wait can end at once, and then this loop has gone on in it.
      if (this.#held[0] !== next) continue;
      this.#held.shift();
      this.#host.send(exchange);
    }
  }

  /** Reads the source of a request whose turn it is. Returns whether it is. */
  #begin(held: Held): boolean {
    const { exchange } = held;
    // A source can be read once only, so none is touched before all earlier requests are over.
    if (exchange.previous !== null || this.#host.isEnding) return false;
    held.state = 'reading';
    exchange.measureStream();
    if (exchange.settled) return true;
    if (exchange.needsSource) this.#host.open(exchange);
    if (exchange.settled) return true;
    const ready = (): void => {
      held.state = 'ready';
      this.goOn();
    };
    if (exchange.needsSource) exchange.waitForSource(ready);
    else ready();
    return true;
  }
}

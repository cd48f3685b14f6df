/**
 * `Client`: one origin, one connection.
 *
 * What lives here: undici's Client over the engine. Users and `Agent` construct it. It must not
 * know requests.
 */

import { PooledDispatcher } from './pooled-dispatcher';
import type { ClientOptions } from './types';

/** A client's counters at one moment. */
export class ClientStats {
  readonly connected: boolean;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests written and not answered. */
  readonly running: number;
  /** Both. */
  readonly size: number;

  constructor(counters: { connected: number; pending: number; running: number; size: number }) {
    this.connected = counters.connected > 0;
    this.pending = counters.pending;
    this.running = counters.running;
    this.size = counters.size;
  }
}

/** A dispatcher with one connection to one origin; options are undici's. */
export class Client extends PooledDispatcher {
  /**
   * @throws InvalidArgumentError with undici's message for a bad origin or option, and for a
   * `connect` option that the engine cannot honour.
   */
  constructor(origin: string | URL, options?: ClientOptions) {
    super('client', origin, options);
  }

  /** Requests that may be under way at a time; 0 closes the connection after each. */
  get pipelining(): number {
    return this.backend.kind === 'engine'
      ? this.backend.pool.pipelining
      : ((this.backend.delegate.dispatcher as { pipelining?: number }).pipelining ?? 1);
  }

  set pipelining(value: number) {
    if (this.backend.kind === 'engine') this.backend.pool.pipelining = value;
    else (this.backend.delegate.dispatcher as { pipelining?: number }).pipelining = value;
  }

  /** Counters at this moment. */
  get stats(): ClientStats {
    return new ClientStats(this.counters);
  }

  protected override get connectedForPeer(): boolean {
    return this.counters.connected > 0;
  }
}

/** Types under the names that undici's declarations give them. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write Client.Options
export declare namespace Client {
  /** Options of the constructor. */
  export type Options = ClientOptions;
}

/**
 * `Pool`: one origin, as many connections as requests need.
 *
 * What lives here: undici's Pool over the engine. Users and `Agent` construct it. It must not know
 * requests.
 */

import type { Connection } from '../connection';
import type { PoolOptions } from '../options';
import type { PoolCounters } from '../origin';
import { type Dispatcher, peer, poolSymbols } from '../undici';
import { expose } from './dispatcher-base';
import { PoolConnection } from './pool-connection';
import { PooledDispatcher } from './pooled-dispatcher';

/** A pool's counters. */
export class PoolStats {
  /** Open connections. */
  readonly connected: number;
  /** Of these, the ones that can take a request immediately. */
  readonly free: number;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests that no connection has capacity for. */
  readonly queued: number;
  /** Requests written and unanswered. */
  readonly running: number;
  /** All requests that have not settled. */
  readonly size: number;

  constructor(counters: PoolCounters) {
    this.connected = counters.connected;
    this.free = counters.free;
    this.pending = counters.pending;
    this.queued = counters.queued;
    this.running = counters.running;
    this.size = counters.size;
  }
}

/** A dispatcher with `connections` connections (default: no limit) to one origin; options are undici's. */
export class Pool extends PooledDispatcher {
  /** Also undici's MockPool, which extends undici's class of this name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return super[Symbol.hasInstance](value) || (this === Pool && value instanceof peer.MockPool);
  }

  static {
    expose(this.prototype, poolSymbols.kClients, (pool) => pool.$clients);
  }

  /**
   * @throws InvalidArgumentError with undici's message for an invalid origin or option, and for a
   * `connect` option that the engine cannot honour.
   */
  constructor(origin: string | URL, options?: PoolOptions) {
    super('pool', origin, options);
  }

  /** The current counters. */
  get stats(): PoolStats {
    return new PoolStats(this.$counters);
  }

  /** The pool, then the connection as a client: undici's pools have one per connection. @internal */
  override $targetsOf(connection: Connection | null): readonly Dispatcher[] {
    return [this, this.$clientOf(connection)];
  }

  private $clientOf(connection: Connection | null): Dispatcher {
    if (connection === null) return new PoolConnection(this, null);
    return (connection.client ??= new PoolConnection(this, connection));
  }

  /** The open connections, as clients. */
  private get $clients(): unknown[] {
    const own = Array.from(this.$openConnections, (connection) => this.$clientOf(connection));
    const others = this.$standIn.serving?.[poolSymbols.kClients] as unknown[] | undefined;
    return others === undefined ? own : [...own, ...others];
  }

  protected override get $connectedForPeer(): number {
    return this.$counters.connected;
  }
}

type Stats = PoolStats;

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write Pool.Options
export declare namespace Pool {
  /** Options of the constructor. */
  export type Options = PoolOptions;
  /** Counters. */
  export type PoolStats = Stats;
}

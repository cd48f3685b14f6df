/**
 * `BalancedPool` and `RoundRobinPool`: the peer's choice among upstreams and connections, over our
 * pools and clients.
 *
 * What lives here: the default factories of these classes. Everything else is the peer's. It must not
 * know how they choose.
 */

import type { ConnectionStatus } from '../connection';
import {
  checkOptions,
  ownOptions,
  POOL_OPTIONS,
  type PoolOptions,
  refuseOrigins,
  spread,
  throughJson,
} from '../options';
import { type Dispatcher, errors, peer, poolSymbols, type ServedBy } from '../undici';
import { Client } from './client';
import { connectionsOf, preconnectAll } from './composite';
import { servedByOrigin } from './delegate';
import { type DispatcherBase, hideFields } from './dispatcher-base';
import { forBoth } from './peer-class';
import { Pool, type PoolStats } from './pool';
import { checkCount } from './pooled-dispatcher';

type Options = Record<string, unknown>;

/** A pool per upstream, selected by weight; options are undici's. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the peer has the methods
export class BalancedPool extends forBoth(peer.BalancedPool) {
  constructor(upstreams?: string | URL | (string | URL)[], options?: BalancedPool.Options) {
    const given = ownOptions(options);
    refuseOrigins(given, 'BalancedPool');
    const { factory = makePool } = given;
    if (factory === makePool) checkOptions(throughJson(given, KEPT), 'pool');
    super(upstreams as never, spread(given, { factory }));
  }

  /** Opens connections to each upstream until `count` are ready; see `Pool.preconnect()`. */
  preconnect(count = 1): Promise<number> {
    return preconnectAll(clientsOf(this), count);
  }

  /** What each of its connections is doing now; see `Agent.connections()`. */
  connections(): Promise<ConnectionStatus[]> {
    return connectionsOf(clientsOf(this));
  }

  /** Who serves each upstream: the engine, or undici's own class, and why. */
  get servedBy(): Record<string, ServedBy> {
    return servedByOrigin(clientsOf(this));
  }
}

function clientsOf(pool: object): Dispatcher[] {
  return ((pool as Record<symbol, unknown>)[poolSymbols.kClients] ?? []) as Dispatcher[];
}

/** Options that undici's `BalancedPool` does not copy through JSON. */
const KEPT = new Set(['connect', 'tls']);

function makePool(origin: string | URL, options: object): Dispatcher {
  return new Pool(origin, options);
}

/** Options of the pool that are not passed to its clients. */
const POOL_ONLY = ['factory', ...POOL_OPTIONS.map(({ name }) => name)];

type ClientFactory = (origin: string | URL, options: object) => Dispatcher;

/** Connections to one origin, used in rotation; options are undici's. */
export class RoundRobinPool extends forBoth(peer.RoundRobinPool) {
  private readonly $makeClient: () => Dispatcher;
  private readonly $most: number;

  constructor(origin: string | URL, options?: RoundRobinPool.Options) {
    const given = ownOptions(options);
    refuseOrigins(given, 'RoundRobinPool');
    const factory = clientFactory(given);
    super(origin, spread(given, { factory }));
    this.$makeClient = () => (factory as ClientFactory)(origin, {});
    const { connections } = given;
    this.$most = connections ? Math.ceil(connections as number) : Infinity;
    hideFields(this, '$makeClient', '$most');
  }

  /** Opens connections until `count` are ready; see `Pool.preconnect()`. */
  async preconnect(count = 1): Promise<number> {
    checkCount(count);
    const { closed, destroyed } = this as unknown as DispatcherBase;
    if (destroyed) throw new errors.ClientDestroyedError();
    if (closed) throw new errors.ClientClosedError();
    const clients = clientsOf(this);
    // Each has one connection. Without the peer's method, those of its own choice remain.
    const { [poolSymbols.kAddClient]: add } = this as unknown as Record<symbol, unknown>;
    const missing = typeof add === 'function' ? Math.min(count, this.$most) - clients.length : 0;
    for (let i = 0; i < missing; i++)
      (add as (client: Dispatcher) => void).call(this, this.$makeClient());
    return preconnectAll(clients, 1);
  }

  /** What each of its connections is doing now; see `Agent.connections()`. */
  connections(): Promise<ConnectionStatus[]> {
    return connectionsOf(clientsOf(this));
  }

  /** Who serves the origin once it has been used: the engine, or undici's own class, and why. */
  get servedBy(): Record<string, ServedBy> {
    return servedByOrigin(clientsOf(this));
  }
}

/**
 * Uses the user's options, not those that the peer passes on, in which `connect` has become a JavaScript
 * connector. The peer rejects anything that is not a function.
 */
function clientFactory(given: Options): unknown {
  const { factory = makeClient } = given;
  if (typeof factory !== 'function') return factory;
  const options = throughJson(given);
  for (const name of POOL_ONLY) Reflect.deleteProperty(options, name);
  if (factory === makeClient) checkOptions(options, 'client');
  return (origin: string | URL) => (factory as ClientFactory)(origin, { ...options });
}

function makeClient(origin: string | URL, options: object): Dispatcher {
  return new Client(origin, options);
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the peer has the methods
export interface BalancedPool {
  addUpstream(upstream: string | URL): this;
  removeUpstream(upstream: string | URL): this;
  getUpstream(upstream: string | URL): Pool | undefined;
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write BalancedPool.Options
export declare namespace BalancedPool {
  /** Options of the constructor. */
  export type Options = PoolOptions;
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write RoundRobinPool.Options
export declare namespace RoundRobinPool {
  /** Options of the constructor. */
  export type Options = PoolOptions;
  /** Counters. */
  export type RoundRobinPoolStats = PoolStats;
}

/**
 * `BalancedPool` and `RoundRobinPool`: the peer's choice among upstreams and connections, over our
 * pools and clients.
 *
 * What lives here: the default factories of these classes. Everything else is the peer's. It must not
 * know how they choose.
 */

import { ownOptions, POOL_OPTIONS, spread, unpolluted } from '../options';
import {
  composedForBoth,
  type Dispatcher,
  forPeerClass,
  peer,
  type Pool as PeerPool,
  type RoundRobinPool as PeerRoundRobinPool,
  takesBoth,
} from '../undici';
import { Client } from './client';
import { Pool } from './pool';

type Options = Record<string, unknown>;
type Interceptor = Dispatcher.DispatcherComposeInterceptor;

/** A pool per upstream, selected by weight; options are undici's. */
export class BalancedPool extends peer.BalancedPool {
  static {
    takesBoth(this.prototype.dispatch);
  }

  constructor(upstreams?: string | URL | (string | URL)[], options?: BalancedPool.Options) {
    const given = ownOptions(options);
    super(upstreams as never, spread(given, { factory: given['factory'] ?? makePool }));
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(unpolluted(options), forPeerClass(handler));
  }

  override compose(...interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(...interceptors: unknown[]): Dispatcher.ComposedDispatcher {
    return composedForBoth(super.compose(...(interceptors as Interceptor[])));
  }
}

function makePool(origin: string | URL, options: object): Dispatcher {
  return new Pool(origin, options);
}

/** Options of the pool that are not passed to its clients. */
const POOL_ONLY = ['factory', ...POOL_OPTIONS.map(({ name }) => name)];

type ClientFactory = (origin: string | URL, options: object) => Dispatcher;

/** Connections to one origin, used in rotation; options are undici's. */
export class RoundRobinPool extends peer.RoundRobinPool {
  static {
    takesBoth(this.prototype.dispatch);
  }

  constructor(origin: string | URL, options?: RoundRobinPool.Options) {
    const given = ownOptions(options);
    super(origin, spread(given, { factory: clientFactory(given) }));
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(unpolluted(options), forPeerClass(handler));
  }

  override compose(...interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(...interceptors: unknown[]): Dispatcher.ComposedDispatcher {
    return composedForBoth(super.compose(...(interceptors as Interceptor[])));
  }
}

/**
 * Uses the user's options, not those that the peer passes on, in which `connect` has become a JavaScript
 * connector. The peer rejects anything that is not a function.
 */
function clientFactory(given: Options): unknown {
  const { factory = makeClient } = given;
  if (typeof factory !== 'function') return factory;
  const options = { ...given };
  for (const name of POOL_ONLY) Reflect.deleteProperty(options, name);
  return (origin: string | URL) => (factory as ClientFactory)(origin, { ...options });
}

function makeClient(origin: string | URL, options: object): Dispatcher {
  return new Client(origin, options);
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write BalancedPool.Options
export declare namespace BalancedPool {
  /** Options of the constructor. */
  export type Options = PeerPool.Options;
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write RoundRobinPool.Options
export declare namespace RoundRobinPool {
  /** Options of the constructor. */
  export type Options = PeerRoundRobinPool.Options;
}

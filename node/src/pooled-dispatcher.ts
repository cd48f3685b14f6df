/**
 * What `Client` and `Pool` share: one origin, served by the engine or handed to the peer.
 *
 * What lives here: the choice between the two, and undici's counters under undici's symbols, which
 * its own classes (BalancedPool, MockAgent, Agent) read. It must not know requests.
 */

import type { PoolCounters } from './capacity';
import { checkCredentials } from './credentials';
import type { Connection } from './connection';
import { createDelegate, shouldDelegate, type Delegate } from './delegate';
import { DispatcherBase, hideFields } from './dispatcher-base';
import type { DispatchHandler, DispatchOptions } from './handler-types';
import { parseSettings, type SettingsKind } from './options';
import { OriginPool } from './origin-pool';
import { isConnectReplaced } from './replaced-sockets';
import { type Dispatcher, symbols } from './undici';

type Backend =
  | { readonly kind: 'engine'; readonly pool: OriginPool }
  /** The engine's, unless `net.connect` has been replaced when the first request comes. */
  | { readonly kind: 'unused'; readonly pool: OriginPool; readonly makeDelegate: () => Delegate }
  | { readonly kind: 'peer'; readonly delegate: Delegate };

/** A dispatcher of one origin. */
export abstract class PooledDispatcher extends DispatcherBase {
  static {
    const counter = (symbol: symbol, read: (dispatcher: PooledDispatcher) => unknown): void => {
      Object.defineProperty(this.prototype, symbol, {
        configurable: true,
        get(this: PooledDispatcher) {
          return read(this);
        },
      });
    };
    counter(symbols.kUrl, (dispatcher) => dispatcher.url);
    counter(symbols.kConnected, (dispatcher) => dispatcher.connectedForPeer);
    counter(symbols.kFree, (dispatcher) => dispatcher.counters.free);
    counter(symbols.kQueued, (dispatcher) => dispatcher.counters.queued);
    counter(symbols.kPending, (dispatcher) => dispatcher.counters.pending);
    counter(symbols.kRunning, (dispatcher) => dispatcher.counters.running);
    counter(symbols.kSize, (dispatcher) => dispatcher.counters.size);
    counter(symbols.kBusy, (dispatcher) => dispatcher.counters.busy);
  }

  protected readonly url: URL;
  protected backend: Backend;

  /** `origin` may be the pool whose queue this dispatcher shares. */
  protected constructor(
    kind: SettingsKind,
    origin: string | URL | OriginPool,
    options: object | undefined,
  ) {
    if (origin instanceof OriginPool) {
      super();
      this.url = origin.settings.url;
      this.backend = { kind: 'engine', pool: origin };
      hideFields(this, 'backend');
      return;
    }
    const settings = parseSettings(origin, options, kind);
    checkCredentials(settings.connect);
    super(options);
    this.url = settings.url;
    const makeDelegate = (): Delegate => createDelegate(kind, origin, options as object, this);
    this.backend = shouldDelegate(options, kind)
      ? { kind: 'peer', delegate: makeDelegate() }
      : { kind: 'unused', pool: new OriginPool(this, settings), makeDelegate };
    hideFields(this, 'backend');
  }

  /** The backend once there is something for it to do. */
  protected get used(): Exclude<Backend, { readonly kind: 'unused' }> {
    const { backend } = this;
    if (backend.kind !== 'unused') return backend;
    const { pool, makeDelegate } = backend;
    // As in undici, whoever is in the place of `net.connect` when it is first needed is called. Not
    // through a proxy: the peer would not know of it.
    const isPeers = pool.settings.proxy === null && isConnectReplaced();
    const used = isPeers
      ? ({ kind: 'peer', delegate: makeDelegate() } as const)
      : ({ kind: 'engine', pool } as const);
    this.backend = used;
    if (used.kind === 'peer') used.delegate.pipelining = pool.pipelining;
    return used;
  }

  /** What events of one connection name after the dispatcher itself. */
  abstract targetsOf(connection: Connection | null): readonly Dispatcher[];

  /** Connections that are up and the engine's. */
  protected get connections(): Iterable<Connection> {
    return this.backend.kind === 'peer' ? [] : this.backend.pool.connections();
  }

  /** Counters as undici defines them. */
  protected get counters(): PoolCounters {
    return this.backend.kind === 'peer'
      ? this.backend.delegate.counters
      : this.backend.pool.counters;
  }

  /** undici shows a number for a pool and a boolean for a client. */
  protected abstract get connectedForPeer(): number | boolean;

  protected override dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    if (this.backend.kind === 'engine') return this.backend.pool.dispatch(options, handler);
    const { used } = this;
    return used.kind === 'engine'
      ? used.pool.dispatch(options, handler)
      : used.delegate.dispatch(options, handler);
  }

  protected override closeGracefully(): Promise<unknown> {
    return this.backend.kind === 'peer' ? this.backend.delegate.close() : this.backend.pool.close();
  }

  protected override destroyNow(error: Error): Promise<unknown> {
    return this.backend.kind === 'peer'
      ? this.backend.delegate.destroy(error)
      : this.backend.pool.destroy(error);
  }
}

/**
 * What `Client` and `Pool` share: one origin, served by the engine or handed to the peer.
 *
 * What lives here: the choice between the two, and undici's counters under undici's symbols, which
 * its own classes (BalancedPool, MockAgent, Agent) read. It must not know requests.
 */

import { checkCredentials } from './credentials';
import type { Connection } from './connection';
import { createDelegate, shouldDelegate, type Delegate, type PeerCounters } from './delegate';
import { DispatcherBase, hideFields } from './dispatcher-base';
import type { DispatchHandler, DispatchOptions } from './handler-types';
import { parseSettings, type SettingsKind } from './options';
import { OriginPool } from './origin-pool';
import { type Dispatcher, symbols } from './undici';

type Backend =
  | { readonly kind: 'engine'; readonly pool: OriginPool }
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
  protected readonly backend: Backend;

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
    this.backend = shouldDelegate(options, kind)
      ? { kind: 'peer', delegate: createDelegate(kind, origin, options as object, this) }
      : { kind: 'engine', pool: new OriginPool(this, settings) };
    hideFields(this, 'backend');
  }

  /** What events of one connection name after the dispatcher itself. */
  abstract targetsOf(connection: Connection | null): readonly Dispatcher[];

  /** Connections that are up and the engine's. */
  protected get connections(): Iterable<Connection> {
    return this.backend.kind === 'engine' ? this.backend.pool.connections() : [];
  }

  /** Counters as undici defines them. */
  protected get counters(): PeerCounters {
    return this.backend.kind === 'engine'
      ? this.backend.pool.counters
      : this.backend.delegate.counters;
  }

  /** undici shows a number for a pool and a boolean for a client. */
  protected abstract get connectedForPeer(): number | boolean;

  protected override dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    if (this.backend.kind === 'engine') return this.backend.pool.dispatch(options, handler);
    return this.backend.delegate.dispatch(options, handler);
  }

  protected override closeGracefully(): Promise<unknown> {
    return this.backend.kind === 'engine'
      ? this.backend.pool.close()
      : this.backend.delegate.close();
  }

  protected override destroyNow(error: Error): Promise<unknown> {
    return this.backend.kind === 'engine'
      ? this.backend.pool.destroy(error)
      : this.backend.delegate.destroy(error);
  }
}

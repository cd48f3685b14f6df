/**
 * Base class of `Client` and `Pool`: one origin, served by the engine or by the peer.
 *
 * What lives here: both, and undici's counters under undici's symbols, which its own classes
 * (BalancedPool, MockAgent, Agent) read. `delegate.ts` decides which of them serves. It must not know
 * requests.
 */

import type { Connection, ConnectionStatus } from '../connection';
import {
  dispatchToPeer,
  ownOptions,
  parseSettings,
  refuseAgentOptions,
  refuseOrigins,
  type SettingsKind,
  tlsWays,
} from '../options';
import { OriginDispatcher, type PoolCounters } from '../origin';
import {
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  invalid,
  type ServedBy,
  symbols,
} from '../undici';
import { makePeer, type PeerDispatcher, StandIn, tlsServer } from './delegate';
import { DispatcherBase, expose, hideFields } from './dispatcher-base';

/** What its field of a record holds. */
const MOST_CONNECTIONS = 2 ** 32 - 1;

/** @throws InvalidArgumentError unless `preconnect()` can open so many. */
export function checkCount(count: unknown): void {
  if (Number.isInteger(count) && (count as number) >= 1) return;
  throw invalid('count must be a positive integer');
}

/** A dispatcher of one origin. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the peer has the method
export abstract class PooledDispatcher extends DispatcherBase {
  static {
    expose(this.prototype, symbols.kUrl, (dispatcher) => dispatcher.$url);
    expose(this.prototype, symbols.kConnected, (dispatcher) => dispatcher.$connectedForPeer);
    expose(this.prototype, symbols.kFree, (dispatcher) => dispatcher.$counters.free);
    expose(this.prototype, symbols.kQueued, (dispatcher) => dispatcher.$counters.queued);
    expose(this.prototype, symbols.kPending, (dispatcher) => dispatcher.$counters.pending);
    expose(this.prototype, symbols.kRunning, (dispatcher) => dispatcher.$counters.running);
    expose(this.prototype, symbols.kSize, (dispatcher) => dispatcher.$counters.size);
    expose(this.prototype, symbols.kBusy, (dispatcher) => dispatcher.$counters.busy);
  }

  protected readonly $url: URL;
  /** The engine's side. */
  protected readonly $pool: OriginDispatcher;
  /** The peer's side. */
  protected readonly $standIn: StandIn;

  /** The turn in which nothing required the peer. */
  private $checkedIn = -1;

  /** `origin` may be the dispatcher whose queue this one shares. */
  protected constructor(
    kind: SettingsKind,
    origin: string | URL | PooledDispatcher,
    options: object | undefined,
  ) {
    if (origin instanceof PooledDispatcher) {
      super();
      ({ $url: this.$url, $pool: this.$pool, $standIn: this.$standIn } = origin);
    } else {
      const given = ownOptions(options);
      const name = kind === 'client' ? 'Client' : 'Pool';
      refuseOrigins(given, name);
      refuseAgentOptions(given, name);
      const settings = parseSettings(origin, options, kind);
      super(options);
      this.$url = settings.url;
      this.$pool = new OriginDispatcher(this, settings);
      const make = (): Dispatcher => {
        const dispatcher = makePeer(settings, options, this);
        const { pipelining } = this.$pool;
        if (pipelining !== settings.pipelining) Object.assign(dispatcher, { pipelining });
        return dispatcher;
      };
      const isTls = tlsWays(settings).length > 0;
      this.$standIn = new StandIn(settings.byPeer, make, isTls, tlsServer(settings));
    }
    hideFields(this, '$pool', '$standIn', '$checkedIn');
  }

  /** The targets of a connection's events after the dispatcher itself. @internal */
  abstract $targetsOf(connection: Connection | null): readonly Dispatcher[];

  /** The engine's open connections. */
  protected get $openConnections(): Iterable<Connection> {
    return this.$pool.connections();
  }

  override connections(): Promise<ConnectionStatus[]> {
    return this.$pool.inspect();
  }

  /**
   * Opens connections until `count` are ready to take a request, and resolves with how many are: fewer if
   * `connections` or the server allow no more; one, if it speaks HTTP/2; none, if undici's own class
   * serves the origin. Rejects with the error of an attempt if none is ready.
   */
  async preconnect(count = 1): Promise<number> {
    checkCount(count);
    this.$assertOpen();
    if (this.$standIn.now() !== null) return 0;
    return this.$pool.preconnect(Math.min(count, MOST_CONNECTIONS));
  }

  /** Counters as undici defines them. */
  protected get $counters(): PoolCounters {
    return this.$standIn.addTo(this.$pool.counters);
  }

  /** undici exposes a number for a pool and a boolean for a client. */
  protected abstract get $connectedForPeer(): number | boolean;

  /** Who serves the next request: the engine, or undici's own class, and why. */
  get servedBy(): ServedBy {
    return this.$standIn.servedBy;
  }

  /** @internal */
  get $mayHandOver(): boolean {
    return this.$standIn.mayServeOldTls;
  }

  /** The engine has no TLS in common with the server: the peer's dispatcher, if it may serve it. @internal */
  $peerForOldTls(): PeerDispatcher | null {
    return this.$standIn.serveOldTls();
  }

  protected override $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const { $pool: pool } = this;
    // Replaced sockets and the like matter to connections that are yet to be opened.
    const turn = pool.isConnected ? pool.session.turn : -1;
    if (turn === -1 || turn !== this.$checkedIn) {
      const peer = this.$standIn.now(options);
      if (peer !== null) return dispatchToPeer(peer, options, handler, pool.decompress);
      this.$checkedIn = turn;
    }
    return pool.dispatch(options, handler);
  }

  protected override async $closeGracefully(): Promise<void> {
    // The engine's requests may still be handed over.
    await this.$pool.close();
    await this.$standIn.close();
  }

  protected override $destroyNow(error: Error): Promise<unknown> {
    return Promise.all([this.$pool.destroy(error), this.$standIn.destroy(error)]);
  }
}

type ConnectRequest<TOpaque> = Omit<Dispatcher.ConnectOptions<TOpaque>, 'origin'>;

/** Its origin need not be given. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the peer has the method
export interface PooledDispatcher {
  connect<TOpaque = null>(
    options: ConnectRequest<TOpaque>,
  ): Promise<Dispatcher.ConnectData<TOpaque>>;
  connect<TOpaque = null>(
    options: ConnectRequest<TOpaque>,
    callback: (error: Error | null, data: Dispatcher.ConnectData<TOpaque>) => void,
  ): void;
}

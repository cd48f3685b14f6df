/**
 * `Client`: one origin, one connection.
 *
 * What lives here: undici's Client over the engine. Users and `Agent` construct it. It must not
 * know requests.
 */

import type { Connection } from '../connection';
import type { ClientOptions, OptionOf } from '../options';
import type { OriginDispatcher } from '../origin';
import { type Client as PeerClient, type Dispatcher, peer, symbols } from '../undici';
import { expose } from './dispatcher-base';
import { queueOf, sessionOf } from './internals';
import { PooledDispatcher } from './pooled-dispatcher';

/** A client's counters. */
export class ClientStats {
  readonly connected: boolean;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests written and unanswered. */
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
  /** Also undici's MockClient, which extends undici's class of this name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return (
      super[Symbol.hasInstance](value) || (this === Client && value instanceof peer.MockClient)
    );
  }

  static {
    Object.defineProperty(this.prototype, symbols.kConnect, {
      configurable: true,
      writable: true,
      value: function connect(this: Client, connected: () => void): void {
        this.$connectNow(connected);
      },
    });
    expose(this.prototype, symbols.kSocket, (client) => client.$socket);
    const internal = (name: string, read: (pool: OriginDispatcher) => unknown): void => {
      const symbol = symbols[name];
      if (symbol === undefined) return;
      expose(this.prototype, symbol, ({ $standIn: standIn, $pool: pool }) =>
        standIn.serving === null ? read(pool) : standIn.serving[symbol],
      );
    };
    internal('kMaxConcurrentStreams', (pool) => pool.concurrency);
    // Running requests precede pending ones, and settled ones are not in the queue.
    internal('kQueue', (pool) => (pool.settings.kind === 'client' ? queueOf(pool) : []));
    internal('kRunningIdx', () => 0);
    internal('kPendingIdx', (pool) =>
      pool.settings.kind === 'client' ? pool.counters.running : 0,
    );
    internal('kHTTP2Session', (pool) => (pool.settings.kind === 'client' ? sessionOf(pool) : null));
  }

  /**
   * @throws InvalidArgumentError with undici's message for an invalid origin or option, and for a
   * `connect` option that the engine cannot honour.
   */
  constructor(origin: string | URL, options?: ClientOptions) {
    super('client', origin, options);
  }

  /** Maximum number of requests in flight; 0 closes the connection after each. */
  get pipelining(): number {
    return this.$pool.pipelining;
  }

  set pipelining(value: number) {
    this.$pool.pipelining = value;
    const peer = this.$standIn.serving;
    if (peer !== null) Object.assign(peer, { pipelining: value });
  }

  /** The current counters. */
  get stats(): ClientStats {
    return new ClientStats(this.$counters);
  }

  /** Only the dispatcher: undici's clients are the last target of a connection's events. @internal */
  override $targetsOf(_connection: Connection | null): readonly Dispatcher[] {
    return [this];
  }

  /** Connects without a request, unless it is connected. */
  private $connectNow(connected: () => void): void {
    const peer = this.$standIn.now();
    if (peer === null) {
      this.$pool.connect();
      this.once('connect', connected);
    } else {
      (peer[symbols.kConnect] as (connected: () => void) => void).call(peer, connected);
    }
  }

  /** The stand-in for the socket; `null` without a connection. */
  private get $socket(): unknown {
    const peer = this.$standIn.serving;
    if (peer !== null) return peer[symbols.kSocket];
    for (const connection of this.$openConnections) return connection.socket;
    return null;
  }

  protected override get $connectedForPeer(): boolean {
    return this.$counters.connected > 0;
  }
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write Client.Options
export declare namespace Client {
  /** Options of the constructor. */
  export type Options = ClientOptions;
  /** The state of a socket in a `SocketError`. */
  export type SocketInfo = PeerClient.SocketInfo;
  /** Receive limits of a WebSocket. */
  export type WebSocketOptions = OptionOf<PeerClient.Options, 'webSocket'>;
  /** Receive limits of an EventSource. */
  export type EventSourceOptions = OptionOf<PeerClient.Options, 'eventSource'>;
  /** HTTP/2 settings. */
  export type H2Options = OptionOf<PeerClient.Options, 'h2Options'>;
}

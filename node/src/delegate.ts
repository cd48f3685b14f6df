/**
 * Origins that the peer's own Client or Pool serves.
 *
 * What lives here: the hand-over of one client or pool to undici's class of the same name, for
 * what only JavaScript can honour: a `connect` function, options that only Node's sockets know, a
 * pool's `factory`, and a `net.connect` that somebody has replaced. The constructors of `Client`
 * and `Pool` call it, so that the user always holds our class. It must not know the session:
 * nothing of such a pool reaches the engine.
 *
 * Requests of a delegated pool behave, fail and perform as undici's do.
 */

import type { EventEmitter } from 'node:events';

import type { PoolCounters } from './capacity';
import type { DispatchHandler, DispatchOptions } from './handler-types';
import { needsPeer, ownOptions, type SettingsKind } from './options';
import { proxyOf } from './proxy-settings';
import { type Dispatcher, peer, symbols } from './undici';

/** What the peer's classes show beside `Dispatcher`'s methods. */
type PeerDispatcher = Dispatcher & {
  readonly stats?: object;
  readonly [symbol: symbol]: unknown;
};

/** Whether `createDelegate` must serve these options; the engine serves all others. */
export function shouldDelegate(options: unknown, kind: SettingsKind = 'client'): boolean {
  return needsPeer(ownOptions(options), kind, proxyOf(options));
}

/** A client or pool of the peer behind one of ours. */
export class Delegate {
  /** The peer's object. */
  readonly dispatcher: PeerDispatcher;

  /** Serves `origin` with the peer's class and shows its events as those of `owner`. */
  constructor(kind: SettingsKind, origin: string | URL, options: object, owner: Dispatcher) {
    const PeerClass = kind === 'client' ? peer.Client : peer.Pool;
    const dispatcher: Dispatcher = new PeerClass(origin, options);
    this.dispatcher = dispatcher as PeerDispatcher;
    for (const name of ['connect', 'disconnect', 'connectionError', 'drain'] as const) {
      const forward = (url: URL, targets: readonly Dispatcher[], ...rest: unknown[]) => {
        const seen = targets.map((target) => (target === dispatcher ? owner : target));
        (owner as EventEmitter).emit(name, url, seen, ...rest);
      };
      (dispatcher as EventEmitter).on(name, forward);
    }
  }

  /** As `Dispatcher.dispatch`. */
  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
    return this.dispatcher.dispatch(
      options as unknown as Dispatcher.DispatchOptions,
      handler as Dispatcher.DispatchHandler,
    );
  }

  /** A client's; without meaning for a pool. */
  get pipelining(): number {
    return (this.dispatcher as { pipelining?: number }).pipelining ?? 1;
  }

  set pipelining(value: number) {
    if ('pipelining' in this.dispatcher) Object.assign(this.dispatcher, { pipelining: value });
  }

  /** Resolves when all requests have finished. */
  close(): Promise<void> {
    return this.dispatcher.close();
  }

  /** Fails all requests with `error`. */
  destroy(error: Error | null): Promise<void> {
    return this.dispatcher.destroy(error);
  }

  /** undici's `stats` object. */
  get stats(): object | undefined {
    return this.dispatcher.stats;
  }

  /** Counters, for those who look behind the stats. */
  get counters(): PoolCounters {
    return readCounters(this.dispatcher);
  }
}

/** Counters of any dispatcher that follows undici's; zeros where it shows none. */
export function readCounters(dispatcher: object): PoolCounters {
  const read = (symbol: symbol) => Number((dispatcher as Record<symbol, unknown>)[symbol] ?? 0);
  return {
    connected: read(symbols.kConnected),
    free: read(symbols.kFree),
    queued: read(symbols.kQueued),
    pending: read(symbols.kPending),
    running: read(symbols.kRunning),
    size: read(symbols.kSize),
    busy: Boolean((dispatcher as Record<symbol, unknown>)[symbols.kBusy]),
  };
}

/** The peer's client or pool for `origin`; its events are shown as those of `owner`. */
export function createDelegate(
  kind: SettingsKind,
  origin: string | URL,
  options: object,
  owner: Dispatcher,
): Delegate {
  return new Delegate(kind, origin, options, owner);
}

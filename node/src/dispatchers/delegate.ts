/**
 * Requests served by the peer's own classes.
 *
 * What lives here: the hand-over to undici's class of the same name: permanently if only JavaScript
 * can honour an option, while Node's sockets are replaced, and if the server's TLS is too old for
 * the engine. Each of our dispatchers has a `StandIn`, so that the user always holds our class. It must
 * not know the session: no part of such a request reaches the engine.
 *
 * Requests of a stand-in behave, fail and perform like undici's.
 */

import { peerOptions, type PoolSettings, tlsWays } from '../options';
import type { PoolCounters } from '../origin';
import {
  type ByPeer,
  type Dispatcher,
  peer,
  reasonNow,
  reasonOf,
  type ReasonState,
  rememberOldServer,
  type ServedBy,
  servedBy,
  symbols,
  warnOfOption,
} from '../undici';
import { adoptEvents } from './forwarded-events';

/** A TLS server that the peer may serve if the engine has no TLS in common with it. */
export interface TlsServer {
  /** The settings that decide whether there is. */
  readonly key: string;
  readonly origin: string;
}

/** What the peer's classes expose in addition to `Dispatcher`'s methods. */
export type PeerDispatcher = Dispatcher & Readonly<Record<symbol, unknown>>;

/**
 * The peer's dispatcher instead of the engine.
 *
 * ```text
 * none ─ a reason ─▶ serving ─ the reason is gone, or another ─▶ leaving ─ idle ─▶ closed
 * ```
 *
 * Who serves a request is decided when it is dispatched: the engine's requests continue while the
 * peer serves, and a stand-in that leaves finishes its own. The engine keeps its idle
 * connections meanwhile; a stand-in that leaves closes its own, which may come from a mock.
 */
export class StandIn {
  /** Why it serves permanently; `null`: only while the process requires it. */
  readonly #always: ByPeer | null;
  readonly #make: (() => Dispatcher) | null;
  readonly #mayBeTls: boolean;
  readonly #server: TlsServer | null;
  #serving: PeerDispatcher | null = null;
  #state: ReasonState | null = null;
  readonly #leaving = new Set<Dispatcher>();

  /**
   * `make` is called immediately if the peer serves `always`, and may throw; `null`: there is no
   * stand-in. `mayBeTls`: requests may use TLS. `server`: see `serveOldTls`.
   */
  constructor(
    always: ByPeer | null,
    make: (() => Dispatcher) | null,
    mayBeTls = true,
    server: TlsServer | null = null,
  ) {
    this.#always = always;
    this.#make = make;
    this.#mayBeTls = mayBeTls;
    this.#server = server;
    if (always === null) return;
    this.#serving = make?.() as PeerDispatcher;
    warnOfOption(always);
  }

  /** Who serves the next request. */
  get servedBy(): ServedBy {
    if (this.#always !== null) return servedBy(this.#always);
    const state = this.#make && reasonNow(this.#mayBeTls, this.#server?.key);
    return servedBy(state && { reason: reasonOf(state), option: null });
  }

  /** The peer's dispatcher for a request with these `options`; `null`: the engine serves it. */
  now(options: object | null = null): PeerDispatcher | null {
    if (this.#always !== null || this.#make === null) return this.#serving;
    const state = reasonNow(this.#mayBeTls, this.#server?.key, options);
    if (state !== this.#state) {
      this.#leave();
      this.#state = state;
    }
    if (state === null) return null;
    return (this.#serving ??= this.#make() as PeerDispatcher);
  }

  /** Whether `serveOldTls` may return a dispatcher. */
  get mayServeOldTls(): boolean {
    return this.#server !== null && this.#make !== null;
  }

  /**
   * The engine has no TLS in common with the server: the peer serves for a while. Returns its dispatcher;
   * `null` if that is not allowed.
   */
  serveOldTls(): PeerDispatcher | null {
    if (this.#server === null || this.#make === null) return null;
    rememberOldServer(this.#server.key, this.#server.origin);
    return this.now();
  }

  /** Who served last; `null`: the engine. */
  get serving(): PeerDispatcher | null {
    return this.#serving;
  }

  #leave(): void {
    const former = this.#serving;
    if (former === null) return;
    this.#serving = null;
    this.#leaving.add(former);
    void former.close().finally(() => this.#leaving.delete(former));
  }

  get #all(): Dispatcher[] {
    return this.#serving === null ? [...this.#leaving] : [this.#serving, ...this.#leaving];
  }

  /** Resolves when all its requests have finished. */
  close(): Promise<unknown> {
    return Promise.all(this.#all.map((dispatcher) => dispatcher.close()));
  }

  /** Fails all its requests with `error`. */
  destroy(error: Error): Promise<unknown> {
    return Promise.all(this.#all.map((dispatcher) => dispatcher.destroy(error)));
  }

  /** The engine's `counters` plus those of the peer. */
  addTo(counters: PoolCounters): PoolCounters {
    const sum = this.#all.map(readCounters).reduce(
      (one, other) => ({
        connected: one.connected + other.connected,
        free: one.free + other.free,
        queued: one.queued + other.queued,
        pending: one.pending + other.pending,
        running: one.running + other.running,
        size: one.size + other.size,
        busy: one.busy,
      }),
      counters,
    );
    // `busy` is about the next request.
    return this.#serving === null ? sum : { ...sum, busy: readCounters(this.#serving).busy };
  }
}

/** Who serves each origin, where the dispatchers say so. */
export function servedByOrigin(dispatchers: Iterable<object>): Record<string, ServedBy> {
  const all: Record<string, ServedBy> = {};
  for (const dispatcher of dispatchers) {
    const { servedBy: own } = dispatcher as { servedBy?: ServedBy };
    const url = (dispatcher as Record<symbol, unknown>)[symbols.kUrl];
    if (own !== undefined && url instanceof URL) all[url.origin] = own;
  }
  return all;
}

/** Counters of any undici-compatible dispatcher; zeros if it has none. */
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

/**
 * The peer's dispatcher for the origin of these settings, made with `options`; its events are emitted as
 * those of `owner`.
 */
export function makePeer(settings: PoolSettings, options: unknown, owner: Dispatcher): Dispatcher {
  const { kind, url, proxy } = settings;
  const PeerClass = kind === 'client' ? peer.Client : peer.Pool;
  const dispatcher: Dispatcher =
    proxy === null
      ? new PeerClass(url, peerOptions(options, url.protocol === 'https:'))
      : proxy.makePeer();
  adoptEvents(dispatcher, owner);
  return dispatcher;
}

/** The server that `makePeer` may serve. Never if the peer would trust other roots than these settings. */
export function tlsServer(settings: PoolSettings): TlsServer | null {
  const { url, connect, proxy, socketPath } = settings;
  const ways = tlsWays(settings);
  if (ways.length === 0 || ways.some((way) => !way.fallback || way.platformVerifier)) return null;
  // The peer's proxy agents follow no rule about addresses.
  if (proxy !== null && (connect.allow ?? proxy.connect.allow) !== null) return null;
  const { origin } = url;
  const path = connect.socketPath ?? socketPath;
  const decisive = ways.map(({ servername, offer }) => [servername, offer]);
  const hop = proxy && [proxy.protocol, proxy.hostname, proxy.port];
  return {
    key: JSON.stringify([origin, path, hop, decisive]),
    origin: proxy?.isSecure ? `${origin}, or its proxy ${proxy.hostname}:${proxy.port},` : origin,
  };
}

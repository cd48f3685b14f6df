/**
 * Requests and connections of one origin: the engine behind a `Client` or a `Pool`.
 *
 * What lives here: what happens to requests when connections open and end, when a dispatcher is
 * busy, and the dispatcher's events. `Client` and `Pool` have one each. `request-order.ts` decides
 * when a request is submitted, `native-pools.ts` where to, `capacity.ts`
 * how many are possible. It must not know records.
 *
 * Counters change only when something is delivered to JavaScript, in order with callbacks and
 * events: code inside a callback sees counters consistent with it.
 */

import {
  type Connection,
  type ConnectionStatus,
  type DisconnectInfo,
  isConnectError,
  isTransient,
} from '../connection';
import { ConnectionDiagnostics, Request, type RequestContext, type HeadContext } from '../request';
import type { Decompression, PoolSettings } from '../options';
import { queueMicrotask } from '../process';
import { currentSession, type Session } from '../session';
import { type DispatchHandler, type DispatchOptions, errors } from '../undici';
import { Capacity, type PoolCounters } from './capacity';
import { Drain, type DrainHost } from './drain';
import { peerAfter, takeOver } from './hand-over';
import type { NativePool, NativePoolListener } from './native-pool';
import { NativePools } from './native-pools';
import { type EventOwner, OwnerEvents } from './owner-events';
import { RequestList } from './request-list';
import { type OrderHost, RequestOrder } from './request-order';

/** See above. */
export class OriginDispatcher implements RequestContext, NativePoolListener, OrderHost, DrainHost {
  readonly settings: PoolSettings;
  readonly origin: string;
  readonly strictContentLength: boolean;
  readonly decompress: Decompression;
  readonly timings: boolean | null;
  readonly totalTimeout: number | null;
  readonly diagnostics: ConnectionDiagnostics;
  head: HeadContext;

  readonly #owner: EventOwner;
  readonly #events: OwnerEvents;
  #session: Session | null = null;
  readonly #natives: NativePools;

  /** Unsettled requests. */
  readonly requests = new RequestList();
  readonly #capacity: Capacity;
  /** A connect was announced on the diagnostics channel and has not ended. */
  #connecting = false;
  /** Why it fails, if a request was told before the attempt was reported. */
  #failing: Error | null = null;
  /** Why the open or opening connection ends: the body of a request failed, or it was aborted. */
  #ending: Error | null = null;
  /** Requests waiting for their turn. */
  readonly #order: RequestOrder;
  /** Why the last connection could not be opened; `null` once one was. */
  #failure: Error | null = null;
  readonly #drain: Drain;
  #whenIdle: (() => void) | null = null;

  constructor(owner: EventOwner, settings: PoolSettings) {
    this.#owner = owner;
    this.#events = new OwnerEvents(owner, settings.url);
    this.settings = settings;
    this.strictContentLength = settings.strictContentLength;
    this.decompress = settings.decompress;
    this.timings = settings.timings;
    this.totalTimeout = settings.totalTimeout;
    this.diagnostics = new ConnectionDiagnostics(settings);
    this.origin = settings.url.origin;
    this.#capacity = new Capacity(settings);
    this.#natives = new NativePools(settings, this);
    this.#order = new RequestOrder(this);
    this.#drain = new Drain(this);
    this.head = this.#makeHead();
  }

  /** Created by the first request, so that a pool can be constructed without an addon. */
  get session(): Session {
    return (this.#session ??= currentSession());
  }

  #makeHead(): HeadContext {
    const { url, maxRequestsPerClient } = this.settings;
    return {
      hostLine: `host: ${url.host}\r\n`,
      keepAlive: this.pipelining !== 0 && maxRequestsPerClient !== 1,
    };
  }

  get pipelining(): number {
    return this.#capacity.pipelining;
  }

  /** Affects the head, the counters, and which requests are submitted together. */
  set pipelining(value: number) {
    this.#capacity.pipelining = value;
    this.#natives.pipelining = value;
    this.head = this.#makeHead();
    this.#order.pipelining = value;
    this.#drain.check();
  }

  get isConnected(): boolean {
    return this.#capacity.connected > 0;
  }

  get isMultiplexed(): boolean {
    return this.#capacity.isMultiplexed;
  }

  // Counters ---------------------------------------------------------------------------------

  /** Concurrent requests of an HTTP/2 connection: the option's value before there is one. */
  get concurrency(): number {
    return this.#capacity.concurrency;
  }

  get counters(): PoolCounters {
    const busy = this.settings.kind === 'client' ? this.isBusy : this.needDrain;
    return this.#capacity.counters(this.requests.size, this.#running, busy);
  }

  /** A shared limit is the engine's business: under one, any request may be waiting. */
  get hasQueued(): boolean {
    if (this.settings.limit !== null) return this.session.isBusy;
    return this.requests.size > this.#capacity.room;
  }

  get #running(): number {
    return this.#order.pipelined?.running ?? this.#capacity.running(this.requests.size);
  }

  /** Whether the next request would have to wait. */
  get isBusy(): boolean {
    const { size } = this.requests;
    const capacity = this.#capacity;
    if (this.settings.kind === 'pool') return size >= capacity.room;
    const { pipelined } = this.#order;
    if (pipelined !== null) return pipelined.isBusy(size, capacity.depth);
    // A client that is not connected is busy with a single request: it is pending.
    return size >= (capacity.connected > 0 ? capacity.places : 1);
  }

  get needDrain(): boolean {
    return this.#drain.isNeeded;
  }

  checkDrain(): void {
    this.#drain.check();
  }

  drained(): void {
    this.#events.emit('drain', null);
  }

  get isDestroyed(): boolean {
    return this.#owner.destroyed;
  }

  get isAnnouncing(): boolean {
    return this.#capacity.announcing > 0;
  }

  // Requests ---------------------------------------------------------------------------------

  /**
   * Starts a request. Returns `false` when the caller should wait for `drain`.
   *
   * @throws what the request's checks throw; nothing was counted then.
   */
  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
    const { session } = this;
    const request = new Request(this, options, handler);
    this.requests.push(request);
    session.requestRuns();
    // As in undici, a request dispatched by a `connect` listener does not wait for the others, and
    // takes those before it along.
    if (this.isAnnouncing && !request.needsSource && this.settings.kind === 'client') {
      this.#capacity.announcing = 0;
    }
    if (request.describe()) this.#order.submit(request, options.signal);
    if (request.slot === -1 && !request.settled) request.startTotalTimeout();
    this.#drain.fill();
    return !this.#drain.isNeeded;
  }

  /**
   * A body that can be read only once is lost once it is read: where the peer may have to serve the
   * request, or the caller can use the body again, as after a fetch that could not connect, it waits until
   * the engine has a connection, as it always does in undici.
   */
  mayRead(request: Request): boolean {
    if (this.isConnected) return true;
    if (!this.#owner.$mayHandOver && request.fetchDecoding === null) return true;
    const failure = this.#failure;
    if (failure !== null && isTransient(failure)) return true;
    if (failure === null || !this.takeOver(request, failure)) this.open(request);
    return false;
  }

  get isEnding(): boolean {
    return this.#ending !== null;
  }

  open(request: Request): void {
    if (this.isConnected) return;
    try {
      this.openFor(this.nativeFor(request.servername));
    } catch (error) {
      request.abortWith(error as Error);
    }
  }

  waitsForServername(request: Request): boolean {
    if (!this.#natives.changesServername(request.servername)) return false;
    return this.requests.some((other) => other.slot !== -1);
  }

  /**
   * As in undici, a client's request whose body fails while it is read closes the connection, even
   * before a byte of the request was sent.
   */
  bodyFailed(error: Error): void {
    if (this.settings.kind === 'pool' || this.#capacity.isMultiplexed || this.#ending !== null)
      return;
    if (!this.isConnected && !this.#connecting) return;
    this.#ending = error;
    this.#endConnections(error);
  }

  giveUpConnection(): void {
    // Dispatched by a `connect` listener, on a connection whose streams end independently.
    if (this.#capacity.isMultiplexed) return;
    this.#ending = new errors.InformationalError('aborted');
    for (const connection of this.#natives.connections()) connection.giveUp();
  }

  #endConnections(error: Error): void {
    for (const connection of this.#natives.connections()) connection.end(error);
  }

  openFor(target: NativePool): void {
    if (this.#announce(target.servername)) target.connect();
  }

  headDelivered(request: Request, isLast: boolean): void {
    this.#order.pipelined?.headDelivered(request, isLast);
    this.#drain.check();
  }

  sent(request: Request): void {
    this.#order.pipelined?.bodySent(request);
  }

  send(request: Request): void {
    if (request.settled) return;
    let target: NativePool;
    try {
      target = this.nativeFor(request.servername);
      this.#natives.use(target);
    } catch (error) {
      request.abortWith(error as Error);
      return;
    }
    if (!this.isConnected) this.#announce(target.servername);
    request.send(target);
  }

  /** A connection is being opened. Returns whether that is news. */
  #announce(servername: string | null): boolean {
    if (this.#connecting) return false;
    this.#connecting = true;
    this.diagnostics.beforeConnect(servername);
    return true;
  }

  nativeFor(servername: string | null): NativePool {
    this.session.followProcess(this.isConnected);
    return this.#natives.get(this.session, servername);
  }

  isWaiting(request: Request): boolean {
    const running = this.#running;
    let ahead = 0;
    for (let other = request.previous; other !== null && ahead < running; other = other.previous) {
      ahead++;
    }
    return ahead >= running;
  }

  settled(request: Request): void {
    this.requests.remove(request);
    if (request.holds) this.session.requestRests();
    this.#order.settled(request);
    if (this.requests.size === 0 && this.#whenIdle !== null) {
      this.#whenIdle();
      this.#whenIdle = null;
    }
    this.#drain.check();
  }

  reportError(error: unknown): void {
    try {
      this.#events.emitBare('error', error);
    } catch (unheard) {
      this.session.raise(unheard);
    }
  }

  // Connections ------------------------------------------------------------------------------

  connected(pool: NativePool, connection: Connection): void {
    const capacity = this.#capacity;
    capacity.opened(connection);
    this.#connecting = false;
    this.#failure = null;
    this.diagnostics.connected(connection, pool.servername);
    // As in undici, requests are submitted after the listeners have seen the connection.
    capacity.announcing++;
    try {
      this.#events.emit('connect', connection, connection.info);
    } finally {
      if (capacity.announcing > 0) capacity.announcing--;
      if (connection.isMultiplexed) this.#order.multiplex();
      if (this.#ending !== null) this.#endConnections(this.#ending);
      this.#order.goOn();
      this.#drain.check();
    }
  }

  concurrencyChanged(connection: Connection, streams: number): void {
    this.#capacity.changed(connection, streams);
    if (this.requests.size > 0) this.#drain.fill();
    this.#drain.check();
  }

  /** As in undici, the event only has the time. */
  ponged(milliseconds: number): void {
    this.#events.emitBare('ping', milliseconds);
  }

  disconnected(pool: NativePool, connection: Connection, error: Error, info: DisconnectInfo): void {
    this.#capacity.closed(connection);
    this.diagnostics.disconnected(connection, info);
    if (!this.isConnected) {
      this.#ending = null;
      this.#order.pipelined?.requeue();
    }
    if (this.requests.size > 0) this.#drain.fill();
    try {
      this.#events.emit('disconnect', connection, error, info);
    } finally {
      // The engine's requests use another connection. A pipeline opens its own.
      const goesOn =
        this.#order.pipelined === null &&
        !this.isConnected &&
        !this.isDestroyed &&
        this.requests.some((request) => request.slot !== -1 && !request.isUpgrade);
      if (goesOn) this.#announce(pool.servername);
      // As in undici, the queue continues after the listeners.
      this.#order.goOn();
    }
  }

  connectFailed(pool: NativePool, reported: Error): void {
    const error = this.#failing ?? reported;
    if (this.#failing === null) this.diagnostics.connectError(error, pool.servername);
    this.#connecting = false;
    this.#failing = null;
    this.#ending = null;
    this.#failure = error;
    const isOver = peerAfter(this.#owner, this.settings, error) === null;
    if (!isTransient(error)) this.#failWaiting(error, this.settings.kind === 'client' || !isOver);
    if (isOver) this.#events.emit('connectionError', null, error);
    this.#order.goOn();
  }

  /** As in undici 8.13, no event. */
  connectGivenUp(pool: NativePool): void {
    this.#connecting = false;
    this.#ending = null;
    const error = new errors.InformationalError('no request waits for this connection');
    this.diagnostics.connectError(error, pool.servername);
    this.#order.goOn();
  }

  /** The engine fails the requests of an attempt before it reports it; undici does the reverse. */
  failing(request: Request, error: Error): void {
    if (this.#failing !== null || !isConnectError(error)) return;
    this.#failing = error;
    this.diagnostics.connectError(error, this.#natives.nameOf(request.servername));
  }

  takeOver(request: Request, error: Error): boolean {
    return takeOver(this.#owner, this.settings, request, error);
  }

  /** Fails requests that wait here for a connection, or the oldest. Those in the engine fail there. */
  #failWaiting(error: Error, all: boolean): void {
    for (const request of this.#order.takeWaiting(all)) {
      if (request.settled) continue;
      // The engine reports on its own requests.
      if (request.slot !== -1 || !this.takeOver(request, error)) request.destroyWith(error);
    }
  }

  // End --------------------------------------------------------------------------------------

  /** Resolves when no request is left. */
  close(): Promise<void> {
    if (this.requests.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /**
   * Fails every request with `error`: those not yet written immediately, the others in a microtask,
   * as undici does when their socket closes. Resolves when all open connections have ended.
   */
  async destroy(error: Error): Promise<void> {
    const { requests } = this;
    // What the current batch still contains for the running ones is too late.
    for (const request of requests.failAllBut(this.#running, error)) request.cutOff();

    const gone = this.#natives.destroy(error);
    queueMicrotask(() => requests.failAllBut(0, error));
    // As in undici, a connection that is still being opened no longer matters.
    if (this.isConnected) await gone;
  }

  /**
   * Running requests of a client fail with the error that its socket was destroyed with; of a
   * pipeline only the oldest one, because the engine sends the others again. If none is running,
   * the waiting ones fail, because such an error is not the connection's own. For pools, the engine
   * reports it itself.
   */
  connectionDestroyed(connection: Connection, error: unknown): void {
    if (this.settings.kind === 'pool') return;
    const running = this.#running;
    const { first, size } = this.requests;
    const { code } = (error ?? {}) as { code?: string };
    const isOwn = error === null || code === 'UND_ERR_INFO' || code === 'UND_ERR_SOCKET';
    if (running === 0 && isOwn) return;
    const ended = this.#order.pipelined === null ? running : 1;
    const lost = this.requests.take(first, running === 0 ? size : ended);
    for (const request of lost) request.cutOff();
    queueMicrotask(() => {
      const reason = (error as Error | null) ?? connection.closedError();
      for (const request of lost) request.abortWith(reason);
    });
  }

  /** Only of a client: a pool may have several connections. */
  get needsBodyDrain(): boolean {
    if (this.settings.kind === 'pool') return false;
    return this.requests.some((request) => request.bodyWaits);
  }

  bodyDrained(): void {
    if (this.settings.kind === 'pool') return;
    for (const connection of this.#natives.connections()) connection.drained();
  }

  /** All open connections. */
  connections(): Iterable<Connection> {
    return this.#natives.connections();
  }

  /** A connection that speaks HTTP/2. */
  get multiplexed(): Connection | null {
    for (const connection of this.connections()) {
      if (connection.isMultiplexed) return connection;
    }
    return null;
  }

  /** What all connections are doing. */
  inspect(): Promise<ConnectionStatus[]> {
    return this.#natives.inspect();
  }

  /** Opens connections until `count` are ready; resolves with how many are. */
  preconnect(count: number): Promise<number> {
    const target = this.nativeFor(null);
    if (!this.isConnected) this.#announce(target.servername);
    return target.preconnect(count);
  }

  /** Opens a connection even if nothing is queued. */
  connect(): void {
    this.nativeFor(null).connect();
  }
}

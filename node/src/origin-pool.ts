/**
 * Requests and connections of one origin: the engine behind a `Client` or a `Pool`.
 *
 * What lives here: the list of unsettled requests, the counters that undici shows, when a
 * dispatcher is busy and when it drains, and the dispatcher's events. `Client` and `Pool` hold one
 * each. When a request leaves, `pipeline.ts` and `held-requests.ts` say, and where to,
 * `native-pools.ts`. It must not know records.
 *
 * Counters change only when something is delivered to JavaScript, in one order with callbacks and
 * events: whoever looks inside a callback sees what the callback tells.
 */

import type { EventEmitter } from 'node:events';

import { ConnectionDiagnostics } from './diagnostics';
import { currentSession } from './environment';
import type { Connection } from './connection';
import type { DisconnectInfo } from './events';
import { Exchange, type ExchangeContext } from './exchange';
import type { DispatchHandler, DispatchOptions } from './handler-types';
import { type HeldHost, HeldRequests } from './held-requests';
import type { NativePool, NativePoolListener } from './native-pool';
import { NativePools } from './native-pools';
import type { PoolSettings } from './options';
import { Pipeline, Place } from './pipeline';
import type { HeadContext } from './request';
import type { Session } from './session';
import { queueMicrotask } from './timers';
import type { Dispatcher } from './undici';

/** Counters as undici defines them. */
export interface PoolCounters {
  /** Connections that are up. */
  readonly connected: number;
  /** Of these, the ones that would take a request at once. */
  readonly free: number;
  /** Requests that no connection, made or being made, has room for. */
  readonly queued: number;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests written and not answered. */
  readonly running: number;
  readonly size: number;
  readonly busy: boolean;
}

/** The dispatcher whose name stands in events. */
export type EventOwner = Dispatcher & {
  readonly destroyed: boolean;
  /** What events of one connection name after the dispatcher: a pool's client; nothing for a client. */
  targetsOf(connection: Connection | null): readonly Dispatcher[];
};

/** See above. */
export class OriginPool implements ExchangeContext, NativePoolListener, HeldHost {
  readonly settings: PoolSettings;
  readonly origin: string;
  readonly strictContentLength: boolean;
  readonly diagnostics: ConnectionDiagnostics;
  head: HeadContext;

  readonly #owner: EventOwner;
  #session: Session | null = null;
  #pipelining: number;
  readonly #natives: NativePools;

  /** Unsettled requests in the order of their dispatch. */
  #first: Exchange | null = null;
  #last: Exchange | null = null;
  #size = 0;
  #connected = 0;
  /** Of these, the ones that speak HTTP/2, and how many requests they take at once together. */
  #multiplexed = 0;
  #streams = 0;
  /** Connections whose `connect` listeners run: as in undici, nothing runs on them yet. */
  #announcing = 0;
  /** A connect was announced on the diagnostics channel and has not ended. */
  #connecting = false;
  /** The body of a request failed with this: the connection, made or being made, ends. */
  #ending: Error | null = null;
  /** Requests of a single connection that wait for their turn. */
  readonly #held: HeldRequests;
  /** Of a client whose `pipelining` is or was above 1. */
  #pipeline: Pipeline<Exchange> | null = null;
  #pipelineScheduled = false;

  #needDrain = false;
  #drainScheduled = false;
  #whenIdle: (() => void) | null = null;

  constructor(owner: EventOwner, settings: PoolSettings) {
    this.#owner = owner;
    this.settings = settings;
    this.strictContentLength = settings.strictContentLength;
    this.diagnostics = new ConnectionDiagnostics(settings);
    const { url } = settings;
    this.origin = url.origin;
    this.#pipelining = settings.pipelining;
    this.#natives = new NativePools(settings, this);
    this.#held = new HeldRequests(this);
    this.head = this.#makeHead();
    if (settings.kind === 'client' && settings.pipelining > 1) {
      this.#pipeline = new Pipeline(settings.pipelining);
    }
  }

  /** The first request makes it, so that a pool can be constructed where there is no addon. */
  get session(): Session {
    return (this.#session ??= currentSession());
  }

  #makeHead(): HeadContext {
    const { url, maxRequestsPerClient } = this.settings;
    return {
      hostLine: `host: ${url.host}\r\n`,
      keepAlive: this.#pipelining !== 0 && maxRequestsPerClient !== 1,
    };
  }

  get pipelining(): number {
    return this.#pipelining;
  }

  /** Affects the head, the counters, and which requests leave at the same time. */
  set pipelining(value: number) {
    this.#pipelining = value;
    this.#natives.pipelining = value;
    this.head = this.#makeHead();
    if (this.#pipeline !== null) this.#pipeline.depth = Math.max(1, value);
    else if (this.settings.kind === 'client' && value > 1) this.#startPipeline(value);
    this.#advance();
    this.#checkDrain();
  }

  /** The engine has the requests so far, in this order. */
  #startPipeline(depth: number): void {
    this.#pipeline = new Pipeline(depth);
    const adopt = (exchange: Exchange): void => {
      exchange.place = Place.Waiting;
      exchange.submitted = true;
    };
    for (let exchange = this.#first; exchange !== null; exchange = exchange.next) {
      if (exchange.slot !== -1) adopt(exchange);
    }
    for (const exchange of this.#held.take()) adopt(exchange);
  }

  get isConnected(): boolean {
    return this.#connected > 0;
  }

  // Counters ---------------------------------------------------------------------------------

  /** Requests that one HTTP/2 connection takes at once: what the option says before there is one. */
  get concurrency(): number {
    return this.#multiplexed > 0
      ? this.#streams / this.#multiplexed
      : this.settings.h2.maxConcurrentStreams;
  }

  /** Requests that may be under way without queueing: a connection that is not up yet counts as one. */
  get #room(): number {
    const { connections } = this.settings;
    if (connections === null) return Infinity;
    return this.#places + Math.max(0, connections - this.#connected);
  }

  /** Requests that the connections that are up take at once. */
  get #places(): number {
    const depth = Math.max(1, this.#pipelining);
    return (this.#connected - this.#multiplexed) * depth + this.#streams;
  }

  get counters(): PoolCounters {
    const depth = Math.max(1, this.#pipelining);
    const size = this.#size;
    const connected = this.#connected;
    const running =
      this.#pipeline === null
        ? Math.min(size, Math.max(0, this.#places - this.#announcing * depth))
        : this.#pipeline.running;
    const queued = Math.max(0, size - this.#room);
    const each = this.#multiplexed > 0 ? Math.max(1, this.#places / connected) : depth;
    return {
      connected,
      free: connected - Math.min(connected, Math.ceil(running / each)),
      queued,
      pending: size - running,
      running,
      size,
      busy: this.settings.kind === 'client' ? this.#isBusy : this.#needDrain,
    };
  }

  /** Whether the next request would have to wait. */
  get #isBusy(): boolean {
    if (this.settings.kind === 'pool') return this.#size >= this.#room;
    const depth = Math.max(1, this.#pipelining);
    const pipeline = this.#pipeline;
    if (pipeline !== null) {
      return pipeline.isShut || this.#size >= depth || this.#size > pipeline.running;
    }
    // A client that is not connected is busy with a single request: it is pending.
    return this.#size >= (this.#connected > 0 ? this.#places : 1);
  }

  get needDrain(): boolean {
    return this.#needDrain;
  }

  // Requests ---------------------------------------------------------------------------------

  /**
   * Starts a request. Returns `false` when the caller should wait for `drain`.
   *
   * @throws what the request's checks throw; nothing was counted then.
   */
  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
    const { session } = this;
    const exchange = new Exchange(this, options, handler);
    this.#link(exchange);
    session.hold();
    // As in undici, a request that a listener of `connect` makes does not wait for the others, and
    // takes along those before it.
    if (this.#announcing > 0 && !exchange.needsSource && this.settings.kind === 'client') {
      this.#announcing = 0;
    }
    if (exchange.start()) {
      if (this.#pipeline === null) this.#submit(exchange);
      else this.#enqueue(exchange);
    }
    if (this.#isBusy) this.#needDrain = true;
    return !this.#needDrain;
  }

  #submit(exchange: Exchange): void {
    const isFree = this.settings.connections !== 1 || this.#multiplexed > 0;
    // One connection answers in the order of dispatch: later requests queue behind one that waits.
    if (!isFree || this.waitsForServername(exchange)) this.#held.submit(exchange);
    else if (exchange.needsSource) this.#readSource(exchange, () => this.send(exchange));
    else this.send(exchange);
  }

  #readSource(exchange: Exchange, ready: () => void): void {
    const read = (): void => {
      if (exchange.settled) return;
      exchange.measureStream();
      if (exchange.settled) return;
      if (exchange.needsSource) exchange.waitForSource(ready);
      else ready();
    };
    // Where there is no connection yet, a source is not touched before the caller is done.
    if (this.#connected > 0) read();
    else process.nextTick(read);
  }

  get isEnding(): boolean {
    return this.#ending !== null;
  }

  open(exchange: Exchange): void {
    if (this.#connected > 0) return;
    try {
      this.#openFor(this.#nativeFor(exchange.servername));
    } catch (error) {
      exchange.abortWith(error as Error);
    }
  }

  waitsForServername(exchange: Exchange): boolean {
    if (!this.#natives.changesServername(exchange.servername)) return false;
    for (let other = this.#first; other !== null; other = other.next) {
      if (other.slot !== -1) return true;
    }
    return false;
  }

  /**
   * As in undici, the body of a client's request that fails while it is read costs the connection,
   * also before a byte of the request has left.
   */
  bodyFailed(error: Error): void {
    if (this.settings.kind === 'pool' || this.#multiplexed > 0 || this.#ending !== null) return;
    if (this.#connected === 0 && !this.#connecting) return;
    this.#ending = error;
    this.#endConnections(error);
  }

  #endConnections(error: Error): void {
    for (const connection of this.#natives.connections()) connection.end(error);
  }

  // Pipeline ---------------------------------------------------------------------------------

  #enqueue(exchange: Exchange): void {
    exchange.place = Place.Waiting;
    if (!exchange.needsSource) {
      this.#advance();
      return;
    }
    // The caller may end the stream as soon as it has it back: then there is no body to wait for.
    if (this.#pipelineScheduled) return;
    this.#pipelineScheduled = true;
    process.nextTick(() => {
      this.#pipelineScheduled = false;
      this.#advance();
      this.#checkDrain();
    });
  }

  /** Lets every request leave whose turn it is. */
  #advance(): void {
    const pipeline = this.#pipeline;
    if (pipeline === null || this.#pipelineScheduled || this.#announcing > 0) return;
    for (;;) {
      if (this.#owner.destroyed) return;
      const exchange = pipeline.candidate(this.#first);
      if (exchange === null) return;
      let target: NativePool;
      try {
        target = this.#nativeFor(exchange.servername);
      } catch (error) {
        exchange.abortWith(error as Error);
        continue;
      }
      if (!target.isConnected) {
        this.#openFor(target);
        return;
      }
      pipeline.admit(exchange);
      if (exchange.submitted) continue;
      exchange.submitted = true;
      exchange.measureStream();
      if (exchange.settled) continue;
      if (exchange.needsSource) exchange.waitForSource(() => this.send(exchange));
      else this.send(exchange);
    }
  }

  #openFor(target: NativePool): void {
    if (this.#connecting) return;
    this.#connecting = true;
    this.diagnostics.beforeConnect(target.servername);
    target.connect();
  }

  unblocked(exchange: Exchange): void {
    this.#pipeline?.headDelivered(exchange);
    this.#advance();
    this.#checkDrain();
  }

  sent(exchange: Exchange): void {
    if (this.#pipeline?.bodySent(exchange) !== true) return;
    this.#advance();
    this.#checkDrain();
  }

  send(exchange: Exchange): void {
    if (exchange.settled) return;
    let target: NativePool;
    try {
      target = this.#nativeFor(exchange.servername);
      this.#natives.use(target);
    } catch (error) {
      exchange.abortWith(error as Error);
      return;
    }
    if (this.#connected === 0 && !this.#connecting) {
      this.#connecting = true;
      this.diagnostics.beforeConnect(target.servername);
    }
    exchange.send(target);
  }

  #nativeFor(servername: string | null): NativePool {
    return this.#natives.get(this.session, servername);
  }

  #link(exchange: Exchange): void {
    exchange.previous = this.#last;
    if (this.#last === null) this.#first = exchange;
    else this.#last.next = exchange;
    this.#last = exchange;
    this.#size++;
  }

  settled(exchange: Exchange): void {
    const { previous, next } = exchange;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    exchange.previous = null;
    exchange.next = null;
    this.#size--;
    if (exchange.holds) this.session.release();
    if (!this.#held.isEmpty) this.#held.goOn();
    if (this.#pipeline !== null) {
      this.#pipeline.settled(exchange);
      this.#advance();
    }
    if (this.#size === 0 && this.#whenIdle !== null) {
      this.#whenIdle();
      this.#whenIdle = null;
    }
    if (this.#needDrain) this.#checkDrain();
  }

  reportError(error: unknown): void {
    try {
      this.#emitRaw('error', error);
    } catch (unheard) {
      this.session.raise(unheard);
    }
  }

  // Drain ------------------------------------------------------------------------------------

  /** In a microtask, so that `drain` comes after the callbacks that made room. */
  #checkDrain(): void {
    if (!this.#needDrain || this.#drainScheduled || this.#isBusy) return;
    this.#drainScheduled = true;
    queueMicrotask(() => {
      this.#drainScheduled = false;
      if (!this.#needDrain || this.#isBusy || this.#owner.destroyed) return;
      this.#needDrain = false;
      this.#emit('drain', null);
    });
  }

  // Connections ------------------------------------------------------------------------------

  #emit(name: string, connection: Connection | null, ...details: unknown[]): void {
    if ((this.#owner as EventEmitter).listenerCount(name) === 0) return;
    this.#emitRaw(name, this.settings.url, this.#owner.targetsOf(connection), ...details);
  }

  /** The peer declares its own events with their arguments, and neither `error` nor our details. */
  #emitRaw(name: string, ...values: unknown[]): void {
    (this.#owner as EventEmitter).emit(name, ...values);
  }

  connected(pool: NativePool, connection: Connection): void {
    this.#connected++;
    this.#connecting = false;
    if (connection.isMultiplexed) {
      this.#multiplexed++;
      this.#streams += connection.streams;
    }
    this.diagnostics.connected(connection, pool.servername);
    // As in undici, requests leave after the listeners have seen the connection.
    this.#announcing++;
    try {
      this.#emit('connect', connection, connection.info);
    } finally {
      if (this.#announcing > 0) this.#announcing--;
      if (connection.isMultiplexed) this.#multiplex();
      if (this.#ending !== null) this.#endConnections(this.#ending);
      this.#advance();
      this.#checkDrain();
    }
  }

  /** Streams wait for nothing: neither for the order of a pipeline nor for bodies before them. */
  #multiplex(): void {
    const waiting = this.#held.take();
    if (this.#pipeline !== null) {
      this.#pipeline = null;
      for (const exchange of this.#list(this.#first, Infinity)) {
        if (!exchange.submitted && exchange.place === Place.Waiting) waiting.push(exchange);
        exchange.place = Place.None;
      }
    }
    for (const exchange of waiting) {
      if (!exchange.settled) this.#submit(exchange);
    }
  }

  concurrencyChanged(connection: Connection, streams: number): void {
    this.#streams += streams - connection.streams;
    connection.streams = streams;
    if (this.#size > 0 && this.#isBusy) this.#needDrain = true;
    this.#checkDrain();
  }

  /** As in undici, the event has no more than the time. */
  ponged(milliseconds: number): void {
    this.#emitRaw('ping', milliseconds);
  }

  disconnected(connection: Connection, error: Error, info: DisconnectInfo): void {
    this.#connected--;
    if (connection.isMultiplexed) {
      this.#multiplexed--;
      this.#streams -= connection.streams;
    }
    if (this.#connected === 0) {
      this.#ending = null;
      this.#pipeline?.requeue(this.#first);
    }
    if (this.#size > 0 && this.#isBusy) this.#needDrain = true;
    try {
      this.#emit('disconnect', connection, error, info);
    } finally {
      // As in undici, the queue goes on after the listeners.
      this.#held.goOn();
      this.#advance();
    }
  }

  connectFailed(pool: NativePool, error: Error): void {
    this.#connecting = false;
    this.#ending = null;
    this.diagnostics.connectError(error, pool.servername);
    if (!isTransient(error)) this.#failWaiting(error);
    this.#emit('connectionError', null, error);
    this.#held.goOn();
    this.#advance();
  }

  /** Fails what waits here for a connection. What waits in the engine fails there. */
  #failWaiting(error: Error): void {
    const isOurs =
      this.#pipeline === null
        ? !this.#held.isEmpty && this.#first?.slot === -1
        : this.#pipeline.running === 0;
    if (!isOurs) return;
    if (this.settings.kind === 'client') this.#failFrom(this.#first, error);
    else this.#first?.destroyWith(error);
  }

  // End --------------------------------------------------------------------------------------

  /** Resolves when no request is left. */
  close(): Promise<void> {
    if (this.#size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /**
   * Fails every request with `error`: those not yet written at once, the others in a microtask, as
   * undici does when their socket closes. Resolves when all connections that were up are gone.
   */
  async destroy(error: Error): Promise<void> {
    const running = this.#list(this.#first, this.counters.running);
    this.#failFrom(running.at(-1)?.next ?? (running.length === 0 ? this.#first : null), error);
    // What this very batch still brings for them comes too late.
    for (const exchange of running) exchange.cutOff();

    const gone = this.#natives.destroy(error);
    queueMicrotask(() => this.#failFrom(this.#first, error));
    // As in undici, a connection that is being made is nobody's business any more.
    if (this.#connected > 0) await gone;
  }

  #failFrom(start: Exchange | null, error: Error): void {
    for (const exchange of this.#list(start, Infinity)) exchange.destroyWith(error);
  }

  /** At most so many requests in their order, because settling one takes it off the list. */
  #list(start: Exchange | null, count: number): Exchange[] {
    const list: Exchange[] = [];
    let exchange = start;
    while (exchange !== null && list.length < count) {
      list.push(exchange);
      exchange = exchange.next;
    }
    return list;
  }

  /**
   * What runs on the connection of a client ends with the error that its socket was destroyed with,
   * of a pipeline the oldest request, because the engine sends the others anew;
   * if nothing runs, what waits does, because such an error is not the connection's own. The
   * engine says so itself where connections are many.
   */
  connectionDestroyed(connection: Connection, error: unknown): void {
    if (this.settings.kind === 'pool') return;
    const { running } = this.counters;
    const { code } = (error ?? {}) as { code?: string };
    const isOwn = error === null || code === 'UND_ERR_INFO' || code === 'UND_ERR_SOCKET';
    if (running === 0 && isOwn) return;
    const ended = this.#pipeline === null ? running : 1;
    const lost = this.#list(this.#first, running === 0 ? this.#size : ended);
    for (const exchange of lost) exchange.cutOff();
    queueMicrotask(() => {
      const reason = (error as Error | null) ?? connection.closedError();
      for (const exchange of lost) exchange.abortWith(reason);
    });
  }

  /** Of a client only: nobody can tell which connection of a pool it would be. */
  get needsBodyDrain(): boolean {
    if (this.settings.kind === 'pool') return false;
    for (let exchange = this.#first; exchange !== null; exchange = exchange.next) {
      if (exchange.bodyWaits) return true;
    }
    return false;
  }

  bodyDrained(): void {
    if (this.settings.kind === 'pool') return;
    for (const connection of this.#natives.connections()) connection.drained();
  }

  /** All connections that are up. */
  connections(): Iterable<Connection> {
    return this.#natives.connections();
  }

  get streamSocket(): unknown {
    for (const connection of this.connections()) {
      if (connection.isMultiplexed) return connection.socket;
    }
    return null;
  }

  /** Opens a connection although nothing is queued. */
  connect(): void {
    this.#nativeFor(null).connect();
  }
}

/** Whether another attempt may well succeed: a peer closed the connection while it was made. */
function isTransient(error: Error): boolean {
  const { code } = error as { code?: string };
  return code === 'UND_ERR_SOCKET' || code === 'UND_ERR_INFO';
}

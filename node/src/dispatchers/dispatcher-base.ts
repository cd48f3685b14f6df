/**
 * Base class of our dispatchers: undici's life cycle.
 *
 * What lives here: `close` and `destroy` in promise and callback form, `closed` and `destroyed`,
 * the error path of `dispatch()`, and the wrapping of handlers of the older generation. `Client`,
 * `Pool` and `Agent` extend it and implement three methods. It must not know the session, nor
 * what a request is.
 *
 * No `#private` members here and in the subclasses: `compose()` of the peer returns a Proxy of the
 * dispatcher, and methods called through a Proxy cannot reach private members. What is not public begins
 * with `$` instead, because programs extend these classes with members of their own.
 */

import type { Duplex } from 'node:stream';
import { inspect, type InspectOptions } from 'node:util';

import type {
  ConnectionErrorListener,
  ConnectionStatus,
  ConnectListener,
  DisconnectListener,
  DrainListener,
} from '../connection';
import { ownOptions, spread, unpolluted } from '../options';
import { queueMicrotask } from '../process';
import type { OwnRequestOptions } from '../request';
import {
  composedForBoth,
  Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  invalid,
  peer,
  peerMajor,
  returnedOnFailure,
  symbols,
  takesBoth,
  wrapHandler,
} from '../undici';

/** Options that every dispatcher accepts for undici's WebSocket and EventSource. */
export interface DispatcherBaseOptions {
  webSocket?: object;
  eventSource?: object;
}

/** Callback of `close()` and `destroy()`. */
export type DoneCallback = (error: Error | null, data: unknown) => void;

type Interceptor = Dispatcher.DispatcherComposeInterceptor;

interface ReceiveLimits {
  readonly webSocketOptions?: object;
  readonly eventSourceOptions?: object;
}

/** Makes `read` the getter of a property: what undici's classes read of a dispatcher by symbol. */
export function expose<Class extends object>(
  prototype: Class,
  symbol: symbol,
  read: (dispatcher: Class) => unknown,
): void {
  const get = function (this: Class): unknown {
    return read(this);
  };
  Object.defineProperty(prototype, symbol, { configurable: true, get });
}

/** Callbacks of `close()` or of `destroy()`: called once it is done, and after that at once. */
class Callbacks {
  private waiting: DoneCallback[] | null = [];

  add(callback: DoneCallback): void {
    if (this.waiting) this.waiting.push(callback);
    else queueMicrotask(() => callback(null, null));
  }

  done(): void {
    queueMicrotask(() => {
      const callbacks = this.waiting ?? [];
      this.waiting = null;
      for (const callback of callbacks) callback(null, null);
    });
  }
}

/** Calls `end` with a callback that settles the promise. */
function promised(end: (callback: DoneCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    end((error) => (error ? reject(error) : resolve(null as unknown as undefined)));
  });
}

function checkCallback(callback: unknown): void {
  if (typeof callback !== 'function') throw invalid('invalid callback');
}

/** Hides fields with options from `JSON.stringify`, and loggers that use it. */
export function hideFields(dispatcher: object, ...names: string[]): void {
  for (const name of names) Object.defineProperty(dispatcher, name, { enumerable: false });
}

/**
 * For `util.inspect`, and so for logs: origin and state, but not the options, which contain keys and pass
 * phrases.
 */
export function inspected(dispatcher: object, options: InspectOptions): string {
  const { closed, destroyed, stats } = dispatcher as Readonly<Record<string, unknown>>;
  const url = (dispatcher as Record<symbol, unknown>)[symbols.kUrl];
  const origin = url instanceof URL ? { origin: url.origin } : {};
  const shown = { ...origin, closed, destroyed, stats: { ...(stats as object | undefined) } };
  return `${dispatcher.constructor.name} ${inspect(shown, options)}`;
}

/** The base class of our dispatchers. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- for listener types, below
export abstract class DispatcherBase extends Dispatcher {
  static {
    takesBoth(this.prototype.dispatch);
    // What the peer's classes read and call when they wrap one of our dispatchers.
    expose(this.prototype, symbols.kClosed, (dispatcher) => dispatcher.closed);
    expose(this.prototype, symbols.kDestroyed, (dispatcher) => dispatcher.destroyed);
    Object.defineProperty(this.prototype, symbols.kDispatch, {
      configurable: true,
      writable: true,
      value: function dispatch(
        this: DispatcherBase,
        options: Dispatcher.DispatchOptions,
        handler: Dispatcher.DispatchHandler,
      ) {
        return this.dispatch(options, handler);
      },
    });
  }

  private $isClosed = false;
  private $isDestroyed = false;
  private readonly $whenClosed = new Callbacks();
  private readonly $whenDestroyed = new Callbacks();
  private readonly $baseOptions: DispatcherBaseOptions;
  private $receiveLimits: ReceiveLimits | undefined;

  constructor(options?: DispatcherBaseOptions) {
    super();
    const { webSocket, eventSource } = ownOptions(options);
    this.$baseOptions = spread({ webSocket, eventSource });
  }

  /** Starts the request; exceptions go to the handler. Returns `false` when a `drain` follows. */
  protected abstract $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean;
  /** Resolves when nothing is pending or running. Never rejects. */
  protected abstract $closeGracefully(): Promise<unknown>;
  /** Fails everything pending or running with `error`; resolves when all connections have ended. Never rejects. */
  protected abstract $destroyNow(error: Error): Promise<unknown>;

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return inspected(this, options);
  }

  /** What each of its connections is doing now. Those of undici's own classes are not known. */
  abstract connections(): Promise<ConnectionStatus[]>;

  /** @throws what a request would fail with. */
  protected $assertOpen(): void {
    if (this.$isDestroyed) throw new errors.ClientDestroyedError();
    if (this.$isClosed) throw new errors.ClientClosedError();
  }

  get closed(): boolean {
    return this.$isClosed;
  }

  get destroyed(): boolean {
    return this.$isDestroyed;
  }

  /** Receive limits of undici's WebSocket; the peer's defaults if the options have none. */
  get webSocketOptions(): object {
    return this.$peerLimits().webSocketOptions ?? {};
  }

  /** Receive limits of undici's EventSource; the peer's defaults if the options have none. */
  get eventSourceOptions(): object {
    return this.$peerLimits().eventSourceOptions ?? {};
  }

  /** The peer's defaults, read from one of its Agents that never dispatches. */
  private $peerLimits(): ReceiveLimits {
    this.$receiveLimits ??= new peer.Agent(this.$baseOptions) as unknown as ReceiveLimits;
    return this.$receiveLimits;
  }

  override compose(...interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(interceptors: Interceptor[]): Dispatcher.ComposedDispatcher;
  override compose(...args: Interceptor[] | [Interceptor[]]): Dispatcher.ComposedDispatcher {
    const interceptors = (Array.isArray(args[0]) ? args[0] : args) as Interceptor[];
    return composedForBoth(super.compose(interceptors));
  }

  override close(): Promise<void>;
  override close(callback: DoneCallback): void;
  override close(callback?: DoneCallback): Promise<void> | void {
    if (callback === undefined) return promised((done) => this.close(done));
    checkCallback(callback);
    if (this.$isDestroyed) {
      const error = new errors.ClientDestroyedError();
      queueMicrotask(() => callback(error, null));
      return;
    }
    this.$whenClosed.add(callback);
    if (this.$isClosed) return;
    this.$isClosed = true;
    void this.$closeGracefully()
      .then(() => this.destroy())
      .then(() => this.$whenClosed.done());
  }

  override destroy(error?: Error | null): Promise<void>;
  override destroy(callback: DoneCallback): void;
  override destroy(error: Error | null, callback: DoneCallback): void;
  override destroy(
    errorOrCallback?: Error | null | DoneCallback,
    maybeCallback?: DoneCallback,
  ): Promise<void> | void {
    const isFirst = typeof errorOrCallback === 'function';
    const error = (isFirst ? null : errorOrCallback) ?? null;
    const callback = isFirst ? errorOrCallback : maybeCallback;
    if (callback === undefined) return promised((done) => this.destroy(error, done));
    checkCallback(callback);
    this.$whenDestroyed.add(callback);
    if (this.$isDestroyed) return;
    this.$isDestroyed = true;
    const ended = this.$destroyNow(error ?? new errors.ClientDestroyedError());
    void ended.then(() => this.$whenDestroyed.done());
  }

  /**
   * Starts a request. Both generations of handlers are accepted; see `legacy-handler.ts`.
   *
   * Invalid arguments are reported with `handler.onResponseError(null, error)` before this returns, and
   * thrown only if there is no such method. Returns `false` when the caller should wait for `drain`;
   * older undicis, and this with them, also for a request that failed.
   */
  override dispatch(
    options: Dispatcher.DispatchOptions & OwnRequestOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    if (!handler || typeof handler !== 'object') throw invalid('handler must be an object');
    const receiver = wrapHandler(handler);
    try {
      if (!options || typeof options !== 'object') throw invalid('opts must be an object.');
      const given = unpolluted(options);
      if (peerMajor >= 8 && (given as { dispatcher?: unknown }).dispatcher) {
        throw invalid(
          'opts.dispatcher is not supported by instance methods. Pass opts.dispatcher to the top-level undici functions or call the dispatcher instance method directly.',
        );
      }
      this.$assertOpen();
      return this.$dispatchRequest(given, receiver);
    } catch (error) {
      if (typeof receiver.onResponseError !== 'function') throw error;
      receiver.onResponseError(null, error as Error);
      return returnedOnFailure();
    }
  }
}

/**
 * Whether requests reach the engine as given. Dispatchers with their own `dispatch`, like the
 * peer's mocks over our classes, or what `compose()` returns, follow the peer.
 */
export function isOwnDispatcher(dispatcher: Dispatcher): boolean {
  return (
    dispatcher instanceof DispatcherBase &&
    dispatcher.dispatch === DispatcherBase.prototype.dispatch
  );
}

/* eslint-disable @typescript-eslint/unified-signatures -- see below */
/**
 * Requests have additional options; undici's signatures are repeated, because TypeScript only calls
 * unions (of `Agent` and one of undici's classes, say) whose members share a signature. Listeners get an
 * additional last argument, the details of `events.ts`.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- EventEmitter has them
export interface DispatcherBase {
  request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque> & OwnRequestOptions,
    callback: (error: Error | null, data: Dispatcher.ResponseData<TOpaque>) => void,
  ): void;
  request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque> & OwnRequestOptions,
  ): Promise<Dispatcher.ResponseData<TOpaque>>;
  request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
    callback: (error: Error | null, data: Dispatcher.ResponseData<TOpaque>) => void,
  ): void;
  request<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
  ): Promise<Dispatcher.ResponseData<TOpaque>>;
  stream<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque> & OwnRequestOptions,
    factory: Dispatcher.StreamFactory<TOpaque>,
    callback: (error: Error | null, data: Dispatcher.StreamData<TOpaque>) => void,
  ): void;
  stream<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque> & OwnRequestOptions,
    factory: Dispatcher.StreamFactory<TOpaque>,
  ): Promise<Dispatcher.StreamData<TOpaque>>;
  stream<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
    factory: Dispatcher.StreamFactory<TOpaque>,
    callback: (error: Error | null, data: Dispatcher.StreamData<TOpaque>) => void,
  ): void;
  stream<TOpaque = null>(
    options: Dispatcher.RequestOptions<TOpaque>,
    factory: Dispatcher.StreamFactory<TOpaque>,
  ): Promise<Dispatcher.StreamData<TOpaque>>;
  pipeline<TOpaque = null>(
    options: Dispatcher.PipelineOptions<TOpaque> & OwnRequestOptions,
    handler: Dispatcher.PipelineHandler<TOpaque>,
  ): Duplex;
  pipeline<TOpaque = null>(
    options: Dispatcher.PipelineOptions<TOpaque>,
    handler: Dispatcher.PipelineHandler<TOpaque>,
  ): Duplex;
  on(name: 'connect', listener: ConnectListener): this;
  on(name: 'disconnect', listener: DisconnectListener): this;
  on(name: 'connectionError', listener: ConnectionErrorListener): this;
  on(name: 'drain', listener: DrainListener): this;
  once(name: 'connect', listener: ConnectListener): this;
  once(name: 'disconnect', listener: DisconnectListener): this;
  once(name: 'connectionError', listener: ConnectionErrorListener): this;
  once(name: 'drain', listener: DrainListener): this;
  off(name: 'connect', listener: ConnectListener): this;
  off(name: 'disconnect', listener: DisconnectListener): this;
  off(name: 'connectionError', listener: ConnectionErrorListener): this;
  off(name: 'drain', listener: DrainListener): this;
  addListener(name: 'connect', listener: ConnectListener): this;
  addListener(name: 'disconnect', listener: DisconnectListener): this;
  addListener(name: 'connectionError', listener: ConnectionErrorListener): this;
  addListener(name: 'drain', listener: DrainListener): this;
  removeListener(name: 'connect', listener: ConnectListener): this;
  removeListener(name: 'disconnect', listener: DisconnectListener): this;
  removeListener(name: 'connectionError', listener: ConnectionErrorListener): this;
  removeListener(name: 'drain', listener: DrainListener): this;
}

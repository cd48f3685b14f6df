/**
 * Which dispatchers accept handlers of both generations.
 *
 * What lives here: the registry of `dispatch` methods that do, and composition that wraps handlers first.
 * Our dispatchers register themselves, and code that passes handlers of the older generation checks it
 * (`install.ts`, `global-dispatcher.ts`). It must not know what a handler is.
 */

import { wrapHandler } from './legacy-handler';
import { Dispatcher, peerMajor } from './undici';

type Dispatch = Dispatcher['dispatch'];

/** Functions, not dispatchers: excludes a subclass, mock or Proxy with its own `dispatch`. */
const methods = new WeakSet<Dispatch>();

/** Registers a `dispatch` that accepts handlers of both generations. */
export function takesBoth(dispatch: Dispatch): void {
  methods.add(dispatch);
}

/** Whether the dispatcher accepts handlers of both generations. */
export function doesTakeBoth(dispatcher: Dispatcher): boolean {
  return methods.has(dispatcher.dispatch);
}

/**
 * For a class of the peer's that ours extends: undici 8's accept handlers of the newer generation only,
 * undici 7's both. The peer rejects what is not a handler.
 */
export function forPeerClass(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  if (peerMajor === 7 || !handler || typeof handler !== 'object') return handler;
  return wrapHandler(handler) as Dispatcher.DispatchHandler;
}

/**
 * What `compose()` of the peer returned, for handlers of both generations: wrapped before anything of
 * the peer's, so that interceptors only ever see the newer one. undici 8 wraps none, and undici 7's
 * wrapper joins repeated headers.
 */
export function composedForBoth(
  composed: Dispatcher.ComposedDispatcher,
): Dispatcher.ComposedDispatcher {
  const dispatch: Dispatch = (options, handler) =>
    composed.dispatch(options, wrapHandler(handler) as Dispatcher.DispatchHandler);
  methods.add(dispatch);
  return new Proxy(composed, {
    get: (target, key) => (key === 'dispatch' ? dispatch : (Reflect.get(target, key) as unknown)),
  });
}

/**
 * A dispatcher of the newer generation alone, for those who hand over handlers of the older one, such
 * as Node's fetch up to Node 24: undici 8's `Dispatcher1Wrapper`, for where the peer is undici 7.
 */
export class ForOlderHandlers extends Dispatcher {
  constructor(private readonly dispatcher: Dispatcher) {
    super();
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    // Like undici 8: the older ones do not support HTTP/2.
    const given = { ...options, allowH2: false } as Dispatcher.DispatchOptions;
    return this.dispatcher.dispatch(given, wrapHandler(handler) as Dispatcher.DispatchHandler);
  }

  override close(...given: unknown[]): Promise<void> {
    return Reflect.apply(this.dispatcher.close, this.dispatcher, given) as Promise<void>;
  }

  override destroy(...given: unknown[]): Promise<void> {
    return Reflect.apply(this.dispatcher.destroy, this.dispatcher, given) as Promise<void>;
  }
}

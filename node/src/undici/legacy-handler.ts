/**
 * Handlers of undici 6 and 7, as Node's built-in fetch passes them up to Node 24.
 *
 * What lives here: the adapter thanks to which the request path knows only one generation. Called by
 * `DispatcherBase.dispatch` and before composed interceptors. It must not know the session.
 *
 * A handler with `onRequestStart` is of the newer generation, whatever else it has.
 */

import type { Duplex } from 'node:stream';
import type {
  DispatchController,
  DispatchHandler,
  LegacyHandler,
  ParsedHeaders,
} from './handler-types';
import { invalid, peerMajor } from './undici';

/** Flat list of Buffers from a headers object, for controllers that keep no raw form (interceptors). */
function rawFrom(raw: unknown, parsed: ParsedHeaders | null | undefined): Buffer[] {
  if (Array.isArray(raw)) {
    if (typeof raw[0] !== 'string') return raw as Buffer[];
    return (raw as string[]).map((entry) => Buffer.from(entry, 'latin1'));
  }
  const list: Buffer[] = [];
  for (const [name, value] of Object.entries((raw as ParsedHeaders | null) ?? parsed ?? {})) {
    for (const single of Array.isArray(value) ? value : [value]) {
      list.push(Buffer.from(name, 'latin1'), Buffer.from(single, 'latin1'));
    }
  }
  return list;
}

/** A legacy handler as one of the newer generation. */
class WrappedHandler implements DispatchHandler {
  constructor(readonly legacy: LegacyHandler) {}

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.legacy.onConnect?.((reason) => controller.abort(reason), context);
  }

  onRequestUpgrade(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    socket: Duplex,
  ): void {
    this.legacy.onUpgrade?.(statusCode, rawFrom(controller.rawHeaders, headers), socket);
  }

  onResponseStarted(): void {
    this.legacy.onResponseStarted?.();
  }

  onResponseStart(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    statusMessage = '',
  ): void {
    const raw = rawFrom(controller.rawHeaders, headers);
    const resume = (): void => controller.resume();
    const isWanted = this.legacy.onHeaders?.(statusCode, raw, resume, statusMessage) !== false;
    // What an informational head is answered with has no meaning, and the fetch of Node 20 says `false`.
    if (!isWanted && statusCode >= 200) controller.pause();
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    if (this.legacy.onData?.(chunk) === false) controller.pause();
  }

  onResponseEnd(controller: DispatchController, trailers: ParsedHeaders): void {
    this.legacy.onComplete?.(rawFrom(controller.rawTrailers, trailers));
  }

  onResponseError(_controller: DispatchController | null, error: Error): void {
    if (!this.legacy.onError) throw error;
    this.legacy.onError(error);
  }

  onBodySent(chunk: Uint8Array | string): void {
    this.legacy.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.legacy.onRequestSent?.();
  }
}

type Methods = Readonly<Record<string, ((...call: unknown[]) => unknown) | undefined>>;

/** The same with both older and newer methods, because undici 7's interceptors may call either. */
class HandlerOfBoth extends WrappedHandler {
  static {
    for (const name of ['onConnect', 'onUpgrade', 'onHeaders', 'onData', 'onComplete']) {
      const passOn = function (this: HandlerOfBoth, ...call: unknown[]): unknown {
        return (this.legacy as Methods)[name]?.(...call);
      };
      Object.assign(this.prototype, { [name]: passOn });
    }
  }

  onError(error: Error): void {
    this.onResponseError(null, error);
  }
}

const Wrapper = peerMajor === 7 ? HandlerOfBoth : WrappedHandler;

/** The handler itself if it is of the newer generation or of neither, else its wrapper. */
export function wrapHandler(handler: object): DispatchHandler {
  if (typeof (handler as DispatchHandler).onRequestStart === 'function') return handler;
  const legacy = handler as LegacyHandler;
  if (typeof legacy.onConnect === 'function' || typeof legacy.onError === 'function') {
    return new Wrapper(legacy);
  }
  return handler;
}

/**
 * Checks that the handler has the methods this request will call.
 *
 * @throws InvalidArgumentError with undici's message for this generation.
 */
export function assertHandler(handler: DispatchHandler, upgrade: boolean): void {
  if (handler instanceof WrappedHandler) {
    assertLegacyHandler(handler.legacy, upgrade);
    return;
  }
  if (typeof handler.onRequestStart !== 'function') {
    throw invalid(peerMajor >= 8 ? 'invalid onRequestStart method' : 'invalid onConnect method');
  }
  // undici 7 checks nothing else of handlers of the newer generation.
  if (peerMajor < 8) return;
  assertMethod(handler.onResponseError, 'onResponseError');
  assertOptionalMethod(handler.onBodySent, 'onBodySent');
  assertOptionalMethod(handler.onRequestSent, 'onRequestSent');
  if (upgrade) {
    assertMethod(handler.onRequestUpgrade, 'onRequestUpgrade');
    return;
  }
  assertMethod(handler.onResponseStart, 'onResponseStart');
  assertMethod(handler.onResponseData, 'onResponseData');
  assertMethod(handler.onResponseEnd, 'onResponseEnd');
}

function assertLegacyHandler(handler: LegacyHandler, upgrade: boolean): void {
  assertMethod(handler.onConnect, 'onConnect');
  assertMethod(handler.onError, 'onError');
  assertOptionalMethod(handler.onBodySent, 'onBodySent');
  if (upgrade) {
    assertMethod(handler.onUpgrade, 'onUpgrade');
    return;
  }
  assertMethod(handler.onHeaders, 'onHeaders');
  assertMethod(handler.onData, 'onData');
  assertMethod(handler.onComplete, 'onComplete');
}

function assertMethod(method: unknown, name: string): void {
  if (typeof method !== 'function') throw invalid(`invalid ${name} method`);
}

function assertOptionalMethod(method: unknown, name: string): void {
  if (method !== undefined) assertMethod(method, name);
}

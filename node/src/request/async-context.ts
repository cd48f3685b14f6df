/**
 * The caller's async context for a request's callbacks.
 *
 * What lives here: whether there is a context to keep, and the handler that restores it for each
 * call. Completions arrive from the I/O thread in batches, so without it a callback would run in no
 * context, and loggers and tracers could not attribute it. A request checks once. It must not know
 * what the callbacks mean.
 *
 * Without `AsyncLocalStorage`, this costs one check: Node does not tell whether a store is in use,
 * but leaves traces. While hooks run, which carry the stores up to Node 22, each promise has an id;
 * from Node 24 on, a resource holds the frame of the stores it was created in, or none outside of
 * any.
 */

import { AsyncResource } from 'node:async_hooks';

import type { DispatchController, DispatchHandler, HandlerCall, ParsedHeaders } from '../undici';
import { OwnHandler } from './own-handler';

/** The property of a resource with this description. */
function propertyOf(resource: AsyncResource, name: string): symbol | undefined {
  const symbols = Object.getOwnPropertySymbols(resource);
  return symbols.find((symbol) => symbol.description === name);
}

type Traces = Readonly<Record<symbol, unknown>>;

const KIND = 'DODICI_REQUEST';
const sample = new AsyncResource(KIND);
/** A property that promises have while hooks run. */
const kId = propertyOf(sample, 'async_id_symbol') ?? Symbol('no id');
const flags = `${process.execArgv.join(' ')} ${process.env['NODE_OPTIONS'] ?? ''}`;
const hasFrames =
  Number.parseInt(process.versions.node) >= 24 ||
  flags.includes('--experimental-async-context-frame');
/** A property of resources created inside `AsyncLocalStorage.run()`; unused in Node 22. */
const kFrame = hasFrames ? propertyOf(sample, 'context_frame') : undefined;

/** The caller's context, as a resource to run in; `null` if there is none to keep. */
export function currentContext(handler: object): AsyncResource | null {
  if (handler instanceof OwnHandler && handler.isContextFree) return null;
  if (kFrame === undefined && !isHooked()) return null;
  // undici's own handlers are created where its functions are called, and keep that context.
  const resource = handler instanceof AsyncResource ? handler : new AsyncResource(KIND);
  const isInside =
    kFrame === undefined || (resource as unknown as Traces)[kFrame] !== undefined || isHooked();
  return isInside ? resource : null;
}

/** Whether hooks run. */
function isHooked(): boolean {
  return (Promise.resolve() as unknown as Traces)[kId] !== undefined;
}

/** `handler`, called in `context`. */
export class ContextHandler implements DispatchHandler {
  constructor(
    private readonly handler: DispatchHandler,
    private readonly context: AsyncResource,
  ) {}

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.context.runInAsyncScope(
      this.handler.onRequestStart as NonNullable<DispatchHandler['onRequestStart']>,
      this.handler,
      controller,
      context,
    );
  }

  onRequestUpgrade(...call: HandlerCall<'onRequestUpgrade'>): void {
    const { handler, context } = this;
    const { onRequestUpgrade } = handler;
    if (onRequestUpgrade) context.runInAsyncScope(onRequestUpgrade, handler, ...call);
  }

  onResponseStarted(): void {
    const { onResponseStarted } = this.handler;
    if (onResponseStarted) this.context.runInAsyncScope(onResponseStarted, this.handler);
  }

  onResponseStart(
    controller: DispatchController,
    status: number,
    headers: ParsedHeaders,
    text?: string,
  ): void {
    const { handler, context } = this;
    const { onResponseStart: call } = handler;
    if (call) context.runInAsyncScope(call, handler, controller, status, headers, text);
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    const { onResponseData } = this.handler;
    if (onResponseData) {
      this.context.runInAsyncScope(onResponseData, this.handler, controller, chunk);
    }
  }

  onResponseEnd(controller: DispatchController, trailers: ParsedHeaders): void {
    const { onResponseEnd } = this.handler;
    if (onResponseEnd) {
      this.context.runInAsyncScope(onResponseEnd, this.handler, controller, trailers);
    }
  }

  onResponseError(controller: DispatchController | null, error: Error): void {
    const { onResponseError } = this.handler;
    if (onResponseError) {
      this.context.runInAsyncScope(onResponseError, this.handler, controller, error);
    }
  }

  onBodySent(chunk: Uint8Array | string): void {
    const { onBodySent } = this.handler;
    if (onBodySent) this.context.runInAsyncScope(onBodySent, this.handler, chunk);
  }

  onRequestSent(): void {
    const { onRequestSent } = this.handler;
    if (onRequestSent) this.context.runInAsyncScope(onRequestSent, this.handler);
  }
}

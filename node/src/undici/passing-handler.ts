/**
 * Handlers in front of other handlers.
 *
 * What lives here: their base class, which passes every call on. It must not know what its
 * subclasses change.
 */

import type { DispatchController, DispatchHandler, ParsedHeaders } from './handler-types';

/** Arguments of a handler's method. */
export type HandlerCall<Name extends keyof DispatchHandler> = Parameters<
  NonNullable<DispatchHandler[Name]>
>;

/** See above. */
export class PassingHandler implements DispatchHandler {
  constructor(protected readonly handler: DispatchHandler) {}

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(...call: HandlerCall<'onRequestUpgrade'>): void {
    this.handler.onRequestUpgrade?.(...call);
  }

  onResponseStarted(): void {
    this.handler.onResponseStarted?.();
  }

  onResponseStart(...call: HandlerCall<'onResponseStart'>): void {
    this.handler.onResponseStart?.(...call);
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    this.handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: DispatchController, trailers: ParsedHeaders): void {
    this.handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: DispatchController | null, error: Error): void {
    this.handler.onResponseError?.(controller, error);
  }

  onBodySent(chunk: Uint8Array | string): void {
    this.handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.handler.onRequestSent?.();
  }
}

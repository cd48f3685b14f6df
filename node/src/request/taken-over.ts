/**
 * The handler of a request that the peer serves after the engine could not send it.
 *
 * What lives here: the way from the controller that the handler was given first to the peer's.
 * `Request` makes one. It must not know why.
 */

import type { DispatchController, DispatchHandler, ParsedHeaders } from '../undici';

type Rest<Name extends keyof DispatchHandler> = Parameters<NonNullable<DispatchHandler[Name]>>;

/** See above. As in undici, the handler is told of the start again. */
export class TakenOver implements DispatchHandler {
  readonly #handler: DispatchHandler;
  #controller: DispatchController | null = null;
  /** What the first controller was told before there was another. */
  #abort: { readonly reason: Error | undefined } | null = null;

  constructor(handler: DispatchHandler) {
    this.#handler = handler;
  }

  /** The first controller was told. */
  abort(reason: Error | undefined): void {
    if (this.#controller === null) this.#abort = { reason };
    else this.#controller.abort(reason);
  }

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.#controller = controller;
    if (this.#abort !== null) controller.abort(this.#abort.reason);
    else this.#handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(...values: Rest<'onRequestUpgrade'>): void {
    this.#handler.onRequestUpgrade?.(...values);
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(...values: Rest<'onResponseStart'>): void {
    this.#handler.onResponseStart?.(...values);
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: DispatchController, trailers: ParsedHeaders): void {
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: DispatchController | null, error: Error): void {
    this.#handler.onResponseError?.(controller, error);
  }

  onBodySent(chunk: Uint8Array | string): void {
    this.#handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.();
  }
}

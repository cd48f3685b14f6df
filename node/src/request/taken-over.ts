/**
 * The handler of a request that the peer serves because the engine could not send it.
 *
 * What lives here: forwarding from the handler's first controller to the peer's. `Request` creates one.
 * It must not know why.
 */

import type { DispatchController, DispatchHandler, ParsedHeaders } from '../undici';

/** How much of a body was sent, according to what its handler was told. */
export interface ToldBody {
  readonly bytes: number;
  readonly isAll: boolean;
}

type Rest<Name extends keyof DispatchHandler> = Parameters<NonNullable<DispatchHandler[Name]>>;

/**
 * See above. As in undici, the handler is notified of the start again, but of each part of the body
 * once.
 */
export class TakenOver implements DispatchHandler {
  readonly #handler: DispatchHandler;
  #controller: DispatchController | null = null;
  /** Calls on the first controller before there was another. */
  #abort: { readonly reason: Error | undefined } | null = null;

  #told: ToldBody;

  constructor(handler: DispatchHandler, told: ToldBody) {
    this.#handler = handler;
    this.#told = told;
  }

  /** A call on the first controller. */
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
    const { bytes, isAll } = this.#told;
    if (bytes === 0) {
      this.#handler.onBodySent?.(chunk);
      return;
    }
    const sent = Buffer.from(chunk as Uint8Array);
    this.#told = { bytes: Math.max(0, bytes - sent.length), isAll };
    if (sent.length > bytes) this.#handler.onBodySent?.(sent.subarray(bytes));
  }

  onRequestSent(): void {
    if (!this.#told.isAll) this.#handler.onRequestSent?.();
  }
}

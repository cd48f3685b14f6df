/**
 * The handler of a request that the peer serves because the engine could not send it.
 *
 * What lives here: forwarding from the handler's first controller to the peer's. `Request` creates one.
 * It must not know why.
 */

import { type DispatchController, type DispatchHandler, PassingHandler } from '../undici';

/** How much of a body was sent, according to what its handler was told. */
export interface ToldBody {
  readonly bytes: number;
  readonly isAll: boolean;
}

/**
 * See above. As in undici, the handler is notified of the start again, but of each part of the body
 * once.
 */
export class TakenOver extends PassingHandler {
  #controller: DispatchController | null = null;
  /** Calls on the first controller before there was another. */
  #abort: { readonly reason: Error | undefined } | null = null;

  #told: ToldBody;

  constructor(handler: DispatchHandler, told: ToldBody) {
    super(handler);
    this.#told = told;
  }

  /** A call on the first controller. */
  abort(reason: Error | undefined): void {
    if (this.#controller === null) this.#abort = { reason };
    else this.#controller.abort(reason);
  }

  override onRequestStart(controller: DispatchController, context: unknown): void {
    this.#controller = controller;
    if (this.#abort !== null) controller.abort(this.#abort.reason);
    else super.onRequestStart(controller, context);
  }

  override onBodySent(chunk: Uint8Array | string): void {
    const { bytes, isAll } = this.#told;
    if (bytes === 0) {
      super.onBodySent(chunk);
      return;
    }
    const sent = Buffer.from(chunk as Uint8Array);
    this.#told = { bytes: Math.max(0, bytes - sent.length), isAll };
    if (sent.length > bytes) super.onBodySent(sent.subarray(bytes));
  }

  override onRequestSent(): void {
    if (!this.#told.isAll) super.onRequestSent();
  }
}

/**
 * The handler of a request that the peer serves because the engine could not send it.
 *
 * What lives here: forwarding from the handler's first controller to the peer's. `Request` creates one.
 * It must not know why.
 */

import { type DispatchController, type DispatchHandler, PassingHandler } from '../undici';

/** How much of a body was sent, as far as its handler knows. */
export interface SentBody {
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

  #sent: SentBody;

  constructor(handler: DispatchHandler, sent: SentBody) {
    super(handler);
    this.#sent = sent;
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
    const { bytes, isAll } = this.#sent;
    if (bytes === 0) {
      super.onBodySent(chunk);
      return;
    }
    const again = Buffer.from(chunk as Uint8Array);
    this.#sent = { bytes: Math.max(0, bytes - again.length), isAll };
    if (again.length > bytes) super.onBodySent(again.subarray(bytes));
  }

  override onRequestSent(): void {
    if (!this.#sent.isAll) super.onRequestSent();
  }
}

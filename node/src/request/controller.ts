/**
 * A handler's control over its request.
 *
 * What lives here: `abort`, `pause`, `resume` and the raw headers, like undici's controller, and the
 * timings. A request creates one and passes it to every callback. It must not know records or pools.
 */

import { lazyRawList, rawList } from '../headers';
import type { DispatchController } from '../undici';
import type { RequestTimings } from './timings';

/** What a controller needs from its request. */
export interface Controlled {
  abortWith(reason: Error | undefined): void;
  /** Delivery stops. */
  paused(): void;
  /** Delivery may continue. */
  resumed(): void;
  /** Whether the handler reads `rawHeaders` of every response, but rarely looks inside. */
  readonly seldomLooksAtRaw: boolean;
  /** Whether other requests wait for the connection that this one occupies. */
  readonly delaysOthers: boolean;
}

/** Replaces a request that has ended: there is nothing left to control. */
const OVER: Controlled = {
  abortWith: () => undefined,
  paused: () => undefined,
  resumed: () => undefined,
  seldomLooksAtRaw: false,
  delaysOthers: false,
};

/** The controller of one request. */
export class RequestController implements DispatchController {
  #request: Controlled;
  #paused = false;
  #aborted = false;
  #reason: Error | null = null;

  /** Field list of the last head, and where its fields start; see `headers/fields.ts`. */
  #head: string | null = null;
  #headFields = 0;
  #isHttp2 = false;
  #trailers: string | null = null;
  /** Built from the lists when first read, or set by an interceptor. */
  #rawHeaders: unknown = null;
  #rawTrailers: unknown = null;

  /** See `TimedController`. */
  readonly timings: RequestTimings | null;

  constructor(request: Controlled, timings: RequestTimings | null) {
    this.#request = request;
    this.timings = timings;
  }

  /** Stops delivery: what follows the current callback waits until `resume`. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#request.paused();
  }

  /** Delivers what waited, before this returns. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#request.resumed();
  }

  /** Ends the request; `onResponseError` gets `reason` before this returns. */
  abort(reason?: Error): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason as Error;
    this.#request.abortWith(reason);
  }

  /** Whether `abort` was called. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** What `abort` was called with. */
  get reason(): Error | null {
    return this.#reason;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * Names and values of the last head as received: a flat list of Buffers.
   */
  get rawHeaders(): unknown {
    if (this.#rawHeaders === null && this.#head !== null) {
      const make = this.#request.seldomLooksAtRaw ? lazyRawList : rawList;
      this.#rawHeaders = make(this.#head, this.#headFields, this.#isHttp2);
    }
    return this.#rawHeaders;
  }

  set rawHeaders(value: unknown) {
    this.#rawHeaders = value;
  }

  /** Like `rawHeaders`, for the trailers. */
  get rawTrailers(): unknown {
    if (this.#rawTrailers === null && this.#trailers !== null) {
      this.#rawTrailers = rawList(this.#trailers, 0, this.#isHttp2);
    }
    return this.#rawTrailers;
  }

  set rawTrailers(value: unknown) {
    this.#rawTrailers = value;
  }

  /** Whether other requests wait for what its request occupies; not known of other controllers. */
  static delaysOthers(controller: object | null): boolean {
    return controller instanceof RequestController && controller.#request.delaysOthers;
  }

  /** A head arrived; its fields start at `fields` in `text`. For the request. */
  static receiveHead(
    controller: RequestController,
    text: string,
    fields: number,
    isHttp2: boolean,
  ): void {
    controller.#isHttp2 = isHttp2;
    controller.#head = text;
    controller.#headFields = fields;
    controller.#rawHeaders = null;
  }

  /**
   * A response that the engine decodes has failed. To handlers it looks like an abort: undici's would ask
   * the server for the rest from the number of decoded bytes on. For the request.
   */
  static decodedFailed(controller: RequestController): void {
    controller.#aborted = true;
  }

  /** HTTP/2 stream id of the last head; `null` if unknown. */
  static streamNumber(controller: RequestController): number | null {
    const line = controller.#head?.slice(0, controller.#headFields - 1) ?? '';
    return Number(line) || null;
  }

  /**
   * Trailers arrived, and nothing follows. For the request, which the controller releases: code that
   * keeps the controller, like undici's fetch until its stream is collected, does not keep the request
   * alive.
   */
  static receiveTrailers(controller: RequestController, text: string): void {
    controller.#trailers = text;
    controller.#request = OVER;
  }
}

/**
 * When the parts of a request happened.
 *
 * What lives here: the public shapes, what is collected of a request that is timed, and the diagnostics
 * channel. The request creates one per request that somebody wants to know this of. It must not know
 * how a request is sent.
 */

import { channel } from 'node:diagnostics_channel';

import type { Connection, ConnectInfo } from '../connection';
import { now } from '../process';
import type { Dispatcher } from '../undici';
import { observe, type ObservedRequest } from './diagnostics';

/**
 * When each part of a request happened, in milliseconds by `performance.now()`; `null`: it has not, or
 * not yet. The times are taken by the engine, where it happens, except `start`.
 *
 * They are in this order, except that a server may respond before it has got the body. If the engine
 * has sent the request more than once, because a connection was lost, they are those of the last time.
 */
export interface RequestTimings {
  /** `dispatch()` was called. */
  readonly start: number;
  /** A connection was open and free for it, over HTTP/2 with a stream: until then, it was queued. */
  readonly assigned: number | null;
  /** Its head was written. Over HTTP/2, here and in `bodySent`: passed to the connection. */
  readonly headSent: number | null;
  /** The end of its body was written; without a body, as `headSent`. */
  readonly bodySent: number | null;
  /** The first byte of a response was read, also of an informational one; over HTTP/2, a head. */
  readonly firstByte: number | null;
  /** It ended: the end of the response was read, or it failed, was aborted or upgraded. */
  readonly end: number | null;
  /** Whether it was the first request on its connection. */
  readonly isNew: boolean | null;
  /** Its connection: what `connect` listeners get. */
  readonly connection: ConnectInfo | null;
}

/** The controller that handlers of `dispatch()` get. */
export interface TimedController extends Dispatcher.DispatchController {
  /**
   * The request's timings so far, always the same object; `null` if it is not timed: see the option
   * `timings`. Complete in `onResponseEnd` and `onResponseError`.
   */
  readonly timings: RequestTimings | null;
}

/** A message on the diagnostics channel `dodici:request:timings`: a request has ended. */
export interface TimingsMessage {
  /** As in the messages of undici's channels: the same object for the same request. */
  readonly request: object;
  readonly timings: RequestTimings;
  /** `null` if there was no response. */
  readonly statusCode: number | null;
  /** What it failed with. */
  readonly error: Error | null;
}

/** Has a message for each timed request, when it has ended; while it has subscribers, requests are timed. */
export const timingsChannel = channel('dodici:request:timings');

/** Bytes of a `Timings` payload before the times: the connection's number. */
const TIMES = 8;

/** What is collected of a request; see above. */
export class CollectedTimings implements RequestTimings {
  readonly start = now();
  assigned: number | null = null;
  headSent: number | null = null;
  bodySent: number | null = null;
  firstByte: number | null = null;
  end: number | null = null;
  isNew: boolean | null = null;
  connection: ConnectInfo | null = null;

  #status: number | null = null;
  #error: Error | null = null;
  #isPublished = false;

  /**
   * A `Timings` record, whose payload starts at `start` in `batch`. `epoch`: see `EngineClock`.
   *
   * The engine reports on an aborted request after its end: what it did since then does not count.
   */
  static receive(
    timings: CollectedTimings,
    batch: Buffer,
    start: number,
    isNew: boolean,
    connection: Connection | null,
    epoch: number,
  ): void {
    const most = timings.end ?? Infinity;
    const at = (index: number): number | null => {
      const time = batch.readDoubleLE(start + TIMES + 8 * index);
      return time === 0 || time + epoch > most ? null : time + epoch;
    };
    timings.assigned = at(0);
    timings.headSent = at(1);
    timings.bodySent = at(2);
    timings.firstByte = at(3);
    timings.end ??= at(4);
    if (timings.assigned === null) return;
    timings.isNew = isNew;
    timings.connection = connection?.info ?? null;
  }

  /** A head was received. */
  static status(timings: CollectedTimings, status: number): void {
    timings.#status = status;
  }

  /** The request has ended, because of `error` if it has failed. */
  static end(timings: CollectedTimings, error: Error | null): void {
    timings.end ??= now();
    timings.#error ??= error;
  }

  /** Nothing more is received of it: publishes them once. Returns whether this was the first call. */
  static publish(timings: CollectedTimings, request: ObservedRequest): boolean {
    if (timings.#isPublished) return false;
    timings.#isPublished = true;
    if (timingsChannel.hasSubscribers) {
      const message: TimingsMessage = {
        request: observe(request),
        timings,
        statusCode: timings.#status,
        error: timings.#error,
      };
      timingsChannel.publish(message);
    }
    return true;
  }
}

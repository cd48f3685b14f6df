/**
 * The interface between a request and its dispatcher.
 *
 * What lives here: types only. `OriginDispatcher` implements them.
 */

import type { Decompression } from '../options';
import type { Session } from '../session';
import type { ConnectionDiagnostics } from './diagnostics';
import type { Request } from './request';
import type { HeadContext } from './description';

/** What a request needs from its dispatcher. */
export interface SendContext {
  readonly origin: string;
  readonly session: Session;
  readonly head: HeadContext;
  readonly strictContentLength: boolean;
  /** The default for requests. */
  readonly decompress: Decompression;
  /** The default for requests; `null`: whether somebody wants to know. */
  readonly timings: boolean | null;
  /** The default for requests, in milliseconds; `null`: none. */
  readonly totalTimeout: number | null;
  readonly diagnostics: ConnectionDiagnostics;
  /** Whether requests wait for a connection. */
  readonly hasQueued: boolean;
  /** The body of a request failed while it was read, before anything of the request was sent. */
  bodyFailed(error: Error): void;
  /** What the body's source has offered so far was sent, and it continues. */
  bodyDrained(): void;
}

/** What a request reports to its dispatcher. */
export interface RequestContext extends SendContext {
  /** The request has settled: it no longer counts. Called once. */
  settled(request: Request): void;
  /** The final head of a request that keeps others from leaving, or whose connection ends with it. */
  headDelivered(request: Request, isLast: boolean): void;
  /** A request that has a place was sent, including its body. */
  sent(request: Request): void;
  /** Whether the request waits for a connection, as far as undici's counters can tell. */
  isWaiting(request: Request): boolean;
  /** The engine has failed the request; its handler does not know yet. */
  failing(request: Request, error: Error): void;
  /** TLS failed with `error`: whether the peer serves the request from now on. */
  takeOver(request: Request, error: Error): boolean;
  /** An error thrown by `onResponseError`: becomes the dispatcher's `error` event. */
  reportError(error: unknown): void;
}

/** What a paused request has not delivered yet. */
export type Undelivered =
  | { readonly kind: 'data'; readonly chunk: Buffer }
  | { readonly kind: 'end'; readonly trailers: string }
  | { readonly kind: 'head'; readonly status: number; readonly text: string };

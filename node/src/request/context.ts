/**
 * What a request needs of the pool that it belongs to, and tells it.
 *
 * What lives here: types only. `OriginDispatcher` has what they say.
 */

import type { Session } from '../session';
import type { ConnectionDiagnostics } from './diagnostics';
import type { Request } from './request';
import type { HeadContext } from './description';

/** What a request needs of the pool that it belongs to. */
export interface SendContext {
  readonly origin: string;
  readonly session: Session;
  readonly head: HeadContext;
  readonly strictContentLength: boolean;
  readonly diagnostics: ConnectionDiagnostics;
  /** Whether a connection is up: else what leaves may be wanted again. */
  readonly isConnected: boolean;
  /** The body of a request failed while it was read, before anything of the request had left. */
  bodyFailed(error: Error): void;
  /** What the body's source has offered so far has left, and it goes on. */
  bodyDrained(): void;
}

/** What a request tells its pool. */
export interface RequestContext extends SendContext {
  /** The request has settled: it no longer counts. Called once. */
  settled(request: Request): void;
  /** The final head of a request whose place is `Blocking` was delivered. */
  unblocked(request: Request): void;
  /** A request that has a place has left, its body included. */
  sent(request: Request): void;
  /** TLS refused with `error`: whether somebody else serves the request from now on. */
  takeOver(request: Request, error: Error): boolean;
  /** What stands for the socket below an upgraded HTTP/2 stream. */
  readonly streamSocket: unknown;
  /** An error of `onResponseError`, which nobody is left to hear: becomes the dispatcher's `error` event. */
  reportError(error: unknown): void;
}

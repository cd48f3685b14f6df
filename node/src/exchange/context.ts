/**
 * What an exchange needs of the pool that it belongs to, and tells it.
 *
 * What lives here: types only. `OriginPool` has what they say.
 */

import type { Session } from '../session';
import type { ConnectionDiagnostics } from './diagnostics';
import type { Exchange } from './exchange';
import type { HeadContext } from './request';

/** What an exchange needs of the pool that it belongs to. */
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

/** What an exchange tells its pool. */
export interface ExchangeContext extends SendContext {
  /** The exchange has settled: it no longer counts. Called once. */
  settled(exchange: Exchange): void;
  /** The final head of an exchange whose place is `Blocking` was delivered. */
  unblocked(exchange: Exchange): void;
  /** The request of an exchange that has a place has left, its body included. */
  sent(exchange: Exchange): void;
  /** TLS refused with `error`: whether somebody else serves the request from now on. */
  takeOver(exchange: Exchange, error: Error): boolean;
  /** What stands for the socket below an upgraded HTTP/2 stream. */
  readonly streamSocket: unknown;
  /** An error of `onResponseError`, which nobody is left to hear: becomes the dispatcher's `error` event. */
  reportError(error: unknown): void;
}

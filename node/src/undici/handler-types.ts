/**
 * The shapes of what callers pass to `dispatch()`, before validation.
 *
 * What lives here: types only. The peer's own declarations describe well-behaved callers; these
 * describe what must be checked. The whole request path uses them.
 */

import type { Duplex } from 'node:stream';
import type { IncomingHttpHeaders } from 'node:http';

import type { FetchDecoding, kDecode } from './fetch-decoding';

/** Headers object as handlers get it: lower-case names, an array where a name repeats. */
export type ParsedHeaders = Record<string, string | string[]> & IncomingHttpHeaders;

/** What a handler may do with its request. */
export interface DispatchController {
  readonly aborted: boolean;
  readonly paused: boolean;
  readonly reason: Error | null;
  rawHeaders: unknown;
  rawTrailers: unknown;
  abort(reason?: Error): void;
  pause(): void;
  resume(): void;
}

/** A handler of the newer generation, methods not yet checked. */
export interface DispatchHandler {
  onRequestStart?(controller: DispatchController, context: unknown): void;
  onRequestUpgrade?(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    socket: Duplex,
  ): void;
  onResponseStarted?(): void;
  onResponseStart?(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    statusMessage?: string,
  ): void;
  onResponseData?(controller: DispatchController, chunk: Buffer): void;
  onResponseEnd?(controller: DispatchController, trailers: ParsedHeaders): void;
  onResponseError?(controller: DispatchController | null, error: Error): void;
  onBodySent?(chunk: Uint8Array | string): void;
  onRequestSent?(): void;
}

/** A handler of undici 6 and 7, which Node 20 to 24 pass from their built-in fetch. */
export interface LegacyHandler {
  onConnect?(abort: (reason?: Error) => void, context?: unknown): void;
  onUpgrade?(statusCode: number, rawHeaders: readonly Buffer[], socket: Duplex): void;
  onResponseStarted?(): void;
  onHeaders?(
    statusCode: number,
    rawHeaders: readonly Buffer[],
    resume: () => void,
    statusText: string,
  ): unknown;
  onData?(chunk: Buffer): unknown;
  onComplete?(rawTrailers: readonly Buffer[]): void;
  onError?(error: Error): void;
  onBodySent?(chunk: Uint8Array | string): void;
  onRequestSent?(): void;
}

/** Options of a request before they were checked: every field may be anything. */
export interface DispatchOptions {
  path?: unknown;
  method?: unknown;
  body?: unknown;
  headers?: unknown;
  query?: unknown;
  idempotent?: boolean | null;
  blocking?: boolean | null;
  upgrade?: unknown;
  headersTimeout?: unknown;
  bodyTimeout?: unknown;
  reset?: unknown;
  expectContinue?: unknown;
  servername?: unknown;
  throwOnError?: unknown;
  maxRedirections?: unknown;
  typeOfService?: unknown;
  decompress?: unknown;
  timings?: unknown;
  totalTimeout?: unknown;
  minBodyRate?: unknown;
  [kDecode]?: FetchDecoding | null;
  /** Read by what made the request; see `Request.watchSignal`. */
  signal?: unknown;
  origin?: unknown;
}

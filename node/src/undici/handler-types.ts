/**
 * The shapes of what callers pass to `dispatch()`, before validation.
 *
 * What lives here: types, and the key of one option. The peer's own declarations describe
 * well-behaved callers; these describe what must be checked. The whole request path uses them.
 */

import type { Duplex } from 'node:stream';
import type { IncomingHttpHeaders } from 'node:http';

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

/**
 * A request option that our `fetch` sets to a `FetchDecoding`. Only directly on a dispatcher of
 * ours: an interceptor in between that stores bodies, or a mock, would see a body without the
 * codings that its head names.
 *
 * Spreading the options keeps it. If it is lost, or the engine does not serve the request, nothing
 * is decoded, and `decoded` stays false.
 */
export const kDecode = Symbol('dodici decode');

/**
 * The body of a response is decoded by the rules of undici's fetch: with any status but 101, 204,
 * 205 and 304, not in response to HEAD and CONNECT, and only if all codings are known. The head and
 * raw headers are delivered unchanged. An invalid or truncated body, or more than five codings,
 * fails the request with the errors of Node's zlib and undici's fetch.
 */
export interface FetchDecoding {
  /** Redirects are followed: one with a location is not decoded, since its body is not read. */
  readonly follows: boolean;
  /** Set before the handler gets the final head: whether the body is decoded. */
  decoded: boolean;
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
  [kDecode]?: FetchDecoding | null;
  /** Read by what made the request; see `Request.watchSignal`. */
  signal?: unknown;
  origin?: unknown;
}

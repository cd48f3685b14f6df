/**
 * The `decompress` option: whether response bodies are decoded, and their maximum size.
 *
 * What lives here: validation of the option, of pools and of single requests; and decoding of
 * requests that the peer serves, with the peer's own interceptor. The engine decodes all others;
 * `Sending` passes the option on.
 */

import {
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  invalid,
  kDecode,
  peer,
} from '../undici';
import { spread } from './own-options';

/**
 * Maximum number of bytes that each content coding may produce; `NO_LIMIT` for any number,
 * `NOT_DECODED` for no decoding.
 */
export type Decompression = number;

export const NO_LIMIT: Decompression = 0;
export const NOT_DECODED: Decompression = -1;

/**
 * The option's value; `null` if it is not given.
 *
 * @throws InvalidArgumentError
 */
export function readDecompress(value: unknown): Decompression | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value ? NO_LIMIT : NOT_DECODED;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('decompress must be a boolean or an object');
  }
  const maxSize = spread(value)['maxSize'] ?? NO_LIMIT;
  // The message of undici's interceptor; as there, 0 is no limit.
  if (!Number.isSafeInteger(maxSize) || (maxSize as number) < 0) {
    throw invalid('decompress.maxSize must be a non-negative integer');
  }
  return maxSize as number;
}

/** The inverse of `readDecompress`. */
export function decompressOption(value: Decompression | null): unknown {
  if (value === null) return null;
  return value === NOT_DECODED ? false : { maxSize: value };
}

/**
 * Lets the peer serve a request. `byDefault`: applies if the request has no such option. Our fetch
 * decodes such a body itself.
 *
 * @throws InvalidArgumentError
 */
export function dispatchToPeer(
  dispatcher: Dispatcher,
  options: DispatchOptions,
  handler: DispatchHandler,
  byDefault: Decompression,
): boolean {
  const given = options as unknown as Dispatcher.DispatchOptions;
  const receiver = handler as Dispatcher.DispatchHandler;
  const wanted = options[kDecode] ? NOT_DECODED : (readDecompress(options.decompress) ?? byDefault);
  if (wanted === NOT_DECODED) return dispatcher.dispatch(given, receiver);
  // undici 7 has a default limit, which this overrides.
  const maxSize = wanted === NO_LIMIT ? Number.MAX_SAFE_INTEGER : wanted;
  const decoding = peer.interceptors.decompress({ maxSize });
  return decoding(dispatcher.dispatch.bind(dispatcher))(given, receiver);
}

/**
 * The `decompress` option: that response bodies are decoded, and to which size at most.
 *
 * What lives here: its values, checked, of pools and of single requests; and what it means to requests
 * that the peer serves: its own interceptor decodes those. The engine decodes all others, and is told
 * by `Sending`.
 */

import {
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  kDecode,
  peer,
} from '../undici';
import { spread } from './own-options';

/**
 * Most bytes that may come out of each content coding; `NO_LIMIT` for any number, `NOT_DECODED` where
 * bodies are left as they come.
 */
export type Decompression = number;

export const NO_LIMIT: Decompression = 0;
export const NOT_DECODED: Decompression = -1;

/**
 * The option's value; `null` where it is not given.
 *
 * @throws InvalidArgumentError
 */
export function readDecompress(value: unknown): Decompression | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value ? NO_LIMIT : NOT_DECODED;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new errors.InvalidArgumentError('decompress must be a boolean or an object');
  }
  const maxSize = spread(value)['maxSize'] ?? NO_LIMIT;
  // undici's interceptor says so; as there, 0 is no limit.
  if (!Number.isSafeInteger(maxSize) || (maxSize as number) < 0) {
    throw new errors.InvalidArgumentError('decompress.maxSize must be a non-negative integer');
  }
  return maxSize as number;
}

/** The option that is read so. */
export function decompressOption(value: Decompression | null): unknown {
  if (value === null) return null;
  return value === NOT_DECODED ? false : { maxSize: value };
}

/**
 * Has the peer serve a request. `byDefault`: what holds where the request does not say. Our fetch decodes
 * such a body itself.
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
  // undici 7 has a limit of its own, which another one replaces.
  const maxSize = wanted === NO_LIMIT ? Number.MAX_SAFE_INTEGER : wanted;
  const decoding = peer.interceptors.decompress({ maxSize });
  return decoding(dispatcher.dispatch.bind(dispatcher))(given, receiver);
}

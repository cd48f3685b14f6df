/**
 * `H2CClient`: HTTP/2 without TLS, by prior knowledge.
 *
 * What lives here: undici's H2CClient over the engine: its checks, and the options that it fixes.
 * Users construct it. It must not know requests.
 */

import { Client } from './client';
import type { ClientOptions } from './types';
import { errors } from './undici';

/** Requests at a time, unless the options say otherwise. */
const STREAMS = 100;

/** A client that speaks HTTP/2 to an `http:` origin; options are undici's. */
export class H2CClient extends Client {
  /**
   * @throws InvalidArgumentError with undici's message for another protocol, and for a bad
   * `maxConcurrentStreams` or `pipelining`.
   */
  constructor(origin: string | URL, options?: ClientOptions) {
    const url = typeof origin === 'string' ? new URL(origin) : origin;
    if (url.protocol !== 'http:') {
      throw new errors.InvalidArgumentError('h2c-client: Only h2c protocol is supported');
    }
    const { maxConcurrentStreams, pipelining, ...rest } = (options ?? {}) as {
      maxConcurrentStreams?: number | null;
      pipelining?: number | null;
    };
    const given = maxConcurrentStreams ?? null;
    if (given !== null && (!Number.isInteger(given) || given < 1)) {
      throw new errors.InvalidArgumentError(
        'maxConcurrentStreams must be a positive integer, greater than 0',
      );
    }
    const streams = given ?? STREAMS;
    const isDepth = Number.isInteger(pipelining) && (pipelining as number) > 0;
    const depth = isDepth ? (pipelining as number) : STREAMS;
    if (depth > streams) {
      throw new errors.InvalidArgumentError(
        'h2c-client: pipelining cannot be greater than maxConcurrentStreams',
      );
    }
    const { h2Options } = rest as { h2Options?: object };
    super(url, {
      ...rest,
      pipelining: depth,
      allowH2: true,
      h2Options: { ...h2Options, maxConcurrentStreams: streams, useH2c: true },
    });
  }
}

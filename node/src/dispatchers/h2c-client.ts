/**
 * `H2CClient`: HTTP/2 without TLS, with prior knowledge.
 *
 * What lives here: undici's H2CClient over the engine: its checks, and the options that it fixes.
 * Users construct it. It must not know requests.
 */

import { type ClientOptions, ownOptions } from '../options';
import { invalid } from '../undici';
import { Client } from './client';

/** Default number of concurrent requests. */
const STREAMS = 100;

/** A client that uses HTTP/2 without TLS; options are undici's. */
export class H2CClient extends Client {
  /**
   * @throws InvalidArgumentError with undici's message for another protocol, and for a bad
   * `maxConcurrentStreams` or `pipelining`.
   */
  constructor(origin: string | URL, options?: ClientOptions) {
    const url = typeof origin === 'string' ? new URL(origin) : origin;
    if (url.protocol !== 'http:') throw invalid('h2c-client: Only h2c protocol is supported');
    const given = ownOptions(options);
    const { maxConcurrentStreams, pipelining } = given;
    const asked = (maxConcurrentStreams ?? null) as number | null;
    if (asked !== null && (!Number.isInteger(asked) || asked < 1)) {
      throw invalid('maxConcurrentStreams must be a positive integer, greater than 0');
    }
    const streams = asked ?? STREAMS;
    const isDepth = Number.isInteger(pipelining) && (pipelining as number) > 0;
    const depth = isDepth ? (pipelining as number) : STREAMS;
    if (depth > streams) {
      throw invalid('h2c-client: pipelining cannot be greater than maxConcurrentStreams');
    }
    // As undici does, not in `h2Options`: if the peer's own class serves the origin, undici 7 does
    // not know that option, and undici 8.10 accepts a number of streams there only with a window.
    const fixed = { maxConcurrentStreams: streams, pipelining: depth, allowH2: true, useH2c: true };
    super(url, { ...given, ...fixed });
  }
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write H2CClient.Options
export declare namespace H2CClient {
  /** Options of the constructor. */
  export type Options = Omit<ClientOptions, 'allowH2' | 'useH2c' | 'h2Options'>;
}

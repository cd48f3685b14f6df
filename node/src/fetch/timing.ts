/**
 * `performance` entries of fetches.
 *
 * What lives here: the entry (Resource Timing) of a fetch, from its own times and, if the engine served it,
 * those of its last request. It must not know requests.
 *
 * Two things are as in undici, because a process has no origin of its own: nothing is hidden after a
 * redirect to another origin without `timing-allow-origin`, and no time is coarsened.
 */

import { performance } from 'node:perf_hooks';

import { now } from '../process';
import type { RequestTimings } from '../request';

type Mark = (
  timing: object,
  url: string,
  initiator: 'fetch',
  global: object,
  cacheState: '',
  bodyInfo: '',
  status: number,
) => void;

/** Other runtimes do not have it. */
const mark = (performance as { markResourceTiming?: Mark }).markResourceTiming?.bind(performance);

/** The standard's connection timing info. */
interface ConnectionTiming {
  readonly domainLookupStartTime: number;
  readonly domainLookupEndTime: number;
  readonly connectionStartTime: number;
  readonly connectionEndTime: number;
  /** 0 without TLS. */
  readonly secureConnectionStartTime: number;
  readonly ALPNNegotiatedProtocol: string | undefined;
}

/**
 * The times of the connection that was used, if it was opened since `start`; otherwise they are all `start`
 * (Fetch standard, "clamp and coarsen connection timing info").
 */
function connectionTiming(timings: RequestTimings | null, start: number): ConnectionTiming {
  const connection = timings?.connection ?? null;
  const legs = connection?.timings;
  const began = legs?.start ?? 0;
  const found = began + (legs?.dns ?? 0);
  const isOlder = legs === undefined || found < start;
  const reached = found + (legs?.tcp ?? 0) + (legs?.proxy ?? 0);
  return {
    domainLookupStartTime: isOlder ? start : began,
    domainLookupEndTime: isOlder ? start : found,
    connectionStartTime: isOlder ? start : found,
    connectionEndTime: isOlder ? start : began + legs.total,
    secureConnectionStartTime: isOlder ? start : legs.tls === undefined ? 0 : reached,
    ALPNNegotiatedProtocol: connection === null ? undefined : alpnOf(connection),
  };
}

/** Its protocol by the name that ALPN has for it. */
function alpnOf({ protocol }: { readonly protocol: 'h1' | 'h2' | 'h3' }): string {
  return protocol === 'h1' ? 'http/1.1' : protocol;
}

/** Times of one fetch, in milliseconds by `now()`. */
export class Timing {
  readonly #start = now();
  #redirectStart = 0;
  #redirectEnd = 0;
  #requestStart = 0;
  #responseStart = 0;
  /** Bytes received, before decoding. */
  encoded = 0;

  redirected(): void {
    if (this.#redirectStart === 0) this.#redirectStart = this.#start;
    this.#redirectEnd = now();
  }

  requestStarted(): void {
    this.#requestStart = now();
  }

  /** Otherwise the fetch was rejected without any traffic, which is no entry. */
  get hasRequestStarted(): boolean {
    return this.#requestStart > 0;
  }

  responseStarted(): void {
    this.#responseStart = now();
  }

  /**
   * Reports that the fetch of `url` has ended; `status` 0: it failed. `timings`: of its last request.
   */
  report(url: string, status: number, decoded: number, timings: RequestTimings | null): void {
    const start = this.#start;
    const afterRedirects = this.#redirectEnd || start;
    mark?.(
      {
        startTime: start,
        redirectStartTime: this.#redirectStart,
        redirectEndTime: this.#redirectEnd,
        postRedirectStartTime: afterRedirects,
        finalServiceWorkerStartTime: 0,
        finalNetworkResponseStartTime: timings?.firstByte ?? this.#responseStart,
        finalNetworkRequestStartTime: timings?.assigned ?? this.#requestStart,
        endTime: now(),
        encodedBodySize: this.encoded,
        decodedBodySize: decoded,
        finalConnectionTimingInfo: connectionTiming(timings, afterRedirects),
      },
      url,
      'fetch',
      globalThis,
      '',
      '',
      status,
    );
  }
}

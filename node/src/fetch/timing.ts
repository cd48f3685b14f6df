/**
 * `performance` entries of fetches.
 *
 * What lives here: the entry (Resource Timing) that undici's fetch reports to Node, with the same
 * times. It must not know requests.
 */

import { performance } from 'node:perf_hooks';

import { now } from '../process';

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

  /** Reports that the fetch of `url` has ended; `status` 0: it failed. */
  report(url: string, status: number, decoded: number): void {
    const start = this.#start;
    const connected = this.#redirectEnd || start;
    mark?.(
      {
        startTime: start,
        redirectStartTime: this.#redirectStart,
        redirectEndTime: this.#redirectEnd,
        postRedirectStartTime: connected,
        finalServiceWorkerStartTime: 0,
        finalNetworkResponseStartTime: this.#responseStart,
        finalNetworkRequestStartTime: this.#requestStart,
        endTime: now(),
        encodedBodySize: this.encoded,
        decodedBodySize: decoded,
        finalConnectionTimingInfo: {
          domainLookupStartTime: connected,
          domainLookupEndTime: connected,
          connectionStartTime: connected,
          connectionEndTime: connected,
          secureConnectionStartTime: connected,
          ALPNNegotiatedProtocol: undefined,
        },
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

/**
 * `performance` entries of fetches.
 *
 * What lives here: what undici's fetch reports to Node about each (Resource Timing), with the same
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

/** Other runtimes have none. */
const mark = (performance as { markResourceTiming?: Mark }).markResourceTiming?.bind(performance);

/** Times of one fetch, in milliseconds by `now()`. */
export class Timing {
  readonly #start = now();
  #redirectStart = 0;
  #redirectEnd = 0;
  #requestStart = 0;
  #responseStart = 0;
  /** Bytes as they came, before they were decoded. */
  encoded = 0;

  redirected(): void {
    if (this.#redirectStart === 0) this.#redirectStart = this.#start;
    this.#redirectEnd = now();
  }

  requestStarted(): void {
    this.#requestStart = now();
  }

  responseStarted(): void {
    this.#responseStart = now();
  }

  /** The fetch of `url` is over. */
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

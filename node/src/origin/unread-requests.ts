/**
 * Requests with several connections whose bodies come from a source.
 *
 * What lives here: when such a body is read, and requests that wait for that. A pool's dispatcher, and
 * that of a client over HTTP/2, submits them here. It must not know counters or events.
 */

import type { Request } from '../request';

/** What it needs from the dispatcher. */
export interface UnreadHost {
  readonly isConnected: boolean;
  /** Whether the body of `request` may be read yet; if not, `goOn` follows, unless that settles it. */
  mayRead(request: Request): boolean;
  /** The body of `request` is available. */
  send(request: Request): void;
}

/** See above. */
export class UnreadRequests {
  readonly #host: UnreadHost;
  #waiting: Request[] = [];

  constructor(host: UnreadHost) {
    this.#host = host;
  }

  /** Submits a request as soon as its body is available. */
  submit(request: Request): void {
    if (this.#host.isConnected) this.#read(request);
    // Without a connection, a source is not read before the caller has returned.
    else process.nextTick(() => this.#read(request));
  }

  /** Bodies that could not be read may be now. */
  goOn(): void {
    for (const request of this.take()) this.#read(request);
  }

  /** Removes and returns those that wait. */
  take(): Request[] {
    return this.#waiting.splice(0);
  }

  #read(request: Request): void {
    const host = this.#host;
    if (request.settled) return;
    if (!host.mayRead(request)) {
      this.#waiting.push(request);
      return;
    }
    request.measureStream();
    if (request.settled) return;
    if (request.needsSource) request.waitForSource(() => host.send(request));
    else host.send(request);
  }
}

/**
 * `RetryAgent`: the peer's, with sanitized options.
 *
 * What lives here: properties added to `Object.prototype` do not affect what is retried. Everything else
 * is the peer's. It must not know how it retries.
 */

import { ownOptions, unpolluted } from '../options';
import { type Dispatcher, peer, type RetryAgent as PeerRetryAgent } from '../undici';

/** Retries failed requests; options are undici's. */
export class RetryAgent extends peer.RetryAgent {
  readonly #agent: Dispatcher;

  constructor(agent: Dispatcher, options?: ConstructorParameters<typeof PeerRetryAgent>[1]) {
    super(agent, ownOptions(options));
    this.#agent = agent;
  }

  /** That of the dispatcher whose requests are retried, if it has one. */
  get servedBy(): unknown {
    return (this.#agent as { servedBy?: unknown }).servedBy;
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(unpolluted(options), handler);
  }
}

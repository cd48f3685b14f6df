/**
 * `RetryAgent`: the peer's, with its options in the form of ours.
 *
 * What lives here: nothing that somebody put on `Object.prototype` says what is sent again. All else
 * is the peer's. It must not know how it retries.
 */

import { ownOptions, unpolluted } from '../options';
import { type Dispatcher, peer, type RetryAgent as PeerRetryAgent } from '../undici';

/** Requests that are sent again where they fail; options are undici's. */
export class RetryAgent extends peer.RetryAgent {
  constructor(agent: Dispatcher, options?: ConstructorParameters<typeof PeerRetryAgent>[1]) {
    super(agent, ownOptions(options));
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(unpolluted(options), handler);
  }
}

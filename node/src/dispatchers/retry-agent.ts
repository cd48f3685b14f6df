/**
 * `RetryAgent`: the peer's, with sanitized options.
 *
 * What lives here: properties added to `Object.prototype` do not affect what is retried. Everything else
 * is the peer's. It must not know how it retries.
 */

import type { ConnectionStatus } from '../connection';
import { ownOptions, unpolluted } from '../options';
import { type Dispatcher, peer, type RetryAgent as PeerRetryAgent } from '../undici';
import { canPreconnect, connectionsOf } from './composite';
import { hideFields } from './dispatcher-base';

/** Retries failed requests; options are undici's. */
export class RetryAgent extends peer.RetryAgent {
  private readonly $agent: Dispatcher;

  constructor(agent: Dispatcher, options?: ConstructorParameters<typeof PeerRetryAgent>[1]) {
    super(agent, ownOptions(options));
    this.$agent = agent;
    hideFields(this, '$agent');
  }

  /** That of the dispatcher whose requests are retried, if it has one. */
  get servedBy(): unknown {
    return (this.$agent as { servedBy?: unknown }).servedBy;
  }

  /** What each of that dispatcher's connections is doing now; see `Agent.connections()`. */
  connections(): Promise<ConnectionStatus[]> {
    return connectionsOf([this.$agent]);
  }

  /** Opens connections of that dispatcher, with its arguments; see `Pool.preconnect()`. */
  async preconnect(
    ...given: [origin: string | URL, count?: number] | [count?: number]
  ): Promise<number> {
    return canPreconnect(this.$agent) ? this.$agent.preconnect(...given) : 0;
  }

  // undici's reach a private member, which that Proxy does not have.
  override close(): Promise<void> {
    return this.$agent.close();
  }

  override destroy(): Promise<void> {
    return this.$agent.destroy();
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(unpolluted(options), handler);
  }
}

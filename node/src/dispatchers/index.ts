/**
 * undici's dispatchers over the engine: `Client`, `Pool`, `Agent` and classes built on them.
 *
 * What lives here: the classes users construct, their life cycle, and the fallback to the peer's classes.
 * It must not know records or sessions.
 */

export { Agent, type AgentStats, makeDispatcher, type OptionsForOrigin } from './agent';
export { BalancedPool, RoundRobinPool } from './balancing';
export { Client, type ClientStats } from './client';
export { closeIfUnused, CompositeDispatcher, connectionsOf } from './composite';
export { servedByOrigin, StandIn } from './delegate';
export { DispatcherBase, hideFields, isOwnDispatcher } from './dispatcher-base';
export {
  forgetChoice,
  getGlobalDispatcher,
  NEWER,
  OLDER,
  setGlobalDispatcher,
} from './global-dispatcher';
export { forwardEvents } from './forwarded-events';
export { H2CClient } from './h2c-client';
export { forBoth } from './peer-class';
export { Pool, type PoolStats } from './pool';
export { RetryAgent } from './retry-agent';

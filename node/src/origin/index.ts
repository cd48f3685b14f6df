/**
 * One origin: the requests for it and the engine's pools that serve them.
 *
 * What lives here: when requests are submitted and to which native pool, the counters, connection
 * events. It must not know users' options.
 */

export type { PoolCounters } from './capacity';
export { OriginDispatcher } from './origin-dispatcher';

/**
 * The session: all traffic of one environment across the boundary.
 *
 * What lives here: slots, flushing, delivery of completions, and the only session of this environment.
 * It must not know what a request or a pool is.
 */

export { configureEnvironment, currentSession, openedSession } from './environment';
export type { PoolOwner } from './pool-table';
export { type Pausing, Session, type SlotOwner } from './session';

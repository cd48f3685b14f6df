/**
 * What the process and Node itself are set to.
 *
 * What lives here: flags, default roots and TLS policy, functions of Node's that somebody has replaced,
 * Node's own timers. It must not know options of ours.
 */

export { standsInNode } from './nodes-own';
export { replacedSockets } from './replaced-sockets';
export { provideDefaultRoots, rootsNow } from './roots';
export { now, queueMicrotask, setImmediate, setInterval } from './timers';
export { tlsPolicy } from './tls-policy';

/**
 * Settings of the process and of Node itself.
 *
 * What lives here: flags, default roots and TLS policy, replaced Node functions, Node's own timers. It
 * must not know our options.
 */

export { keyLogFile } from './key-log';
export { certificateHint } from './certificate-hint';
export { mayChangeV8Flags } from './node-flags';
export { standsInNode } from './nodes-own';
export { replacedSockets } from './replaced-sockets';
export { provideDefaultRoots, rootsNow } from './roots';
export { clearTimeout, now, queueMicrotask, setImmediate, setInterval, setTimeout } from './timers';
export {
  type EngineOffer,
  engineOffer,
  isSpecial,
  OFFER_KEYS,
  type OfferOptions,
} from './tls-offer';
export { tlsPolicy } from './tls-policy';

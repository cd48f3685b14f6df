/**
 * undici, the peer: the only layer that imports it.
 *
 * What lives here: its classes, errors and symbols, the shapes of its handlers in both generations, and
 * the reasons for which it serves a request itself. The package's entry point also reads `exports.ts`:
 * what users get from the peer. It must not know our dispatchers.
 */

export { type FetchDecoding, kDecode } from './fetch-decoding';
export {
  type FetchInternals,
  fetchInternals,
  type PeerHeadersList,
  type PeerRequestState,
} from './fetch-internals';
export * from './generations';
export * from './handler-types';
export { assertHandler, wrapHandler } from './legacy-handler';
export { type HandlerCall, PassingHandler } from './passing-handler';
export { rememberOldServer } from './old-servers';
export {
  type ByPeer,
  type PeerReason,
  reasonNow,
  reasonOf,
  type ReasonState,
  type ServedBy,
  servedBy,
  type ServedByAll,
  warnOfOption,
} from './peer-reasons';
export * from './undici';

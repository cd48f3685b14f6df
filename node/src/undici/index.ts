/**
 * undici, the peer: the only room that imports it.
 *
 * What lives here: its classes, errors and symbols, the shapes of its handlers in both generations, and
 * the reasons for which it serves a request itself. `exports.ts`, which the package's entry reads, is a
 * door of its own: what users get of the peer. It must not know our dispatchers.
 */

export { composedForBoth, doesTakeBoth, ForOlderHandlers, takesBoth } from './generations';
export type {
  DispatchController,
  DispatchHandler,
  DispatchOptions,
  ParsedHeaders,
} from './handler-types';
export { assertHandler, wrapHandler } from './legacy-handler';
export { rememberOldServer } from './old-servers';
export { type PeerReason, reasonNow, type ReasonState } from './peer-reasons';
export {
  buildConnector,
  type Client,
  Dispatcher,
  type EnvHttpProxyAgent,
  errors,
  peer,
  peerMajor,
  type Pool,
  poolSymbols,
  type ProxyAgent,
  type RetryAgent,
  type RoundRobinPool,
  type Socks5ProxyAgent,
  symbols,
  toPeerHandler,
} from './undici';

/**
 * What dodici's users get from the peer as it is.
 *
 * What lives here: the one list of these names. `index.ts` of the package exports them beside our
 * own. TypeScript compiles each name to a getter, so a name that the loaded peer lacks is
 * `undefined`, and values are the peer's own.
 */

import type * as Undici from 'undici';

import { peer } from './undici';

/** Shape of undici 8's `Dispatcher1Wrapper`; undici 7 declares none. */
export type Dispatcher1WrapperConstructor = new (
  dispatcher: Undici.Dispatcher,
) => Undici.Dispatcher;

/** The peer's wrapper that lets consumers of undici 6 and 7 use a dispatcher; `undefined` with undici 7. */
export const Dispatcher1Wrapper: Dispatcher1WrapperConstructor | undefined = (
  peer as { Dispatcher1Wrapper?: Dispatcher1WrapperConstructor }
).Dispatcher1Wrapper;

export {
  CloseEvent,
  DecoratorHandler,
  Dispatcher,
  ErrorEvent,
  EventSource,
  FormData,
  Headers,
  MessageEvent,
  MockAgent,
  MockCallHistory,
  MockCallHistoryLog,
  MockClient,
  MockPool,
  RedirectHandler,
  Request,
  Response,
  RetryHandler,
  SnapshotAgent,
  WebSocket,
  WebSocketError,
  WebSocketStream,
  buildConnector,
  cacheStores,
  caches,
  deleteCookie,
  errors,
  getCookies,
  getGlobalOrigin,
  getSetCookies,
  interceptors,
  mockErrors,
  parseCookie,
  parseMIMEType,
  ping,
  serializeAMimeType,
  setCookie,
  setGlobalOrigin,
  util,
} from 'undici';

// Types: whatever the installed peer declares.
export type * from 'undici';

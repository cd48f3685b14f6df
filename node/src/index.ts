/**
 * The package's exports: undici's names, with ours in the place of those that dodici serves, and
 * `counters`.
 *
 * What lives here: no logic. `index.mjs`, which the build writes, lists the same names for ESM.
 */

export { Agent } from './agent';
export { BalancedPool, RoundRobinPool } from './balancing';
export { Client } from './client';
export { counters, type Counters } from './counters';
export { EnvHttpProxyAgent } from './env-http-proxy-agent';
export {
  connect,
  fetch,
  getGlobalDispatcher,
  pipeline,
  request,
  setGlobalDispatcher,
  stream,
  upgrade,
} from './global';
export { install, type Installation } from './install';
export { Pool } from './pool';
export { ProxyAgent } from './proxy-agent';
export { Socks5ProxyAgent } from './socks5-proxy-agent';

export {
  CloseEvent,
  DecoratorHandler,
  Dispatcher,
  Dispatcher1Wrapper,
  ErrorEvent,
  EventSource,
  FormData,
  H2CClient,
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
  RetryAgent,
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
} from './undici';

export type {
  CloseReason,
  ConnectInfo,
  ConnectListener,
  ConnectTimings,
  ConnectionErrorListener,
  DisconnectInfo,
  DisconnectListener,
  DrainListener,
  ProxyAnswer,
  TlsInfo,
} from './events';
export type {
  AgentOptions,
  AgentStats,
  ClientOptions,
  ClientStats,
  ConnectOptions,
  OriginOptions,
  PemSource,
  PoolOptions,
  PoolStats,
} from './types';
export type * from './undici';

/** All of it, for `import dodici from 'dodici'`; undici's default export is the like. */
const dodici: typeof import('./index') = module.exports as typeof import('./index');
export default dodici;

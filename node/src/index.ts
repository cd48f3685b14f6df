/**
 * The package's exports: undici's names, with ours in the place of those that dodici serves, and
 * `counters`.
 *
 * What lives here: our names, and no logic. `index.mjs`, which the build writes, lists the same
 * names for ESM.
 */

export { Agent } from './dispatchers/agent';
export { BalancedPool, RoundRobinPool } from './dispatchers/balancing';
export { Client } from './dispatchers/client';
export { counters, type Counters } from './api/counters';
export { EnvHttpProxyAgent } from './proxies/env-http-proxy-agent';
export {
  connect,
  fetch,
  getGlobalDispatcher,
  pipeline,
  request,
  setGlobalDispatcher,
  stream,
  upgrade,
} from './api/global';
export { H2CClient } from './dispatchers/h2c-client';
export { install, type Installation } from './api/install';
export { Pool } from './dispatchers/pool';
export { ProxyAgent } from './proxies/proxy-agent';
export { RetryAgent } from './dispatchers/retry-agent';
export { Socks5ProxyAgent } from './proxies/socks5-proxy-agent';

export * from './undici/exports';
// By name, because undici 8 declares it otherwise.
export { Dispatcher1Wrapper } from './undici/exports';

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
} from './connection/events';
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
} from './options/types';
export type * from './undici/undici';

/** All of it, for `import dodici from 'dodici'`; undici's default export is the like. */
const dodici: typeof import('./index') = module.exports as typeof import('./index');
export default dodici;

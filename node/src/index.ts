/**
 * The package's exports: undici's names, with ours in the place of those that dodici serves, and
 * `counters`.
 *
 * What lives here: our names, and no logic. `index.mjs`, which the build writes, lists the same
 * names for ESM.
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
export { H2CClient } from './h2c-client';
export { install, type Installation } from './install';
export { Pool } from './pool';
export { ProxyAgent } from './proxy-agent';
export { RetryAgent } from './retry-agent';
export { Socks5ProxyAgent } from './socks5-proxy-agent';

export * from './undici-exports';
// By name, because undici 8 declares it otherwise.
export { Dispatcher1Wrapper } from './undici-exports';

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
